"""A score over time, thinned to a bounded number of samples while it comes in."""

from __future__ import annotations

from dataclasses import dataclass

MOST_SAMPLES = 256
"""Samples of a curve at the most: enough for a picture across a screen."""


@dataclass(frozen=True, slots=True)
class ScoreSample:
    """Summary of some frames in a row.

    Attributes:
        start, end: media seconds of the first and the last of them.
        score: mean calibrated fake probability of the judged ones, 0..1; None when none was judged.
        highest: the highest of them, 0..1; None when none was judged.
        judged, frames: how many were judged, and how many there are.
    """

    start: float
    end: float
    score: float | None
    highest: float | None
    judged: int
    frames: int


class ScoreCurve:
    """Takes a score a frame. Each sample stands for as many frames: one at first, twice as many whenever it is full.

    Args:
        most: samples that are kept, an even number of at least 2.
    """

    def __init__(self, most: int = MOST_SAMPLES) -> None:
        self._most = most
        self._stride = 1
        self._samples: list[ScoreSample] = []

    def push(self, time: float, score: float | None) -> None:
        """Take a frame.

        Args:
            time: media seconds; they rise.
            score: calibrated fake probability, 0..1; None when it was not judged.
        """
        sample = ScoreSample(time, time, score, score, int(score is not None), 1)
        if self._samples and self._samples[-1].frames < self._stride:
            self._samples[-1] = _joined(self._samples[-1], sample)
            return
        if len(self._samples) == self._most:
            pairs = zip(self._samples[::2], self._samples[1::2], strict=True)
            self._samples = [_joined(one, other) for one, other in pairs]
            self._stride *= 2
        self._samples.append(sample)

    def samples(self) -> tuple[ScoreSample, ...]:
        """The curve so far, in order."""
        return tuple(self._samples)


def _joined(one: ScoreSample, other: ScoreSample) -> ScoreSample:
    judged = one.judged + other.judged
    total = sum((part.score or 0.0) * part.judged for part in (one, other))
    highest = [part.highest for part in (one, other) if part.highest is not None]
    return ScoreSample(
        one.start,
        other.end,
        total / judged if judged else None,
        max(highest, default=None),
        judged,
        one.frames + other.frames,
    )
