"""`streamguard compare`: train other detectors on the same packs, and test all of them across sets."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from streamguard.cli.runner import check_writable, console, notes

if TYPE_CHECKING:
    from streamguard.training.comparison.compare import Watcher
    from streamguard.training.comparison.trainer import Reached

_COLUMNS = (
    TextColumn("{task.description}", markup=False),
    BarColumn(),
    TaskProgressColumn(),
    TimeElapsedColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.fields[note]}"),
)


def compare(
    config: Annotated[Path, typer.Argument(help="Training TOML, such as engines/unet_lite0/train_swaps.toml.")],
    packs: Annotated[
        Path, typer.Option(help="Folder of the packs, made by `streamguard train --prepare-only`.")
    ] = Path("runs/packs"),
    detectors: Annotated[
        str, typer.Option(help="Comma-separated networks to train, such as meso4,resnet18,unet_lite0.")
    ] = "meso4,resnet18,unet_lite0",
    trained_on: Annotated[
        str, typer.Option("--trained-on", help="Comma-separated: pairs, selfblends, both; a row for each.")
    ] = "both",
    references: Annotated[
        str, typer.Option(help="Comma-separated finished detectors (names, folders) to judge as they are; or blur.")
    ] = "blur",
    seconds: Annotated[float, typer.Option(min=0, help="Budget of each row: seconds of training.")] = 0.0,
    crops: Annotated[int, typer.Option(min=0, help="Or: crops seen.")] = 0,
    out: Annotated[Path, typer.Option(help="Where rows and the report go; finished rows are kept.")] = Path(
        "runs/compare"
    ),
    side: Annotated[int, typer.Option(min=64, max=256, help="Side of the crops in pixels, a multiple of 32.")] = 256,
    pairs: Annotated[int, typer.Option(min=2, help="(real, fake) pairs a step.")] = 8,
    most: Annotated[int, typer.Option(min=0, help="Pairs judged of each set, evenly spread; 0: all.")] = 300,
    device: Annotated[str, typer.Option(help="`cpu` or `cuda`.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all.")] = 0,
) -> None:
    """Train classifiers and segmentation networks alike, on the same packs, and test them across sets. Resumable."""
    import torch

    from streamguard.errors import ConfigError
    from streamguard.training.comparison import page, tables
    from streamguard.training.comparison.compare import Plan, check
    from streamguard.training.comparison.compare import compare as run_comparison
    from streamguard.training.comparison.crosssets import SETS
    from streamguard.training.comparison.material import TrainedOn
    from streamguard.training.comparison.trainer import Budget
    from streamguard.training.config import read_config

    if bool(seconds) == bool(crops):
        raise typer.BadParameter("give either --seconds or --crops", param_hint="--seconds")
    if side % 32:
        raise typer.BadParameter("not a multiple of 32", param_hint="--side")
    materials: tuple[TrainedOn, ...] = get_args(TrainedOn)
    wanted = _listed(trained_on)
    if not wanted or set(wanted) - set(materials):
        raise typer.BadParameter(f"choose of {', '.join(materials)}", param_hint="--trained-on")
    if device not in {"cpu", "cuda"} or (device == "cuda" and not torch.cuda.is_available()):
        raise ConfigError(f"--device {device}", "there is no such device here", "use `cpu`")
    plan = Plan(
        detectors=_listed(detectors),
        trained_on=tuple(each for each in materials if each in wanted),
        references=_listed(references),
        budget=Budget(seconds, crops),
        side=side,
        pairs=pairs,
        most=most,
        device=device,
    )
    read = read_config(config)
    check(plan)
    with contextlib.suppress(OSError):
        out.mkdir(parents=True, exist_ok=True)
    check_writable(out / "compare.json")
    if threads:
        torch.set_num_threads(threads)
    with Progress(*_COLUMNS, console=notes) as progress:
        rows = run_comparison(read, packs, plan, out, _watcher(progress))
    page.write_json(rows, out / "compare.json")
    page.write_html(rows, out / "compare.html")
    console.print(tables.cross_table(rows))
    for name in SETS:
        console.print(tables.set_table(rows, name))
    console.print(f"written to {out / 'compare.html'}", markup=False, highlight=False, soft_wrap=True)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _watcher(progress: Progress) -> Watcher:
    from streamguard.training.comparison.compare import Watcher

    tasks = {}
    losses: dict[str, list[float]] = {}

    def show(kind: str, row: str, share: float, note: str = "") -> None:
        title = f"{kind} {row}"
        if title not in tasks:
            tasks[title] = progress.add_task(title, total=1.0, note="")
        progress.update(tasks[title], completed=share, note=note)

    def training(row: str, share: float, reached: Reached, loss: float) -> None:
        last = losses.setdefault(row, [])
        last.append(loss)
        mean = sum(last[-50:]) / len(last[-50:])
        show("train", row, share, f"loss {mean:.3f}  {reached.crops / max(reached.seconds, 1e-9):.1f} crops/s")

    return Watcher(training, lambda row, share: show("judge", row, share))
