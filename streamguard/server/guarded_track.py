"""Any aiortc video track, guarded: its pictures pass through with the overlay, its verdicts go to a callback."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from aiortc import MediaStreamTrack

from streamguard.channel import ChannelClosed, Latest
from streamguard.media import SourceItem, TimestampRepair, Up, frame_of
from streamguard.media.published import checked_picture
from streamguard.pipeline.annotate import LivePainter
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Event, Frame

OnItem = Callable[[FrameReport | Event], None]


class GuardedTrack(MediaStreamTrack):
    """Wraps a video track: `pc.addTrack(GuardedTrack(track, guard))`.

    Every picture is passed on as it comes, with the newest masks painted on it; judging never holds it up, it takes
    the newest picture when it is free. Stopping the track stops judging; the wrapped track is stopped, too.

    Args:
        track: a track whose `recv` returns decoded video frames.
        guard: judges; must stay open for as long as the track lives.
        on_item: called on the event loop with every report and event; must be quick.
        name: the stream's name in events.
        overlay: paint masks, boxes and the stream's verdict.
        options: how it is judged.

    Receiving raises what the wrapped track raises, and `StreamguardError` where judging ended with one.
    """

    kind = "video"

    def __init__(
        self,
        track: MediaStreamTrack,
        guard: Guard,
        on_item: OnItem | None = None,
        *,
        name: str = "track",
        overlay: bool = True,
        options: WatchOptions = WatchOptions(),
    ) -> None:
        super().__init__()
        self._track, self._guard, self._on_item, self._name = track, guard, on_item, name
        self._painter = LivePainter(guard.spec.threshold) if overlay else None
        self._options = options
        self._frames: Latest[Frame] = Latest()
        self._repair = TimestampRepair()
        self._count = 0
        self._judging: asyncio.Task[None] | None = None

    async def recv(self) -> Any:
        """The next picture, as an `av.VideoFrame` with the times of the one it was made of."""
        received: Any = await self._track.recv()
        picture = checked_picture(received, self._name)
        moment = self._repair.repair(received.pts, received.time_base)
        frame = Frame(self._name, 0, self._count, moment, time.monotonic(), picture)
        self._count += 1
        if self._judging is None:
            self._judging = asyncio.create_task(self._judge(frame), name=f"judging {self._name}")
        elif self._judging.done() and not self._judging.cancelled():
            self._judging.result()
        with contextlib.suppress(ChannelClosed):
            self._frames.put(frame)
        if self._painter is None:
            return received
        painted = await asyncio.to_thread(lambda painter: frame_of(painter.paint(frame)), self._painter)
        painted.pts, painted.time_base = received.pts, received.time_base
        return painted

    def stop(self) -> None:
        """End the track and the one it wraps."""
        super().stop()
        self._frames.close(discard=True)
        self._track.stop()

    async def aclose(self) -> None:
        """Stop, and wait until judging has ended: to be called before the guard is closed."""
        self.stop()
        if self._judging is not None:
            await asyncio.wait([self._judging])

    async def _judge(self, first: Frame) -> None:
        pipeline = self._guard.pipeline(self._items(first), self._name, self._options)
        async with aclosing(pipeline.run()) as items:
            async for item in items:
                if self._painter is not None and isinstance(item, FrameReport):
                    self._painter.learn(item)
                if self._on_item is not None:
                    self._on_item(item)

    async def _items(self, first: Frame) -> AsyncIterator[SourceItem]:
        image = first.image
        yield Up(0, image.width, image.height, None, "webrtc", True, None, None)
        async for frame in self._frames:
            yield frame
