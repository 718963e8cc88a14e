"""Usage of a machine, and the cost of judging on it, from counters read while streams are judged."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from streamguard.pipeline.capacity import Cost, Means, detections
from streamguard.pipeline.cpu_usage import CpuReading

SPAN = 10.0
"""Seconds that are looked back."""
WARM = 2.0
"""Seconds that a stream's beginning lasts, or its end."""
_LEAST = 3.0
"""Seconds over which the same streams must have played for costs to be read."""
_PATIENCE = 6
"""Spans without any such, after which they are read all the same."""
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
        starting: streams that are about to be.
    """

    cpu: CpuReading
    done: int
    engine: dict[str, float]
    contended: float
    streams: int
    starting: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage in the last seconds.

    Attributes:
        cost: what judging costs.
        means: what there was for it: what this process used of the processors, and what was left idle. What was
            idle while streams came off short and waited, and not for the engine, could not be used and does not count;
            nor what the server takes without streams.
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

    Costs, and what there is for them, are read while the same streams play: what it takes to begin one (a source is
    opened, networks are loaded, others wait meanwhile) is the cost of no frame. While they come and go, what was read
    before holds.

    Args:
        detection: CPU seconds per run of the face detector, measured before.
        most: processors that may be used.
        span: seconds that are looked back.
        warm: seconds after a stream came or went that tell nothing.
        first: what judging costs, measured before; holds until frames are judged.
    """

    def __init__(
        self,
        detection: float,
        most: float = float("inf"),
        span: float = SPAN,
        warm: float = WARM,
        first: Cost | None = None,
    ) -> None:
        self._detection, self._most, self._span, self._warm = detection, most, span, warm
        self._readings: deque[Reading] = deque()
        self._steady: deque[Reading] = deque()
        self._steady_from = float("-inf")
        self._read_at: float | None = None
        self._base = 0.0
        self._cost = first
        self._judged = False
        self._means = Means(1e-6)

    def add(self, reading: Reading) -> None:
        """Take a reading."""
        at, last = reading.cpu.at, self._readings[-1] if self._readings else reading
        if reading.starting or (reading.streams, reading.starting) != (last.streams, last.starting):
            self._steady_from = at + self._warm
            self._steady.clear()
        self._take(self._readings, reading)
        if self._read_at is None:
            self._read_at = at
        if at - self._read_at > _PATIENCE * self._span:
            # They never stop coming and going: what is read then is better than what was read long ago.
            self._steady = deque(self._readings)
        elif at >= self._steady_from:
            self._take(self._steady, reading)

    def usage(self, rates: Sequence[float], every: int = 5, *, short: bool = True) -> Usage | None:
        """Return the usage; None until streams have played for some seconds and frames were judged.

        Args:
            rates: judged frames per second of each stream that is up, over about the same time.
            every: the face detector runs on every so many of them.
            short: whether any is judged less often than asked for. Where not, nothing kept streams from what is idle.
        """
        if len(self._readings) < 2:
            return None
        if len(self._steady) > 1 and self._steady[-1].cpu.at - self._steady[0].cpu.at >= min(_LEAST, self._span):
            self._read_costs(_Spent.between(self._steady[0], self._steady[-1]), rates, every, short=short)
        if self._cost is None or not self._judged:
            return None
        now = _Spent.between(self._readings[0], self._readings[-1])
        processors = max(1e-6, min(now.used + now.usable(short=short), self._most))
        load = min(1.0, max(now.used / processors, now.busy))
        return Usage(self._cost, self._means, now.showing, load, now.judged, now.contended)

    def _read_costs(self, spent: _Spent, rates: Sequence[float], every: int, *, short: bool) -> None:
        self._read_at = self._steady[-1].cpu.at
        streams = sum(each.streams for each in self._steady) / len(self._steady)
        if not streams:
            # What the server takes for itself is the cost of no frame either.
            self._base = spent.used
        if rates and self._cost is not None and spent.frames < _FEWEST:
            # Decoding alone may take all there is.
            stream = max(self._cost.stream, spent.decoding / max(1.0, streams))
            self._cost, self._judged = replace(self._cost, stream=stream), True
        if rates and spent.frames >= _FEWEST:
            self._judged = True
            finding = sum(detections(rate, every) for rate in rates) * self._detection
            rest = max(0.0, spent.used - self._base - spent.decoding - spent.showing - finding)
            # Those that have gone meanwhile were decoded, too.
            self._cost = Cost(
                spent.decoding / max(1.0, streams), rest / spent.judged, self._detection, spent.busy / spent.judged
            )
        processors = min(spent.used + spent.usable(short=short), self._most)
        self._means = Means(max(processors - spent.showing - self._base, 1e-6))

    def _take(self, readings: deque[Reading], reading: Reading) -> None:
        readings.append(reading)
        while len(readings) > 2 and readings[1].cpu.at <= reading.cpu.at - self._span:
            readings.popleft()


@dataclass(frozen=True, slots=True)
class _Spent:
    """Between two readings, per second; `frames` in all."""

    used: float
    idle: float
    showing: float
    decoding: float
    contended: float
    busy: float
    judged: float
    frames: int

    @classmethod
    def between(cls, first: Reading, last: Reading) -> _Spent:
        seconds = max(1e-6, last.cpu.at - first.cpu.at)
        engines = (total - first.engine.get(name, 0.0) for name, total in last.engine.items())
        return cls(
            used=(last.cpu.used - first.cpu.used) / seconds,
            idle=max(0.0, last.cpu.idle - first.cpu.idle) / seconds,
            showing=(last.cpu.showing - first.cpu.showing) / seconds,
            decoding=(last.cpu.decoding - first.cpu.decoding) / seconds,
            contended=min(1.0, (last.contended - first.contended) / seconds),
            busy=max(engines, default=0.0) / seconds,
            judged=(last.done - first.done) / seconds,
            frames=last.done - first.done,
        )

    def usable(self, *, short: bool) -> float:
        """Of what was idle. Streams that came off short and waited, although a processor was idle and the engine too,
        could not have used either."""
        return self.idle * (1 - self.contended * (1 - min(1.0, self.busy))) if short else self.idle
