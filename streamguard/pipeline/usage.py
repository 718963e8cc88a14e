"""What is used of a machine, and what judging costs on it, from counters read while streams are judged."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from streamguard.pipeline.capacity import Cost, Means, detections
from streamguard.pipeline.processor import CpuReading

SPAN = 10.0
"""Seconds that are looked back."""
_FEWEST = 10
"""Judged frames below which a cost says nothing."""


@dataclass(frozen=True, slots=True)
class Reading:
    """All counters at a moment.

    Attributes:
        cpu: the processors'.
        done: frames analysed since the start.
        engine: seconds of each engine at work, by detector.
        contended: seconds in which a stream waited for its turn.
        streams: streams that are up now.
    """

    cpu: CpuReading
    done: int
    engine: dict[str, float]
    contended: float
    streams: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Of the last seconds.

    Attributes:
        cost: what judging costs.
        means: what there was for it: what this process used of the processors, and what was left idle. What was
            idle while streams waited, and not for the engine, could not be used and does not count.
        showing: processors that viewers took; not in `means`.
        load: share of the scarcer means that was used, 0 to 1.
        judged: frames per second, of all streams.
        contended: share of the time in which a stream waited for its turn.
    """

    cost: Cost
    means: Means
    showing: float
    load: float
    judged: float
    contended: float


class UsageMeter:
    """Fed with a reading every second or so.

    Args:
        detection: CPU seconds per run of the face detector, measured before.
        most: processors that may be used.
        span: seconds that are looked back.
    """

    def __init__(self, detection: float, most: float = float("inf"), span: float = SPAN) -> None:
        self._detection, self._most, self._span = detection, most, span
        self._readings: deque[Reading] = deque()
        self._cost: Cost | None = None

    def add(self, reading: Reading) -> None:
        """Take a reading."""
        self._readings.append(reading)
        while len(self._readings) > 2 and self._readings[1].cpu.at <= reading.cpu.at - self._span:
            self._readings.popleft()

    def usage(self, rates: Sequence[float], every: int = 5) -> Usage | None:
        """What was used; None until there are two readings, and frames have been judged.

        Args:
            rates: judged frames per second of each stream that is up, over about the same time.
            every: the face detector runs on every so many of them.
        """
        if len(self._readings) < 2:
            return None
        first, last = self._readings[0], self._readings[-1]
        seconds = max(1e-6, last.cpu.at - first.cpu.at)
        used = (last.cpu.used - first.cpu.used) / seconds
        idle = (last.cpu.idle - first.cpu.idle) / seconds
        showing = (last.cpu.showing - first.cpu.showing) / seconds
        decoding = (last.cpu.decoding - first.cpu.decoding) / seconds
        contended = min(1.0, (last.contended - first.contended) / seconds)
        busy = max((total - first.engine.get(name, 0.0) for name, total in last.engine.items()), default=0.0) / seconds
        judged = (last.done - first.done) / seconds
        if last.done - first.done >= _FEWEST and rates:
            finding = sum(detections(rate, every) for rate in rates) * self._detection
            rest = max(0.0, used - decoding - showing - finding)
            # Those that have gone meanwhile were decoded, too.
            streams = max(1.0, sum(each.streams for each in self._readings) / len(self._readings))
            self._cost = Cost(decoding / streams, rest / judged, self._detection, busy / judged)
        if self._cost is None:
            return None
        # Streams that waited although a processor was idle, and the engine too, could not have used either.
        unusable = contended * (1 - min(1.0, busy))
        processors = max(1e-6, min(used + max(0.0, idle) * (1 - unusable), self._most))
        means = Means(max(processors - showing, 1e-6))
        return Usage(self._cost, means, showing, min(1.0, max(used / processors, busy)), judged, contended)
