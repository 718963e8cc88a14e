"""Waiting between attempts."""

from __future__ import annotations

import random
from collections.abc import Callable

_OWN = random.Random()
"""Not the shared one: whoever seeds that would have all servers come back at the same moments."""


class Backoff:
    """Exponential back-off with full jitter: each delay is drawn from 0 up to a limit that doubles.

    Args:
        initial: the first limit in seconds.
        factor: growth of the limit.
        cap: the largest limit in seconds.
        stable_after: seconds a connection must have lasted for the limit to start over.
        uniform: draws from [0, 1).
    """

    def __init__(
        self,
        initial: float = 0.5,
        factor: float = 2.0,
        cap: float = 30.0,
        stable_after: float = 30.0,
        uniform: Callable[[], float] = _OWN.random,
    ) -> None:
        self._initial, self._factor, self._cap = initial, factor, cap
        self._stable_after, self._uniform = stable_after, uniform
        self._limit = min(initial, cap)

    def delay(self, lasted: float = 0.0) -> float:
        """Seconds to wait before the next attempt.

        Args:
            lasted: seconds the connection that broke had lasted; 0 when none was made.
        """
        if lasted >= self._stable_after:
            self.reset()
        limit, self._limit = self._limit, min(self._limit * self._factor, self._cap)
        return limit * self._uniform()

    def reset(self) -> None:
        """Start over from the first limit."""
        self._limit = min(self._initial, self._cap)
