"""Where the frame rule errs, by face size and by sharpness: the quality gate's limits are chosen from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamguard.training.evaluation.bootstrap import Figure, Resamples, ratio_figure
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
        real_frames, fake_frames: how many are in it.
        false_positives: share of its real frames that were called fake.
        misses: share of its fake frames that were called real.
    """

    low: float
    high: float | None
    real_frames: int
    fake_frames: int
    false_positives: Figure
    misses: Figure


def errors_by(clips: Sequence[ClipRecord], drawn: Resamples) -> Mapping[str, tuple[ErrorBin, ...]]:
    """Bins by `shorter_side` (fixed edges) and by `sharpness` (as many frames in each); empty ones are left out.

    Args:
        clips: judged clips.
        drawn: resamples of them, for the intervals.
    """
    found = {}
    for measure in MEASURES:
        values = [_values(clip, measure) for clip in clips]
        pooled = np.concatenate([rows[:, 0] for rows in values]) if values else np.zeros(0)
        if pooled.size:
            edges = SIZE_EDGES if measure == "shorter_side" else _even_edges(pooled)
            found[measure] = tuple(_bins(values, edges, drawn))
    return found


def _values(clip: ClipRecord, measure: str) -> Floats:
    """float64 [N, 3]: value, label and verdict of the frames that have all three."""
    rows = [
        (getattr(frame, measure), bool(frame.label), bool(frame.fake))
        for frame in clip.frames
        if frame.judged and frame.label is not None and getattr(frame, measure) is not None
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def _even_edges(values: Floats) -> tuple[float, ...]:
    """Rounded lower edges of bins that hold about as many values each; the last bin is open."""
    cuts = np.quantile(values, np.arange(1, SHARPNESS_BINS) / SHARPNESS_BINS)
    return (0.0, *sorted({round(float(cut), 3) for cut in cuts} - {0.0}))


def _bins(values: Sequence[Floats], edges: Sequence[float], drawn: Resamples) -> list[ErrorBin]:
    # per clip and bin: real frames, false positives, fake frames, misses
    table = np.zeros((len(edges), 4, len(values)))
    for column, rows in enumerate(values):
        index = np.searchsorted(edges, rows[:, 0], side="right") - 1
        label, fake = rows[:, 1] > 0, rows[:, 2] > 0
        for number, chosen in enumerate((~label, ~label & fake, label, label & ~fake)):
            table[:, number, column] = np.bincount(index[chosen], minlength=len(edges))
    bins = []
    for low, high, (real, alarms, fakes, misses) in zip(edges, (*edges[1:], None), table, strict=True):
        if real.any() or fakes.any():
            bins.append(
                ErrorBin(
                    low=low,
                    high=high,
                    real_frames=int(real.sum()),
                    fake_frames=int(fakes.sum()),
                    false_positives=ratio_figure(alarms, real, drawn, real > 0, "no real frame"),
                    misses=ratio_figure(misses, fakes, drawn, fakes > 0, "no fake frame"),
                )
            )
    return bins
