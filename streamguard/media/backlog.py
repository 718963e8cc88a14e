"""Detection of pictures that piled up while the network stood still."""

from __future__ import annotations

from collections import deque

_DRIFT = 0.002
"""Seconds per second by which the clocks of sender and receiver may drift apart: more than any quartz does."""
_CATCHING_UP = 1.2
"""Seconds of media per second from which on a source is catching up."""
_SPAN = 0.5
"""Seconds over which that is measured."""


class NetworkBacklog:
    """Finds the pictures of a live source that come late in a burst, after the network has stood still.

    A picture is late by what it came later than the most punctual one so far. A sender whose own clock paused or runs
    slow is late for ever, and no newer pictures are to be had by waiting: that is taken for punctual.

    Args:
        limit: seconds; pictures that are later than that are old.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._offset: float | None = None
        self._before = 0.0
        self._recent: deque[tuple[float, float]] = deque()

    def old(self, time: float, now: float) -> bool:
        """Return whether a picture is one of those that piled up.

        Args:
            time: media seconds, not falling.
            now: when it came, monotonic seconds.
        """
        offset = now - time
        if self._offset is None or offset <= self._offset:
            self._offset = offset
        else:
            self._offset = min(offset, self._offset + _DRIFT * (now - self._before))
        self._before = now
        recent = self._recent
        recent.append((time, now))
        while now - recent[0][1] > 2 * _SPAN:
            recent.popleft()
        if offset - self._offset <= self._limit:
            return False
        span = now - recent[0][1]
        if span >= _SPAN and time - recent[0][0] < _CATCHING_UP * span:
            self._offset = offset
            return False
        return True
