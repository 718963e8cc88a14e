"""`streamguard compare`: train other detectors on the same packs, and test all of them across sets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from streamguard.cli.runner import check_device, console, notes

if TYPE_CHECKING:
    from streamguard.training.comparison.rows import ComparisonRow

_COLUMNS = (
    TextColumn("{task.description}", markup=False),
    BarColumn(),
    TaskProgressColumn(),
    TimeElapsedColumn(),
    TextColumn("{task.fields[note]}"),
)


def compare(
    recipe: Annotated[Path, typer.Argument(help="Recipe TOML: sources, views, rates, batch size.")],
    seconds: Annotated[float, typer.Option(min=1, help="Seconds that each network learns.")],
    packs: Annotated[Path, typer.Option(help="Folder of packs, as `streamguard pack` makes it.")] = Path("runs/packs"),
    networks: Annotated[
        str, typer.Option(help="Comma-separated, such as unet_lite0,unet_v1,efficientnet_b0,xception.")
    ] = "unet_lite0,efficientnet_b0",
    trained_on: Annotated[
        str, typer.Option("--trained-on", help="Comma-separated: `all`, or sets of the recipe; a row for each.")
    ] = "all",
    references: Annotated[
        str, typer.Option(help="Comma-separated: finished detectors (names, folders), blur, sharpness, brightness.")
    ] = "blur",
    out: Annotated[Path, typer.Option(help="Where rows and the page go; finished rows are kept.")] = Path(
        "runs/compare"
    ),
    most: Annotated[int, typer.Option(min=2, help="Examples judged of each set and program, evenly taken.")] = 120,
    device: Annotated[str, typer.Option(help="`cpu` or `cuda`.")] = "cpu",
    workers: Annotated[
        int, typer.Option(min=0, help="Threads that learn, each from batches of its own; 0: one a core.")
    ] = 0,
) -> None:
    """Train classifiers and segmentation networks alike, on the same packs, and test them across sets. Resumable."""
    import os

    from streamguard.training.comparison.compare import ComparisonPlan
    from streamguard.training.comparison.compare import compare as run_comparison
    from streamguard.training.comparison.page import calls_table, columns, write_pages
    from streamguard.training.recipe import read_recipe

    check_device(device)
    plan = ComparisonPlan(
        recipe=read_recipe(recipe),
        packs=packs,
        networks=_listed(networks),
        trained_on=_listed(trained_on),
        references=_listed(references),
        seconds=seconds,
        workers=workers or os.cpu_count() or 1,
        device=device,
        most=most,
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*_COLUMNS, console=notes) as progress:

        def advance(name: str, share: float, note: str) -> None:
            if name not in tasks:
                tasks[name] = progress.add_task(name, total=1.0, note="")
            progress.update(tasks[name], completed=share, note=note)

        rows = run_comparison(plan, out, advance)
    page = write_pages(rows, out)
    sets = columns(rows, programs=False)
    console.print(_table("Frame AUC of each set; • has learned from it", rows, sets, "auc"))
    console.print(_table("Dice of masks, both halves of registered pairs", rows, sets, "dice"))
    for kind in ("frames", "videos"):
        if (called := calls_table(rows, kind)) is not None:
            table = _empty(f"F1 of {kind} called fake, its interval; precision, recall", "threshold", *called.heads)
            for network, source, threshold, figures in called.rows:
                table.add_row(
                    _label(network, source), threshold, *(Text("\n".join(filter(None, figure))) for figure in figures)
                )
            console.print(table)
    console.print(f"figures of programs, and what they rest on: {page}", markup=False, highlight=False, soft_wrap=True)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def _empty(title: str, *heads: str) -> Table:
    table = Table("detector", title=title, title_justify="left", box=None)
    for head in heads:
        # A set's name is no markup.
        table.add_column(Text(head))
    return table


def _label(network: str, source: str) -> Text:
    return Text(f"{network}\n{source}")


def _table(title: str, rows: Sequence[ComparisonRow], sets: Sequence[str], kind: str) -> Table:
    from streamguard.training.comparison.page import HOME, at_home, origin, weights
    from streamguard.training.evaluation.wording import interval, number

    table = _empty(title, "weights", "patches", *sets)
    for row in rows:
        figures = [getattr(row.cells[name], kind) for name in sets]
        if kind == "dice" and all(figure.value is None for figure in figures):
            continue
        cells = [
            Text(f"{number(figure.value)}{HOME if at_home(row, name) else ''}\n{interval(figure)}")
            for name, figure in zip(sets, figures, strict=True)
        ]
        table.add_row(_label(row.network, origin(row)), weights(row), str(row.patches or ""), *cells)
    return table
