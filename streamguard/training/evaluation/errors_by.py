"""Errors of the frame rule by face size and sharpness: the quality gate's limits are chosen from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamguard.training.evaluation.metrics import Floats
from streamguard.training.evaluation.records import ClipRecord

SIZE_EDGES = (0.0, 24.0, 32.0, 48.0, 64.0, 80.0, 96.0, 128.0, 160.0, 192.0, 256.0, 384.0)
"""Pixels of the face's shorter side; the last bin is open."""
SHARPNESS_BINS = 8
MEASURES = ("shorter_side", "sharpness")


@dataclass(frozen=True, slots=True)
class ErrorBin:
    """The errors of the frames of one bin.

    Attributes:
        low, high: the bin's edges, low <= value < high; None where it is open.
        reals, fakes: frames in it.
        false_alarms: share of its real frames that were called fake; None without any.
        misses: share of its fake frames that were not; None without any.
    """

    low: float
    high: float | None
    reals: int
    fakes: int
    false_alarms: float | None
    misses: float | None


def errors_by(clips: Sequence[ClipRecord]) -> Mapping[str, tuple[ErrorBin, ...]]:
    """Bins by `shorter_side` (fixed edges) and by `sharpness` (as many frames in each); empty ones are left out."""
    found = {}
    for measure in MEASURES:
        rows = [
            (value, clip.label, bool(frame.fake))
            for clip in clips
            for frame in clip.judged
            if (value := getattr(frame, measure)) is not None
        ]
        if rows:
            table = np.array(rows, dtype=np.float64)
            edges = SIZE_EDGES if measure == "shorter_side" else _even_edges(table[:, 0])
            found[measure] = tuple(_bins(table, edges))
    return found


def _even_edges(values: Floats) -> tuple[float, ...]:
    """Rounded lower edges of bins that hold about as many values each; the last bin is open."""
    cuts = np.quantile(values, np.arange(1, SHARPNESS_BINS) / SHARPNESS_BINS)
    return (0.0, *sorted({round(float(cut), 3) for cut in cuts} - {0.0}))


def _bins(table: Floats, edges: Sequence[float]) -> list[ErrorBin]:
    """`table` holds value, label and verdict of each frame."""
    index = np.searchsorted(edges, table[:, 0], side="right") - 1
    label, fake = table[:, 1] > 0, table[:, 2] > 0
    counts = [
        np.bincount(index[chosen], minlength=len(edges)) for chosen in (~label, ~label & fake, label, label & ~fake)
    ]
    return [
        ErrorBin(low, high, real, fakes, alarms / real if real else None, misses / fakes if fakes else None)
        for low, high, real, alarms, fakes, misses in zip(
            edges, (*edges[1:], None), *(each.tolist() for each in counts), strict=True
        )
        if real or fakes
    ]
