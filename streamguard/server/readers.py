"""Independent bounded readers of one stream: a slow one loses its own messages only."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from streamguard.types import Event

_WAITING_ALERTS = 100


class Reader:
    """What one listener has not read yet: the newest verdict, and alerts in order.

    Attributes:
        verdict: the newest verdict message as JSON; None once it is read.
        alerts: events, oldest first; at most 100, then the oldest are lost.
        lost: alerts lost.
        ended: the stream is no more.
        erased: the pictures of its events were erased.
    """

    def __init__(self) -> None:
        self.verdict: str | None = None
        self.alerts: deque[Event] = deque(maxlen=_WAITING_ALERTS)
        self.lost = 0
        self.ended = self.erased = False
        self._wake = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Until something has come, or the time is over."""
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def put_verdict(self, message: str) -> None:
        """Replace the verdict."""
        self.verdict = message
        self._wake.set()

    def put_alert(self, event: Event) -> None:
        """Add an alert."""
        self.lost += len(self.alerts) == _WAITING_ALERTS
        self.alerts.append(event)
        self._wake.set()

    def put_erased(self) -> None:
        """The pictures are not to be shown any more."""
        self.erased = True
        self._wake.set()

    def end(self) -> None:
        """The stream is no more."""
        self.ended = True
        self._wake.set()


class Readers:
    """The readers of one stream."""

    def __init__(self) -> None:
        self._readers: set[Reader] = set()

    def __len__(self) -> int:
        return len(self._readers)

    def __iter__(self) -> Iterator[Reader]:
        return iter(tuple(self._readers))

    @contextmanager
    def joined(self) -> Iterator[Reader]:
        """A reader for as long as the context lasts."""
        reader = Reader()
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
