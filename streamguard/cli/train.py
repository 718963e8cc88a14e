"""`streamguard train`: make a detector from data."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from streamguard.cli.runner import check_writable, console, notes

if TYPE_CHECKING:
    from streamguard.training.config import TrainConfig
    from streamguard.training.loop import Progress as Reached
    from streamguard.training.run import Outcome

_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.fields[note]}"),
)
SHOWN = 10
"""Skipped files that are named; of more the number is told."""


def train(
    config: Annotated[Path, typer.Argument(help="Training TOML, such as engines/unet_lite0/train_swaps.toml.")],
    data: Annotated[Path | None, typer.Option(help="Data root that the TOML's folders are relative to.")] = None,
    work: Annotated[Path, typer.Option(help="Where packs and checkpoints go; a run resumes from here.")] = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="The detector's folder; default: the TOML's own folder.")] = None,
    device: Annotated[str, typer.Option(help="`cpu` or `cuda`.")] = "cpu",
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0: all.")] = 0,
    preview: Annotated[
        Path | None, typer.Option(help="Write a contact sheet (PNG) of what would be learned from, and leave.")
    ] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard: loss and validation.")] = None,
    prepare_only: Annotated[bool, typer.Option("--prepare-only", help="Make the packs and leave.")] = False,
) -> None:
    """Prepare packs of real and fake crops, train, calibrate, and write the detector's folder. Resumable."""
    import torch

    from streamguard.errors import ConfigError
    from streamguard.models import fresh
    from streamguard.training.config import read_config
    from streamguard.training.loop import Trainer
    from streamguard.training.pack import Pack
    from streamguard.training.run import finish
    from streamguard.training.sampler import open_packs
    from streamguard.training.tensorboard_log import TensorBoardLog

    if prepare_only and data is None:
        raise typer.BadParameter("packs are made from data: give --data", param_hint="--prepare-only")
    read, toml = read_config(config), config.read_bytes()
    if device not in {"cpu", "cuda"} or (device == "cuda" and not torch.cuda.is_available()):
        raise ConfigError(f"--device {device}", "there is no such device here", "use `cpu`")
    # What would fail at the end of hours of work is to fail now.
    folder = out or config.parent
    fresh(read.network)
    for place in (work, preview.parent if preview else folder):
        _make_writable(place)
    if threads:
        torch.set_num_threads(threads)
    packs = work / "packs"
    if data is not None:
        _prepare(data, read, packs)
    if read.rerender is not None:
        _rerender(read, packs)
    if preview:
        _preview(read, packs, preview)
    if prepare_only or preview:
        return
    Pack(packs / "calibration")
    trainer = Trainer(read, open_packs(packs), work / read.name / "checkpoint.pt", device)
    if trainer.progress.step:
        notes.print(f"resumed at step {trainer.progress.step}")
    with Progress(*_COLUMNS, console=notes) as progress, contextlib.ExitStack() as stack:
        log = stack.enter_context(TensorBoardLog(tensorboard, trainer.progress.step)) if tensorboard else None
        task = progress.add_task(read.name, total=trainer.total_steps, completed=trainer.progress.step, note="")
        losses: list[float] = []

        def advance(reached: Reached, loss: float) -> None:
            losses.append(loss)
            last = losses[-50:]
            note = f"loss {sum(last) / len(last):.3f}"
            if reached.validations:
                _, auc, dice = reached.validations[-1]
                note += f"  validation AUC {auc:.3f}  Dice {dice:.3f}"
            progress.update(task, completed=reached.step, note=note)
            if log:
                log.add(reached, loss)

        trainer.run(advance)
    outcome = finish(read, toml, trainer, packs, folder)
    _report(read, trainer.progress, outcome, folder)


def _report(config: TrainConfig, reached: Reached, outcome: Outcome, folder: Path) -> None:
    table = Table(title=f"{config.name} written to {folder}", title_justify="left")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for step, auc, dice in reached.validations[-1:]:
        table.add_row(f"validation frame AUC at step {step}", f"{auc:.3f}")
        table.add_row("validation Dice over both halves", f"{dice:.3f}")
    table.add_row("frame AUC on held-out self-blends", f"{outcome.calibration_auc:.3f}")
    if outcome.calibration_auc <= 0.5:
        notes.print("streamguard: this detector does not tell fakes from real faces: train longer", style="red")
    table.add_row("pixel threshold", f"{outcome.spec.threshold:g}")
    console.print(table)


def _preview(config: TrainConfig, packs: Path, path: Path) -> None:
    from itertools import accumulate

    from streamguard.files import write_bytes
    from streamguard.training.feed import samples_of
    from streamguard.training.preview import preview_sheet
    from streamguard.training.sampler import open_packs

    starts = [0, *accumulate(stage.steps for stage in config.train.stages[:-1])]
    write_bytes(path, preview_sheet(samples_of(config, open_packs(packs)), starts))
    console.print(f"samples of {len(starts)} stages drawn to {path}", markup=False, highlight=False, soft_wrap=True)


def _make_writable(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    check_writable(folder / "file")


def _rerender(config: TrainConfig, packs: Path) -> None:
    from streamguard.training.rerender import make_rerendered

    with Progress(*_COLUMNS, console=notes) as progress:
        make_rerendered(config, packs, _bars(progress))


def _bars(progress: Progress) -> Callable[[str, int, int], None]:
    """A bar for each thing that is made, as it is told of."""
    tasks: dict[str, TaskID] = {}

    def advance(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = progress.add_task(name, total=total, note="")
        progress.update(tasks[name], completed=done)

    return advance


def _prepare(data: Path, config: TrainConfig, packs: Path) -> None:
    from streamguard.training.prepare import prepare

    skipped: list[str] = []
    with Progress(*_COLUMNS, console=notes) as progress:
        bars = _bars(progress)
        try:
            prepare(data, config, packs, lambda pack, done, total: bars(f"pack {pack}", done, total), skipped.append)
        finally:
            for sentence in skipped[:SHOWN]:
                notes.print(f"skipped {sentence}", markup=False, highlight=False, soft_wrap=True)
            if len(skipped) > SHOWN:
                notes.print(f"skipped {len(skipped)} files in all")
