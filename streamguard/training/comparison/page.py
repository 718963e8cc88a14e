"""The comparison as a page and as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from streamguard import report
from streamguard.files import write_text
from streamguard.training.comparison.figures import Calls
from streamguard.training.comparison.rows import ComparisonRow, as_document
from streamguard.training.evaluation.wording import DISCLAIMER, NONE, number

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
    "learned from are called what they are (real and fake, and all sets, count alike), so that those figures are a "
    "little too good and the others are not. As shipped: its own threshold. A video is fake where more than half of "
    "its crops are; sets of one frame a video have none.",
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
    cells = []
    for row in rows:
        start = ", ImageNet" if row.start else ""
        cells.append(
            [
                (row.network, f"trained on {row.trained_on}{start}" if row.home else row.trained_on),
                (weights(row), f"{row.patches} patches" if row.patches else ""),
                *((getattr(row.cells[name], kind), name.partition("/")[0] in row.home) for name in names),
            ]
        )
    return {"heads": ["Detector", "Weights", *_heads(rows, names)], "rows": cells}


def calls_of(rows: Sequence[ComparisonRow], kind: str) -> tuple[list[ComparisonRow], list[str]]:
    """The rows with a threshold, and the sets of which `frames` or `videos` are called."""
    thresholds = [row for row in rows if row.threshold is not None]
    names = columns(rows, programs=False)
    return thresholds, [name for name in names if any(getattr(row.cells[name], kind) for row in thresholds)]


def in_words(calls: Calls | None) -> tuple[str, str]:
    """F1, and precision and recall below it."""
    if calls is None:
        return NONE, ""
    return number(calls.f1.value), f"{number(calls.precision.value)}, {number(calls.recall.value)}"


def _calls(rows: Sequence[ComparisonRow], kind: str) -> dict[str, Any] | None:
    thresholds, names = calls_of(rows, kind)
    if not names:
        return None
    cells = [
        [(row.network, f"trained on {row.trained_on}" if row.home else row.trained_on), number(row.threshold)]
        + [in_words(getattr(row.cells[name], kind)) for name in names]
        for row in thresholds
    ]
    heads = _heads(rows, names) if kind == "frames" else names
    return {"heads": ["Detector", "Threshold", *heads], "rows": cells}


def _heads(rows: Sequence[ComparisonRow], names: Sequence[str]) -> list[str]:
    counts = {name: row.cells[name] for row in rows for name in names if name in row.cells}
    return [f"{name} ({counts[name].fakes} + {counts[name].reals})" for name in names]
