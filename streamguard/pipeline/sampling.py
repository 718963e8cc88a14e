"""Choice of the frames of a stream that are judged."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Protocol, Self

from streamguard.channel import cancel_and_wait
from streamguard.media import Down, SourceItem, Up
from streamguard.pipeline.scheduler import SPARE, Scheduler, Turn
from streamguard.types import Frame

_TOLERANCE = 1e-4
"""Seconds; media times are rounded to their time base."""
_MADE_UP = 2.0
"""Steps that a frame may be late, waiting for its turn, and the next one come so much sooner."""
_STALE = 0.1
"""Seconds by which a frame must be newer than one that waits for its turn, to take its place: less is not worth it."""
_AHEAD, _AHEAD_PIXELS = 8, 8_000_000
"""Frames of a file that are read ahead, so that several are analysed in one go, and their pixels, at the most."""


class Follower(Protocol):
    """Someone who sees a stream's pictures as they come, beside its judge: a viewer, an output."""

    @property
    def needs_frames(self) -> bool:
        """Return whether it has a use for every picture now; asked from any thread."""
        ...

    def follow(self, item: SourceItem) -> None:
        """Take a connection change, or a picture that is handed over; on the event loop, quick. An error ends it."""
        ...


class Demand:
    """Need of a stream's frames: asked by its decoder for each picture, before that is handed over; and the count
    of what became of them, over all connections.

    Args:
        follower: sees every picture that is handed over, and needs some that are not judged.

    Attributes:
        judge: whether the frame of those media seconds may be judged; from any thread.
        received: pictures asked for, which are all of a live source.
        judged: frames reported on.
        dropped: frames that were due to be judged, and replaced by a newer one before their turn.
    """

    def __init__(self, follower: Follower | None = None) -> None:
        self.follower = follower
        self.judge: Callable[[float], bool] = lambda time: True
        self.received = self.judged = self.dropped = 0

    def __call__(self, time: float) -> bool:
        """Return whether anybody needs the picture of those media seconds."""
        self.received += 1
        return self._wanted(time)

    def spares(self, time: float) -> bool:
        """Return whether nobody will need the picture of those media seconds, before it is decoded; counts nothing."""
        return not self._wanted(time)

    def _wanted(self, time: float) -> bool:
        return self.judge(time) or (self.follower is not None and self.follower.needs_frames)


class Cap:
    """Limit of frames per second of media.

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
        """Return whether the frame of that media time may be judged; to be asked in turn, while no other one waits."""
        if time < self._last:
            self._due = time
        self._last = time
        return time >= self._due - _TOLERANCE

    def wants(self, time: float) -> bool:
        """Return whether the frame may prove to be due; changes nothing, so any thread may ask."""
        # Time begins anew with each connection, before anybody here knows of it.
        return time < self._last or time >= self._due - _TOLERANCE

    def taken(self, time: float) -> None:
        """The frame of that time is judged."""
        # A frame that is a little late is made up for; a gap begins the count anew.
        punctual = time - self._due < _MADE_UP * self._step
        self._due = (self._due if punctual else time) + self._step


class Sampled:
    """Frames of a source that are judged: `async with Sampled(...) as samples`, then `async for item, turn in samples`.

    A task reads the source as fast as it comes. Of a live source the newest frame, to a tenth of a second, waits for
    its turn, and goes when the turn comes. Of any other every frame waits for its reader, and the source for the oldest
    of a few. The turn is to be released when the frame has been analysed.

    Args:
        items: frames and connection changes.
        turns: shared with the other streams; None where nothing may be left out.
        most: frames per second of media, above 0; None for all there is time for.
        priority: weight among the other streams; with `SPARE`, frames of a file wait for their turns, too.
        demand: what the source asks; its follower sees the items first.

    Attributes:
        demand: the same, or one of its own.
    """

    def __init__(
        self,
        items: AsyncIterator[SourceItem],
        turns: Scheduler | None = None,
        most: float | None = None,
        priority: int = 1,
        demand: Demand | None = None,
    ) -> None:
        self._items, self._turns = items, turns
        self.demand = demand or Demand()
        self.demand.judge = self.wants
        self._cap = Cap(most) if most is not None else None
        self._seat = turns.seat(priority) if turns is not None else None
        self._spare = priority == SPARE
        self._changes: deque[Up | Down] = deque()
        self._frames: deque[Frame] = deque()
        self._live = self._ended = False
        self._failure: Exception | None = None
        self._arrived, self._taken = asyncio.Event(), asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    def wants(self, time: float) -> bool:
        """Return whether a frame of those media seconds may be of use; from any thread."""
        cap = self._cap
        try:
            # Beside one that waits for its turn: time begins anew with each connection.
            return not 0 <= time - self._frames[-1].time < _STALE
        except IndexError:
            return cap is None or cap.wants(time)

    def retune(self, most: float | None, priority: int) -> None:
        """Another rate and weight from the next frame on; arguments as for the class."""
        self._cap = Cap(most) if most is not None else None
        if self._seat is not None:
            self._seat.weight = priority

    async def __aenter__(self) -> Self:
        self._reader = asyncio.create_task(self._read(), name="frames to judge")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await cancel_and_wait(self._reader)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> tuple[SourceItem, Turn]:
        while True:
            # An `Up` comes before its first frame, a `Down` after its last: changes first keeps the order, as no frame
            # waits when a change comes.
            if self._changes:
                return self._changes.popleft(), Turn()
            if self._frames:
                turn = await self._turn()
                if self._changes or not self._frames:
                    turn.release()
                    continue
                return self._take(), turn
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()

    def at_hand(self) -> list[Frame]:
        """The frames of a file that follow the one handed over and need not be waited for; they need no turn."""
        if self._live or self._spare:
            return []
        return [self._take() for _ in range(len(self._frames))]

    def _take(self) -> Frame:
        frame = self._frames.popleft()
        if self._cap is not None and self._live:
            self._cap.taken(frame.time)
        self._taken.set()
        return frame

    async def _turn(self) -> Turn:
        if self._turns is None or self._seat is None or not (self._live or self._spare):
            return Turn()
        return await self._turns.take(self._seat)

    async def _read(self) -> None:
        try:
            async for item in self._items:
                while not self._live and len(self._frames) >= _room(item):
                    self._taken.clear()
                    await self._taken.wait()
                if self.demand.follower is not None:
                    self.demand.follower.follow(item)
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
        if self._cap is not None and not (self._live and self._frames) and not self._cap.due(frame.time):
            return
        if self._live:
            self._drop()
        elif self._cap is not None:
            self._cap.taken(frame.time)
        self._frames.append(frame)
        self._arrived.set()

    def _drop(self) -> None:
        self.demand.dropped += len(self._frames)
        self._frames.clear()


def _room(item: SourceItem) -> int:
    """Number of frames that may wait before an item of a file; a change comes after all of them."""
    if not isinstance(item, Frame):
        return 1
    return max(1, min(_AHEAD, _AHEAD_PIXELS // (item.image.width * item.image.height)))
