"""Any aiortc video track, guarded: its pictures pass through with the overlay, its verdicts go to a callback."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from streamguard.channel import ChannelClosed, Latest
from streamguard.media import SourceItem, TimestampRepair, Up, frame_of
from streamguard.media.published import checked_picture
from streamguard.pipeline.annotate import OVERLAYS, LivePainter, Overlay, annotated
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.stream import FrameReport, StreamPipeline
from streamguard.types import Event, Frame, Picture

OnItem = Callable[[FrameReport | Event], None]
_ASKED = 256
"""Pictures whose times are kept while they wait to be judged: ten seconds, where a verdict takes a fraction of one."""


class GuardedTrack(MediaStreamTrack):
    """Wraps a video track: `pc.addTrack(GuardedTrack(track, guard))`.

    With `live` and `none`, every picture is passed on as it comes, and judging never holds it up: it takes the newest
    picture when it is free. With `exact`, the judged pictures are passed on, each with its own masks, as late as
    judging is; those that came meanwhile are left out. Stopping the track stops judging; the wrapped track is stopped,
    too.

    Args:
        track: a track whose `recv` returns decoded video frames.
        guard: judges; must stay open for as long as the track lives.
        on_item: called on the event loop with every report and event; must be quick.
        name: the stream's name in events.
        overlay: `live` paints the newest masks, boxes and the stream's verdict, moved with their faces; `exact` those
            of the very picture; `none` paints nothing.
        options: how it is judged.

    Receiving raises what the wrapped track raises, and `StreamguardError` where judging ended with one.

    Raises:
        ValueError: there is no such overlay.
    """

    kind = "video"

    def __init__(
        self,
        track: MediaStreamTrack,
        guard: Guard,
        on_item: OnItem | None = None,
        *,
        name: str = "track",
        overlay: Overlay = "live",
        options: WatchOptions = WatchOptions(),
    ) -> None:
        super().__init__()
        if overlay not in OVERLAYS:
            raise ValueError(f"overlay is one of {', '.join(OVERLAYS)}, not {overlay!r}")
        self._track, self._guard, self._on_item, self._name = track, guard, on_item, name
        self._overlay, self._options = overlay, options
        self._painter = LivePainter(guard.spec.threshold)
        self._frames: Latest[_Received] = Latest()
        self._repair = TimestampRepair()
        self._count = 0
        self._pipeline: StreamPipeline | None = None
        self._judging: asyncio.Task[None] | None = None
        self._reading: asyncio.Task[None] | None = None
        # Of the newest pictures that judging may choose from; reports come in the same order.
        self._asked: deque[_Times] = deque(maxlen=_ASKED)
        self._judged: Latest[tuple[FrameReport, _Times]] = Latest()

    @property
    def dropped(self) -> int:
        """Pictures that a newer one replaced before there was time to judge them or, with `exact`, to send them."""
        waiting = self._pipeline.dropped if self._pipeline is not None else 0
        return self._frames.dropped + waiting + self._judged.dropped

    async def recv(self) -> Any:
        """The next picture, as an `av.VideoFrame` with the times of the one it was made of."""
        if self._overlay == "exact":
            return await self._next_judged()
        received = await self._receive()
        if self._judging is not None and self._judging.done() and not self._judging.cancelled():
            self._judging.result()
        if self._overlay == "none":
            return received.video
        return await asyncio.to_thread(received.times.painted, self._painter.paint, received.frame)

    def stop(self) -> None:
        """End the track and the one it wraps."""
        super().stop()
        self._frames.close(discard=True)
        self._judged.close(discard=True)
        if self._reading is not None:
            self._reading.cancel()
        self._track.stop()

    async def aclose(self) -> None:
        """Stop, and wait until judging has ended: to be called before the guard is closed."""
        self.stop()
        if tasks := [task for task in (self._reading, self._judging) if task is not None]:
            await asyncio.wait(tasks)

    async def _next_judged(self) -> Any:
        if self._reading is None and self.readyState == "live":
            self._reading = asyncio.create_task(self._read(), name=f"reading {self._name}")
        try:
            report, times = await self._judged.get()
        except ChannelClosed:
            # Whatever ended it is told; where nothing did, the track is over.
            for task in (self._reading, self._judging):
                if task is not None and task.done() and not task.cancelled():
                    task.result()
            raise MediaStreamError from None
        return await asyncio.to_thread(times.painted, annotated, report, self._guard.spec.threshold)

    async def _read(self) -> None:
        """Takes pictures as they come, however slow judging is."""
        try:
            while True:
                await self._receive()
        except MediaStreamError:
            pass
        finally:
            self._frames.close()
            if self._judging is None:
                self._judged.close()

    async def _receive(self) -> _Received:
        video: Any = await self._track.recv()
        picture = checked_picture(video, self._name)
        moment = self._repair.repair(video.pts, video.time_base)
        frame = Frame(self._name, 0, self._count, moment, time.monotonic(), picture)
        self._count += 1
        received = _Received(frame, video)
        if self._judging is None:
            self._judging = asyncio.create_task(self._judge(frame), name=f"judging {self._name}")
        with contextlib.suppress(ChannelClosed):
            self._frames.put(received)
        return received

    async def _judge(self, first: Frame) -> None:
        pipeline = self._pipeline = self._guard.pipeline(self._items(first), self._name, self._options)
        try:
            async with aclosing(pipeline.run()) as items:
                async for item in items:
                    if isinstance(item, FrameReport):
                        self._painter.learn(item)
                        if self._overlay == "exact":
                            self._put(item)
                    if self._on_item is not None:
                        self._on_item(item)
        finally:
            self._judged.close()

    def _put(self, report: FrameReport) -> None:
        """Hand on a judged picture, with the times of the one it was made of."""
        while self._asked and self._asked[0].index < report.frame.index:
            self._asked.popleft()
        if self._asked and self._asked[0].index == report.frame.index:
            with contextlib.suppress(ChannelClosed):
                self._judged.put((report, self._asked.popleft()))

    async def _items(self, first: Frame) -> AsyncIterator[SourceItem]:
        image = first.image
        yield Up(0, image.width, image.height, None, "webrtc", True, None, None)
        async for received in self._frames:
            if self._overlay == "exact":
                self._asked.append(received.times)
            yield received.frame


@dataclass(frozen=True, slots=True)
class _Times:
    """Times at which pictures of the wrapped track are to be shown."""

    index: int
    pts: Any
    time_base: Any

    def painted(self, paint: Callable[..., Picture], *what: object) -> Any:
        video = frame_of(paint(*what))
        video.pts, video.time_base = self.pts, self.time_base
        return video


@dataclass(frozen=True, slots=True)
class _Received:
    """A picture of the wrapped track, as it came and as it is judged."""

    frame: Frame
    video: Any

    @property
    def times(self) -> _Times:
        return _Times(self.frame.index, self.video.pts, self.video.time_base)
