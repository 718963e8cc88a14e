"""Durations of deliveries and length of the queue, for the metrics."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from streamguard.alerts.subscriptions import Status

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0, 86_400.0)
"""Upper limits of the histogram's buckets, in seconds: from one round of the deliverer to the last retries."""


class Latencies:
    """A histogram of seconds.

    Attributes:
        buckets: how many fell below each limit of `BUCKETS` and not below the one before; the last has no limit.
        seconds: their sum.
    """

    def __init__(self) -> None:
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        """Count one; what a clock set back makes negative counts as 0."""
        self.buckets[bisect_left(BUCKETS, seconds)] += 1
        self.seconds += max(seconds, 0.0)


@dataclass(frozen=True, slots=True)
class Backlog:
    """Deliveries that wait for subscriptions of one status, in the whole database.

    Attributes:
        status: theirs.
        subscriptions: how many there are.
        pending: deliveries that wait to be sent, or sent again.
        oldest: since when the oldest of them is wanted, UTC epoch seconds; None where there is none.
    """

    status: Status
    subscriptions: int
    pending: int = 0
    oldest: float | None = None
