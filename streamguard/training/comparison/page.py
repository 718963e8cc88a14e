"""The comparison as a page and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamguard import report
from streamguard.files import write_text
from streamguard.training.comparison.figures import OF_A_VIDEO, Calls, Cell
from streamguard.training.comparison.rows import ComparisonRow, as_document
from streamguard.training.evaluation.wording import DISCLAIMER, NONE, interval, number

SCHEMA = "streamguard.comparison/3"
HOME = " \N{BULLET}"
"""Behind a figure of a set that the network has learned from."""
LIMITS = (
    "Every network that was trained here learned for the same time, from batches drawn alike, at the same rates: one "
    "of few weights sees more patches in it than one of many. Published figures come from far longer training.",
    "All start from random weights but those marked ImageNet: what such a start is worth is in their figures, too.",
    "Segmentation networks learn masks, and the picture's label where the recipe says so; their score is the mean of "
    "their map's highest sixteenth. Classifiers learn the label alone.",
    "Trained on a set: from those sources of the recipe that have it, and of their fakes from that set alone; the real "
    "faces may be of other sets.",
    "A frame is called fake above the row's threshold: the one of a grid at which most crops of the sets that it has "
    "learned from are called what they are (fake and real count alike, and so do the sets of each), so that those "
    "figures are a little too good and the others are not. There is none where these sets hold no fake or no real crop "
    "to test on, or where none is better than calling everything the same. As shipped: its own threshold. A video is "
    f"fake where more than half of its crops are; it needs {OF_A_VIDEO} of them.",
    "As shipped: not trained here; what it has learned from is told in its card. Nothing: blurred, sharp or bright "
    "means fake. Who does not beat these has learned nothing else.",
    "A set is tested against its own real faces, or against those of all sets where it has none, on people that no "
    "network has learned from here.",
)


def columns(rows: Sequence[ComparisonRow], *, programs: bool) -> list[str]:
    """The sets that were tested, or the programs of those with several."""
    return sorted({name for row in rows for name in row.cells if ("/" in name) == programs})


def weights(row: ComparisonRow) -> str:
    """Number of weights, in words."""
    count = row.weights
    return f"{count / 1e6:.1f} M" if count >= 1e5 else f"{count / 1e3:.1f} k" if count else NONE


def write_pages(rows: Sequence[ComparisonRow], out: Path) -> Path:
    """Write all figures as `comparison.json` and as `comparison.html`, whose path is returned.

    Raises:
        OutputError: a file cannot be written; an older one is left as it was.
    """
    content = {"schema": SCHEMA, "notice": DISCLAIMER, "rows": [as_document(row) for row in rows]}
    write_text(out / "comparison.json", json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_text(out / "comparison.html", render(rows))
    return out / "comparison.html"


def render(rows: Sequence[ComparisonRow]) -> str:
    """The page as HTML text."""
    seconds = max((row.settings.get("seconds", 0) for row in rows), default=0)
    sets, programs = columns(rows, programs=False), columns(rows, programs=True)
    marked = [row for row in rows if any(cell.dice.value is not None for cell in row.cells.values())]
    return report.render_page(
        "comparison.html",
        title="Comparison of detectors",
        facts=[("Time of each", f"{seconds / 60:g} minutes" if seconds else NONE), ("Rows", str(len(rows)))],
        notice=DISCLAIMER,
        mark=HOME,
        sets=_matrix(rows, sets, "auc"),
        programs=_matrix(rows, programs, "auc") if programs else None,
        masks=_matrix(marked, sets, "dice") if marked else None,
        frames=_calls(rows, "frames"),
        videos=_calls(rows, "videos"),
        limits=LIMITS,
    )


def _matrix(rows: Sequence[ComparisonRow], names: Sequence[str], kind: str) -> dict[str, Any]:
    """Heads, and rows whose figures stand beside whether the network has learned from their set."""
    counts = {name: row.cells[name] for row in rows for name in names if name in row.cells}
    cells = [
        [
            (row.network, origin(row)),
            (weights(row), f"{row.patches} patches" if row.patches else ""),
            *((getattr(row.cells[name], kind), at_home(row, name)) for name in names),
        ]
        for row in rows
    ]
    return {"heads": ["Detector", "Weights", *(_head(name, counts[name]) for name in names)], "rows": cells}


def origin(row: ComparisonRow) -> str:
    """What it was trained on, and from which start."""
    start = ", ImageNet" if row.start else ""
    return f"trained on {row.trained_on}{start}" if row.home else row.trained_on


def at_home(row: ComparisonRow, column: str) -> bool:
    """Return whether the network has learned from that set."""
    return column.partition("/")[0] in row.home


@dataclass(frozen=True, slots=True)
class CallsTable:
    """F1, precision and recall of all rows with a threshold, in words.

    Attributes:
        heads: sets, with their fakes and reals.
        rows: network, origin, threshold, and the lines of each set's cell: F1, its interval, precision and recall.
    """

    heads: list[str]
    rows: list[tuple[str, str, str, list[tuple[str, str, str]]]]


def calls_table(rows: Sequence[ComparisonRow], kind: str) -> CallsTable | None:
    """The table of `frames` or `videos`; None where nothing was called. Its last row calls everything fake."""
    known = [row for row in rows if row.threshold is not None]
    found: dict[str, Calls] = {}
    for row in known:
        for name in columns(rows, programs=False):
            if (calls := getattr(row.cells[name], kind)) is not None:
                found.setdefault(name, calls)
    if not found:
        return None
    lines = [
        (row.network, origin(row), number(row.threshold), [_in_words(row, name, kind) for name in found])
        for row in known
    ]
    shares = [calls.fakes / (calls.fakes + calls.reals) for calls in found.values()]
    everything = [(number(2 * share / (1 + share)), "", f"{number(share)}, {number(1.0)}") for share in shares]
    lines.append(("everything called fake", "", NONE, everything))
    return CallsTable([_head(name, calls) for name, calls in found.items()], lines)


def _in_words(row: ComparisonRow, name: str, kind: str) -> tuple[str, str, str]:
    calls: Calls | None = getattr(row.cells[name], kind)
    if calls is None:
        return NONE, "", ""
    below = f"{number(calls.precision.value)}, {number(calls.recall.value)}"
    return f"{number(calls.f1.value)}{HOME if at_home(row, name) else ''}", interval(calls.f1), below


def _calls(rows: Sequence[ComparisonRow], kind: str) -> dict[str, Any] | None:
    table = calls_table(rows, kind)
    if table is None:
        return None
    cells = [[(network, source), threshold, *figures] for network, source, threshold, figures in table.rows]
    return {"heads": ["Detector", "Threshold", *table.heads], "rows": cells}


def _head(name: str, counted: Cell | Calls) -> str:
    return f"{name} ({counted.fakes} + {counted.reals})"
