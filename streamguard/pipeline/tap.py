"""A live source read as fast as it comes: every frame is shown to a listener, the newest waits to be judged."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

from streamguard.media import Down, SourceItem, Up
from streamguard.types import Frame


class Tap:
    """Stands between a source and its judge: `async with Tap(source, listener) as items`.

    A task reads the source; the reader of `items` gets every `Up` and `Down`, and of the frames in between the
    newest only. So a picture reaches the viewers at once, however slow judging is.

    Args:
        source: frames and connection changes.
        listener: called with every frame on the event loop; must be quick.
    """

    def __init__(self, source: AsyncIterator[SourceItem], listener: Callable[[Frame], None]) -> None:
        self._source, self._listener = source, listener
        self._changes: deque[Up | Down] = deque()
        self._frame: Frame | None = None
        self._arrived = asyncio.Event()
        self._ended = False
        self._failure: Exception | None = None
        self._reader: asyncio.Task[None] | None = None
        self.received = self.dropped = 0
        """Frames of the source; and those among them that a newer one replaced before they were judged."""

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read(), name="tap")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SourceItem:
        while True:
            # An `Up` comes before its first frame, a `Down` after its last: changes first keeps the order, as the
            # frame of an epoch that has ended is thrown away.
            if self._changes:
                return self._changes.popleft()
            if self._frame is not None:
                frame, self._frame = self._frame, None
                return frame
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()

    async def _read(self) -> None:
        try:
            async for item in self._source:
                if isinstance(item, Frame):
                    self.received += 1
                    self.dropped += self._frame is not None
                    self._frame = item
                    self._listener(item)
                else:
                    self.dropped += self._frame is not None
                    self._frame = None
                    self._changes.append(item)
                self._arrived.set()
        except Exception as error:
            self._failure = error
        finally:
            self._ended = True
            self._arrived.set()
