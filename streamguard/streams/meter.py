"""Measurements of a stream: totals, rates over the last seconds, latency."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from streamguard.pipeline.stream import Counts

WINDOW = 5.0
"""Seconds that rates and percentiles look back."""
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper limits of the latency histogram's buckets, in seconds."""
_MOST_SAMPLES = 1000
ENOUGH = 5.0
"""Judged frames per second that are enough where nothing else is asked for: the vote's window is full."""
_SHORT = 0.9
"""Share of what is asked for below which a stream comes off short."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Frames per second."""

    received: float
    judged: float
    dropped: float


@dataclass(frozen=True, slots=True)
class Sampling:
    """Rates at which a stream is judged.

    Attributes:
        most: frames per second that may be judged; None for all there is time for.
        asked: frames per second that it would have judged.
        judged: frames per second that were.
        reduced: whether there was not the time for what was asked for, or for `ENOUGH` where no number was named.
    """

    most: float | None
    asked: float
    judged: float
    reduced: bool


class StreamMeter:
    """Counts one stream. Fed and read on one event loop.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, Counts]] = deque([(clock(), Counts())])
        self._first: float | None = None
        self._latencies: deque[tuple[float, float]] = deque(maxlen=_MOST_SAMPLES)
        self.buckets = [0] * (len(BUCKETS) + 1)
        """Verdicts per latency bucket, the last one without limit."""
        self.latency_sum = 0.0

    def mark(self, totals: Counts) -> None:
        """Take the present totals; to be called every second or so."""
        now = self._clock()
        self._marks.append((now, totals))
        while len(self._marks) > 2 and self._marks[1][0] <= now - WINDOW:
            self._marks.popleft()

    def rest(self) -> None:
        """Set all rates to 0: the stream has ended."""
        self._marks = deque([self._marks[-1]])

    def judged(self, latency: float) -> None:
        """Count one verdict, `latency` seconds after its frame arrived."""
        if self._first is None:
            self._first = self._clock()
        self.buckets[bisect_left(BUCKETS, latency)] += 1
        self.latency_sum += latency
        self._latencies.append((self._clock(), latency))

    def rates(self) -> Rates:
        """Over the last seconds."""
        (began, first), (ended, last) = self._marks[0], self._marks[-1]
        seconds = ended - began
        if seconds <= 0:
            return Rates(0.0, 0.0, 0.0)
        return Rates(
            (last.received - first.received) / seconds,
            (last.judged - first.judged) / seconds,
            (last.dropped - first.dropped) / seconds,
        )

    def sampling(self, most: float | None) -> Sampling:
        """Return the rates of judged frames over the last seconds.

        Args:
            most: frames per second asked for; None for as many as there is time for.
        """
        rates = self.rates()
        asked = rates.received if most is None else min(rates.received, most)
        needed = min(asked, ENOUGH) if most is None else asked
        settled = self._first is not None and self._clock() - self._first >= WINDOW
        # A frame is dropped where a newer one came before its turn: otherwise nothing was short but the source.
        short = rates.judged < _SHORT * needed and 2 * rates.dropped >= needed - rates.judged
        return Sampling(most, asked, rates.judged, settled and short)

    def percentiles(self) -> tuple[float, float] | None:
        """The median and the 95th percentile of the latency in seconds; None when nothing was judged lately."""
        since = self._clock() - WINDOW
        recent = sorted(latency for at, latency in self._latencies if at >= since)
        if not recent:
            return None
        return recent[len(recent) // 2], recent[min(len(recent) - 1, int(len(recent) * 0.95))]
