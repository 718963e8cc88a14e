"""`streamguard train`: make a detector from packs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from streamguard.cli.runner import check_writable, console, notes

if TYPE_CHECKING:
    from streamguard.training.recipe import Recipe
    from streamguard.training.run import Outcome
    from streamguard.training.trainer import Reached

_COLUMNS = (
    TextColumn("{task.description}"),
    BarColumn(),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.fields[note]}"),
)


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe TOML, such as engines/unet_lite0/train.toml.")],
    packs: Annotated[Path, typer.Option(help="Folder of packs, as `streamguard pack` makes it.")] = Path("runs/packs"),
    work: Annotated[Path, typer.Option(help="Where the checkpoint goes; a run resumes from here.")] = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="The detector's folder; default: the recipe's own folder.")] = None,
    device: Annotated[str, typer.Option(help="`cpu` or `cuda`.")] = "cpu",
    workers: Annotated[
        int, typer.Option(min=0, help="Threads that learn, each from batches of its own; 0: one a core.")
    ] = 0,
    seconds: Annotated[
        float, typer.Option(min=0, help="Stop after so many seconds of learning and write what was reached; 0: never.")
    ] = 0,
    ship: Annotated[
        bool, typer.Option("--ship", help="Write the detector from the checkpoint as it is, without learning.")
    ] = False,
    preview: Annotated[
        Path | None, typer.Option(help="Write a contact sheet (PNG) of what would be learned from, and leave.")
    ] = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder for TensorBoard: loss and validation.")] = None,
) -> None:
    """Learn from packs, choose thresholds on held-out people, and write the detector's folder. Resumable."""
    import os

    import torch

    from streamguard.errors import ConfigError, DataError
    from streamguard.files import write_bytes
    from streamguard.models import fresh
    from streamguard.training.drawing import PairDrawer
    from streamguard.training.held_out import HeldOutCrops
    from streamguard.training.pack import check_apart, open_packs
    from streamguard.training.preview import preview_sheet
    from streamguard.training.recipe import read_recipe
    from streamguard.training.run import check_both, finish
    from streamguard.training.tensorboard_log import TensorBoardLog
    from streamguard.training.trainer import Trainer

    read, toml = read_recipe(recipe), recipe.read_bytes()
    if device not in {"cpu", "cuda"} or (device == "cuda" and not torch.cuda.is_available()):
        raise ConfigError(f"--device {device}", "there is no such device here", "use `cpu`")
    # What would fail at the end of hours of work is to fail now.
    folder = out or recipe.parent
    spec = fresh(read.network).spec
    for place in (work, preview.parent if preview else folder):
        _make_writable(place)
    learned = open_packs(packs / "train", read.sets)
    if preview:
        drawer = PairDrawer(read, learned, spec.working_side or spec.size, spec.margin)
        write_bytes(preview, preview_sheet(read, drawer))
        console.print(f"what would be learned from drawn to {preview}", markup=False, highlight=False, soft_wrap=True)
        return
    held = open_packs(packs / "validation")
    check_apart(learned, held)
    crops = HeldOutCrops(held, spec.margin)
    check_both(crops)
    checkpoint = work / read.name / "checkpoint.pt"
    if ship and not checkpoint.is_file():
        raise DataError(str(checkpoint), "no checkpoint here", "train first, without --ship")
    trainer = Trainer(read, learned, crops, checkpoint, device, workers or os.cpu_count() or 1)
    if trainer.reached.step:
        notes.print(f"resumed at step {trainer.reached.step}")
    if not ship:
        with Progress(*_COLUMNS, console=notes) as progress, contextlib.ExitStack() as stack:
            log = stack.enter_context(TensorBoardLog(tensorboard, trainer.reached.step)) if tensorboard else None
            task = progress.add_task(read.name, total=read.steps, completed=trainer.reached.step, note="")

            def advance(reached: Reached) -> None:
                progress.update(task, completed=reached.step, note=_note(reached))
                if log:
                    log.add(reached)

            trainer.run(advance, seconds or None)
    _report(read, trainer.reached, finish(read, toml, trainer, held, folder), folder)


def _note(reached: Reached) -> str:
    note = f"loss {reached.loss:.3f}"
    if reached.curve:
        sets = reached.curve[-1]["sets"]
        note += "  AUC " + ", ".join(
            f"{name} {figures['auc']:.3f}"
            for name, figures in sets.items()
            if "/" not in name and figures["auc"] is not None
        )
    return note


def _report(recipe: Recipe, reached: Reached, outcome: Outcome, folder: Path) -> None:
    table = Table("set", "frame AUC", "above its own real one", "Dice, both halves", box=None)
    table.title = f"{recipe.name} after {reached.patches} patches, on held-out people; written to {folder}"
    table.title_justify = "left"
    for name, figures in (reached.curve[-1]["sets"] if reached.curve else {}).items():
        values = (figures[kind] for kind in ("auc", "within", "dice"))
        table.add_row(name, *("" if value is None else f"{value:.3f}" for value in values))
    console.print(table)
    if outcome.held_out_auc <= 0.5:
        notes.print("streamguard: this detector does not tell fakes from real faces: train longer", style="red")
    console.print(f"pixel threshold {outcome.spec.threshold:g}, unsure from {outcome.spec.unsure_threshold:g}")


def _make_writable(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    check_writable(folder / "file")
