"""`streamguard train`: make a detector from packs."""

from __future__ import annotations

import contextlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from streamguard.cli.progress import NOTE, counted_progress
from streamguard.cli.runner import check_device, check_writable, console, notes

if TYPE_CHECKING:
    import numpy as np

    from streamguard.training.drawing import PairDrawer
    from streamguard.training.recipe import Recipe
    from streamguard.training.run import TrainingResult
    from streamguard.training.trainer import Reached
    from streamguard.types import UInt8Array

_COLUMNS, _ROWS, _CELL = 10, 3, 160
"""Of the contact sheet: pictures across, pictures of a pair, and their side in pixels."""
_OUTLINE = (0, 230, 255)
_UNTAUGHT = (90, 90, 90)


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
    paced: Annotated[
        bool, typer.Option("--paced", help="Go through the recipe's learning rates within --seconds.")
    ] = False,
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

    from streamguard.errors import ConfigError, DataError
    from streamguard.files import write_bytes
    from streamguard.models.networks import fresh
    from streamguard.training.drawing import PairDrawer
    from streamguard.training.held_out import HeldOutCrops
    from streamguard.training.pack import check_apart, open_packs
    from streamguard.training.recipe import read_recipe
    from streamguard.training.run import check_both, finish
    from streamguard.training.tensorboard_log import TensorBoardLog
    from streamguard.training.trainer import Trainer

    read, toml = read_recipe(recipe), recipe.read_bytes()
    if paced and not seconds:
        raise ConfigError("--paced", "there is no time to go by", "give --seconds")
    check_device(device)
    # What would fail at the end of hours of work is to fail now.
    folder = out or recipe.parent
    spec = fresh(read.network).spec
    for place in (work, preview.parent if preview else folder):
        _make_writable(place)
    learned = open_packs(packs / "train", read.sets)
    if preview:
        drawer = PairDrawer(read, learned, spec.working_side or spec.size, spec.margin)
        write_bytes(preview, _preview(read, drawer))
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
        with counted_progress(NOTE) as progress, contextlib.ExitStack() as stack:
            log = stack.enter_context(TensorBoardLog(tensorboard, trainer.reached.step)) if tensorboard else None
            task = progress.add_task(read.name, total=read.steps, completed=trainer.reached.step, note="")

            def advance(reached: Reached) -> None:
                progress.update(task, completed=reached.step, note=_note(reached))
                if log:
                    log.add(reached)

            trainer.run(advance, seconds or None, paced=paced)
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


def _report(recipe: Recipe, reached: Reached, outcome: TrainingResult, folder: Path) -> None:
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


def _preview(recipe: Recipe, drawer: PairDrawer) -> bytes:
    """Real above fake above the fake with its truth outlined and what is not taught in grey, by stage, as a PNG."""
    import cv2
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    stages = recipe.stages
    figure = Figure(figsize=(2 * _COLUMNS, 2.15 * _ROWS * len(stages)), dpi=80, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    start = 0
    for part, stage in zip(figure.subfigures(len(stages), 1, squeeze=False)[:, 0], stages, strict=True):
        part.suptitle(f"from step {start}: patches of {stage.patch} px", x=0.01, ha="left", fontsize=11)
        grid = part.subplots(_ROWS, _COLUMNS)
        random = np.random.default_rng([recipe.seed, start])
        for column in range(_COLUMNS):
            drawn = drawer.pair(stage.patch, random)
            cells = (*drawn.pixels, _outlined(drawn.pixels[1], drawn.truth[1], drawn.taught[1]))
            for axes, picture in zip(grid[:, column], cells, strict=True):
                axes.imshow(cv2.resize(picture, (_CELL, _CELL), interpolation=cv2.INTER_AREA))
                axes.set_axis_off()
            grid[0, column].set_title(f"fake: {drawn.label[1]:.2f}", fontsize=9)
        start += stage.steps
    sheet = BytesIO()
    figure.savefig(sheet, format="png")
    return sheet.getvalue()


def _outlined(fake: UInt8Array, truth: np.ndarray, taught: np.ndarray) -> UInt8Array:
    import cv2
    import numpy as np

    size = fake.shape[1::-1]
    picture = fake.copy()
    picture[cv2.resize(taught, size, interpolation=cv2.INTER_NEAREST) == 0] = _UNTAUGHT
    mask = (cv2.resize(truth, size) > 0).astype(np.uint8)
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, contours, -1, _OUTLINE, 2)
    return picture
