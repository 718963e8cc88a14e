"""What a stream's numbers are: totals, rates over the last seconds, latency."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable

from streamguard.pipeline.stream import Counts

WINDOW = 5.0
"""Seconds that rates and percentiles look back."""
BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper limits of the latency histogram's buckets, in seconds."""
_MOST_SAMPLES = 1000


class StreamMeter:
    """Counts one stream. Fed and read on one event loop.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._marks: deque[tuple[float, Counts]] = deque([(clock(), Counts())])
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

    def judged(self, latency: float) -> None:
        """Count one verdict, `latency` seconds after its frame arrived."""
        self.buckets[bisect_left(BUCKETS, latency)] += 1
        self.latency_sum += latency
        self._latencies.append((self._clock(), latency))

    def rates(self) -> tuple[float, float, float]:
        """Received, judged and dropped frames per second."""
        (began, first), (ended, last) = self._marks[0], self._marks[-1]
        seconds = ended - began
        if seconds <= 0:
            return 0.0, 0.0, 0.0
        return (
            (last.received - first.received) / seconds,
            (last.judged - first.judged) / seconds,
            (last.dropped - first.dropped) / seconds,
        )

    def percentiles(self) -> tuple[float, float] | None:
        """The median and the 95th percentile of the latency in seconds; None when nothing was judged lately."""
        since = self._clock() - WINDOW
        recent = sorted(latency for at, latency in self._latencies if at >= since)
        if not recent:
            return None
        return recent[len(recent) // 2], recent[min(len(recent) - 1, int(len(recent) * 0.95))]
