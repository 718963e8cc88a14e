"""How much of a stream is judged, and when."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from streamguard.media import Down, SourceItem, Up
from streamguard.pipeline.turns import Turn, Turns
from streamguard.types import Frame

_TOLERANCE = 1e-4
"""Seconds; media times are rounded to their time base."""
_MADE_UP = 2.0
"""Steps that a frame may be late, waiting for its turn, and the next one come so much sooner."""


class Cap:
    """No more than so many frames per second of media.

    Args:
        most: frames per second, above 0.
    """

    def __init__(self, most: float) -> None:
        self._step = 1.0 / most
        self.reset()

    def reset(self) -> None:
        """Begin anew: the next frame is due."""
        self._due = self._last = float("-inf")

    def due(self, time: float) -> bool:
        """Whether the frame of that media time may be judged; to be asked in turn, while no other one waits."""
        if time < self._last:
            self._due = time
        self._last = time
        return time >= self._due - _TOLERANCE

    def wants(self, time: float) -> bool:
        """Whether the frame may prove to be due, for who must not change anything: another thread, for example."""
        # Time begins anew with each connection, before anybody here knows of it.
        return time < self._last or time >= self._due - _TOLERANCE

    def taken(self, time: float) -> None:
        """The frame of that time is judged."""
        # A frame that is a little late is made up for; a gap begins the count anew.
        punctual = time - self._due < _MADE_UP * self._step
        self._due = (self._due if punctual else time) + self._step


class Sampled:
    """What is judged of a source: `async with Sampled(items, ...) as samples`, then `async for item, turn in samples`.

    A task reads the source as fast as it comes. Of a live source the newest frame waits for its turn, and goes when
    the turn comes; of any other every frame waits for its reader, and the source for the frame. The turn is to be
    released when the frame has been analysed.

    Args:
        items: frames and connection changes.
        turns: shared with the other streams; None where nothing may be left out.
        most: frames per second of media, above 0; None for all there is time for.
        priority: weight among the other streams.
    """

    def __init__(
        self, items: AsyncIterator[SourceItem], turns: Turns | None = None, most: float | None = None, priority: int = 1
    ) -> None:
        self._items, self._turns = items, turns
        self._cap = Cap(most) if most is not None else None
        self._seat = turns.seat(priority) if turns is not None else None
        self._changes: deque[Up | Down] = deque()
        self._frame: Frame | None = None
        self._live = self._ended = False
        self._failure: Exception | None = None
        self._arrived, self._taken = asyncio.Event(), asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self.dropped = 0
        """Frames that were due, and replaced by a newer one before their turn."""

    def wants(self, time: float) -> bool:
        """Whether a frame of those media seconds may be of use; from any thread. Of the others nobody need know."""
        return self._cap is None or self._frame is not None or self._cap.wants(time)

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read(), name="frames to judge")
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

    async def __anext__(self) -> tuple[SourceItem, Turn]:
        while True:
            # An `Up` comes before its first frame, a `Down` after its last: changes first keeps the order, as no frame
            # waits when a change comes.
            if self._changes:
                return self._changes.popleft(), Turn()
            if self._frame is not None:
                turn = await self._turn()
                if self._changes or (frame := self._frame) is None:
                    turn.release()
                    continue
                self._frame = None
                if self._cap is not None:
                    self._cap.taken(frame.time)
                self._taken.set()
                return frame, turn
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()

    async def _turn(self) -> Turn:
        if self._turns is None or self._seat is None or not self._live:
            return Turn()
        return await self._turns.take(self._seat)

    async def _read(self) -> None:
        try:
            async for item in self._items:
                while not self._live and self._frame is not None:
                    self._taken.clear()
                    await self._taken.wait()
                if isinstance(item, Frame):
                    self._offer(item)
                    continue
                self._drop()
                if isinstance(item, Up):
                    self._live = item.live and self._turns is not None
                    if self._cap is not None:
                        self._cap.reset()
                self._changes.append(item)
                self._arrived.set()
        except Exception as error:
            self._failure = error
        finally:
            self._ended = True
            self._arrived.set()

    def _offer(self, frame: Frame) -> None:
        if self._frame is None and self._cap is not None and not self._cap.due(frame.time):
            return
        self._drop()
        self._frame = frame
        self._arrived.set()

    def _drop(self) -> None:
        self.dropped += self._frame is not None
        self._frame = None
