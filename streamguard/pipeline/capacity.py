"""Number of streams that fit on a machine: arithmetic over what was measured there.

Two things may run out: the processors, and the one thread that feeds the engine. A stream costs processor time all the
time (it is decoded), and more for each judged frame; a judged frame also takes the engine's time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streamguard.faces.pace import LONGEST

LEAST_RATE = 1.0
"""Judged frames per second that every stream keeps before another one is let in."""
ADMITTED_RATE = 1.15
"""Rate to be foreseen for each stream, so that `LEAST_RATE` is kept: on full machines an eighth less came of it."""
_STEPS = 40


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of judging, in seconds.

    Attributes:
        stream: CPU time per second of a stream, judged or not.
        frame: CPU time per judged frame, without detection.
        detection: CPU time per run of the face detector.
        engine: time of the engine per judged frame.
    """

    stream: float
    frame: float
    detection: float
    engine: float

    def cpu(self, rate: float, every: int = 5) -> float:
        """CPU seconds per second of a stream of which `rate` frames a second are judged."""
        return self.stream + rate * self.frame + detections(rate, every) * self.detection


@dataclass(frozen=True, slots=True)
class Means:
    """Means at hand, per second.

    Attributes:
        processors: CPU seconds that are to be had.
        engine: seconds of the engine's thread.
    """

    processors: float
    engine: float = 1.0


def detections(rate: float, every: int = 5) -> float:
    """Runs per second of the face detector on a live stream, at the most, while no face comes or is lost.

    Args:
        rate: judged frames per second.
        every: it runs on every so many of them, and after `LONGEST` seconds in any case.
    """
    return max(min(rate, 1 / LONGEST), rate / every)


def load_share(cost: Cost, means: Means, rates: Sequence[float]) -> float:
    """The share of the scarcer means that streams judged so often take; above 1 it is too much.

    Args:
        rates: judged frames per second, of each stream.
    """
    cpu = sum(cost.cpu(rate) for rate in rates)
    engine = sum(rates) * cost.engine
    return max(cpu / max(means.processors, 1e-9), engine / max(means.engine, 1e-9))


def shared_rate(cost: Cost, means: Means, asked: Sequence[float]) -> float:
    """Judged frames per second that no stream gets more of, when all are lowered evenly; 0 where decoding takes all.

    Args:
        asked: what each stream asks for.
    """
    low, high = 0.0, max(asked, default=0.0)
    if load_share(cost, means, asked) <= 1:
        return high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        fits = load_share(cost, means, [min(middle, rate) for rate in asked]) <= 1
        low, high = (middle, high) if fits else (low, middle)
    return low


def most_streams(cost: Cost, means: Means, rate: float) -> int:
    """Number of streams that can be judged so often."""
    each = max(cost.cpu(rate) / max(means.processors, 1e-9), rate * cost.engine / max(means.engine, 1e-9))
    return int(1 / each) if each > 0 else 0


def scarce(cost: Cost, means: Means, rate: float) -> str:
    """Resource that runs out first where streams are judged so often: `processors` or `engine`."""
    engine = rate * cost.engine / max(means.engine, 1e-9)
    return "engine" if engine > cost.cpu(rate) / max(means.processors, 1e-9) else "processors"
