"""The comparison in the terminal: one table across the sets, one for each set."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from streamguard.training.comparison.compare import Row
from streamguard.training.comparison.crosssets import SETS
from streamguard.training.comparison.figures import SetFigures
from streamguard.training.evaluation.bootstrap import Figure
from streamguard.training.evaluation.wording import DISCLAIMER, NONE, interval, number

FIGURES = (
    ("frame AUC", "frames"),
    ("video AUC", "videos"),
    ("AUC within a person", "persons"),
    ("accuracy", "accuracy"),
)
"""Headings of a set's columns, and which of `SetFigures` they show."""


def cross_table(rows: Sequence[Row]) -> Table:
    """Frame AUC of each detector on each set, by what it was trained on."""
    table = Table(
        title="Trained on one set, tested on all: frame AUC",
        caption=Text(f"Intervals: 95 %, clips resampled. {DISCLAIMER}"),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("detector, trained on")
    for heading in ("weights", "crops seen", *SETS.values()):
        table.add_column(heading, justify="right")
    for row in rows:
        cells = [_cell(row.sets[name].frames) for name in SETS]
        table.add_row(Text(row.name), weights(row), crops(row), *cells)
    return table


def set_table(rows: Sequence[Row], name: str) -> Table:
    """All figures of one set; `name` is a key of `crosssets.SETS`."""
    table = Table(title=f"Tested on {SETS[name]}", title_justify="left")
    table.add_column("detector, trained on")
    for heading, _ in FIGURES:
        table.add_column(heading, justify="right")
    if by_person := _persons([row.sets[name] for row in rows]):
        table.add_column(f"AUC of {', '.join(by_person)}", justify="right")
    for row in rows:
        figures = row.sets[name]
        cells: list[Text | str] = [_cell(getattr(figures, key)) for _, key in FIGURES]
        if by_person:
            cells.append(", ".join(number(figures.by_person.get(person), 2) for person in by_person))
        table.add_row(Text(row.name), *cells)
    return table


def weights(row: Row) -> str:
    """How many weights it has, in words."""
    count = row.parameters
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count / 1e3:.1f} k" if count else NONE


def crops(row: Row) -> str:
    """How many crops it has seen here, in how many minutes."""
    return f"{row.crops} ({row.seconds / 60:.1f} min)" if row.crops else NONE


def _persons(sets: Sequence[SetFigures]) -> list[str]:
    return sorted({person for figures in sets for person in figures.by_person})


def _cell(figure: Figure) -> Text:
    if figure.value is None:
        return Text(NONE, style="dim")
    text = Text(number(figure.value), style="bold")
    spread = interval(figure)
    return text.append(f"\n{spread}", style="not bold dim") if spread else text
