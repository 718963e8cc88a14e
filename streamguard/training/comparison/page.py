"""The comparison as one self-contained HTML page and as JSON; every name from outside is escaped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from pathlib import Path

from streamguard.files import write_text
from streamguard.training.comparison.rows import Row, as_document
from streamguard.training.evaluation.bootstrap import Figure
from streamguard.training.evaluation.markup import document, figure_cell, remark, section, table, two_lines
from streamguard.training.evaluation.wording import DISCLAIMER, NONE

SCHEMA = "streamguard.comparison/2"
HOME = " \N{BULLET}"
"""Behind a figure of a set that the network has learned from."""
NEUTRAL = {"auc": 0.5, "dice": 0.0}
"""Where a figure has no colour."""
LIMITS = (
    "Every network that was trained here learned for the same time, from batches drawn alike, at the same rates: one "
    "of few weights sees more patches in it than one of many. Published figures come from far longer training.",
    "All start from random weights but those marked ImageNet: what such a start is worth is in their figures, too.",
    "Segmentation networks learn masks and the picture's label; their score is the mean of their map's highest "
    "sixteenth. Classifiers learn the label alone.",
    "Trained on a set: from those sources of the recipe that have it, and of their fakes from that set alone; the real "
    "faces may be of other sets.",
    "As shipped: not trained here; what it has learned from is told in its card. Nothing: blurred, sharp or bright "
    "means fake. Who does not beat these has learned nothing else.",
    "A set is tested against its own real faces, or against those of all sets where it has none, on people that no "
    "network has learned from here.",
)


def columns(rows: Sequence[Row], *, programs: bool) -> list[str]:
    """The sets that were tested, or the programs of those with several."""
    return sorted({name for row in rows for name in row.cells if ("/" in name) == programs})


def weights(row: Row) -> str:
    """How many weights it has, in words."""
    count = row.weights
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count / 1e3:.1f} k" if count else NONE


def write_pages(rows: Sequence[Row], out: Path) -> Path:
    """Write all figures as `comparison.json` and as `comparison.html`, whose path is returned.

    Raises:
        OutputError: a file cannot be written; an older one is left as it was.
    """
    content = {"schema": SCHEMA, "notice": DISCLAIMER, "rows": [as_document(row) for row in rows]}
    write_text(out / "comparison.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_text(out / "comparison.html", render(rows))
    return out / "comparison.html"


def render(rows: Sequence[Row]) -> str:
    """The page as HTML text."""
    seconds = max((row.settings.get("seconds", 0) for row in rows), default=0)
    facts = {"Time of each": f"{seconds / 60:g} minutes" if seconds else NONE, "Rows": str(len(rows))}
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts.items())
    head = (
        "<header><p class=eyebrow>streamguard comparison</p><h1>Detectors trained alike, tested across sets</h1>"
        f"<dl>{items}</dl><p class=notice role=note>{escape(DISCLAIMER)}</p></header>"
    )
    sets, programs = columns(rows, programs=False), columns(rows, programs=True)
    marked = [row for row in rows if any(cell.dice.value is not None for cell in row.cells.values())]
    note = remark(
        "Frame AUC; 0.5 is chance, blue is above it and orange below. Small figures: 95 % intervals, groups (people) "
        f"resampled. In brackets: fake and real crops.{HOME}: has learned from that set."
    )
    return document(
        "Comparison of detectors",
        [
            head,
            section("Tested on each set", _matrix(rows, sets, "auc") + note),
            section("Tested on each program", _matrix(rows, programs, "auc") + note) if programs else "",
            section("Masks: Dice at 0.5, both halves of registered pairs", _matrix(marked, sets, "dice"))
            if marked
            else "",
            section("Data and limits", f"<ul>{''.join(f'<li>{escape(fact)}</li>' for fact in LIMITS)}</ul>"),
        ],
    )


def _matrix(rows: Sequence[Row], names: Sequence[str], kind: str) -> str:
    counts = {name: row.cells[name] for row in rows for name in names if name in row.cells}
    heads = [f"{name} ({counts[name].fakes} + {counts[name].reals})" for name in names]
    cells = []
    for row in rows:
        seen = f"{row.patches} patches" if row.patches else ""
        start = ", ImageNet" if row.start else ""
        cells.append(
            [
                two_lines(row.network, f"trained on {row.trained_on}{start}" if row.home else row.trained_on),
                two_lines(weights(row), seen),
                *(
                    _coloured(getattr(row.cells[name], kind), NEUTRAL[kind], name.partition("/")[0] in row.home)
                    for name in names
                ),
            ]
        )
    return table(["Detector", "Weights", *heads], cells)


def _coloured(figure: Figure, neutral: float, home: bool) -> str:
    if figure.value is None:
        return figure_cell(figure, terse=True)
    colour = "0,114,178" if figure.value >= neutral else "213,94,0"
    # Stronger, it would swallow the small print.
    strength = abs(figure.value - neutral) / (1 - neutral) * 0.3
    style = f"background:rgba({colour},{strength:.2f});border-radius:6px;padding:.15rem .4rem"
    return f'<div style="{style}">{figure_cell(figure, terse=True, mark=HOME if home else "")}</div>'
