"""A stream's picture for its viewers: painted once per overlay mode, encoded once per codec, sent to everybody."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Mapping
from concurrent.futures import Executor

from streamguard.channel import ChannelClosed, Latest, cancel_and_wait
from streamguard.media.live_encoder import CLOCK, LiveCodec
from streamguard.media.packet_fanout import PacketFanout, PacketTrack
from streamguard.pipeline.annotate import LivePainter, Overlay, annotated
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Frame, Picture

_DRIFT = 0.5


class RtpClock:
    """Media times of all epochs on one rising clock of 1/90000 s, never far from the time of arrival."""

    def __init__(self) -> None:
        self._epoch: int | None = None
        self._offset = 0.0
        self._last = -1

    def stamp(self, frame: Frame) -> int:
        """The frame's RTP time; strictly rising."""
        if frame.epoch != self._epoch or abs(frame.time + self._offset - frame.arrived) > _DRIFT:
            self._epoch, self._offset = frame.epoch, frame.arrived - frame.time
        self._last = max(round((frame.time + self._offset) * CLOCK), self._last + 1)
        return self._last


class OverlayFeed:
    """Viewers of one overlay mode of a stream. Works only while there are any; a slow encoder loses pictures, counted.

    Args:
        name: for the task's name.
        mode: `live` paints what is known onto each picture as it comes; `exact` shows each judged picture with its
            own masks, as late as they are; `none` paints nothing.
        threshold: the model's pixel threshold, 0..1.
        executor: threads for painting and encoding.
    """

    def __init__(self, name: str, mode: Overlay, threshold: float, executor: Executor) -> None:
        self._name, self.mode, self._threshold, self._executor = name, mode, threshold, executor
        self._painter = LivePainter(threshold)
        self._fanouts: dict[LiveCodec, PacketFanout] = {}
        self._slot: Latest[Frame | FrameReport] = Latest()
        self._task: asyncio.Task[None] | None = None
        self._clock = RtpClock()
        self._dropped = 0
        self._spent: defaultdict[str, float] = defaultdict(float)

    @property
    def fanouts(self) -> Mapping[LiveCodec, PacketFanout]:
        """The encoders made so far, by codec."""
        return self._fanouts

    @property
    def viewers(self) -> int:
        """Tracks that are being fed."""
        # A copy: the decoder's thread asks, too.
        return sum(fanout.viewers for fanout in tuple(self._fanouts.values()))

    @property
    def needs_frames(self) -> bool:
        """Return whether every picture is of use now, judged or not; from any thread."""
        return self.mode != "exact" and self.viewers > 0

    @property
    def dropped(self) -> int:
        """Pictures that a newer one replaced before they were encoded."""
        return self._dropped + self._slot.dropped

    @property
    def cpu_seconds(self) -> dict[str, float]:
        """CPU seconds of `overlay` and `encode`."""
        return {**self._spent, "encode": sum(fanout.cpu_seconds for fanout in self._fanouts.values())}

    @property
    def pictures(self) -> int:
        """Pictures encoded, of all codecs."""
        return sum(fanout.pictures for fanout in self._fanouts.values())

    @property
    def slowed(self) -> int:
        """Return the number of times that an encoder's bit rate was lowered for its viewers."""
        return sum(fanout.slowed for fanout in self._fanouts.values())

    def join(self, codec: LiveCodec) -> PacketTrack:
        """A new viewer's track."""
        fanout = self._fanouts.get(codec)
        if fanout is None:
            fanout = self._fanouts[codec] = PacketFanout(codec, self._executor)
        if self._task is None or self._task.done():
            self._start()
        return fanout.join()

    def frame(self, frame: Frame) -> None:
        """Show a frame as it comes from the source."""
        if self.mode != "exact":
            self._offer(frame)

    def report(self, report: FrameReport) -> None:
        """Show what is said of a frame."""
        if self.mode == "live":
            self._painter.learn(report)
        elif self.mode == "exact":
            self._offer(report)

    async def renew(self) -> None:
        """Another source follows: nothing of the old one is shown any more, the new one begins with a key frame."""
        self._slot.close(discard=True)
        if self._task is not None:
            await self._task
        self._dropped += self._slot.dropped
        self._slot, self._painter = Latest(), LivePainter(self._threshold)
        for fanout in self._fanouts.values():
            fanout.begin_anew()
        if self.viewers:
            self._start()

    async def aclose(self) -> None:
        """End every viewer's track and the work."""
        for fanout in self._fanouts.values():
            fanout.close()
        self._slot.close(discard=True)
        await cancel_and_wait(self._task)

    def _offer(self, item: Frame | FrameReport) -> None:
        if self.viewers:
            with contextlib.suppress(ChannelClosed):
                self._slot.put(item)

    def _start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"overlay {self.mode} of {self._name}")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        async for item in self._slot:
            frame = item if isinstance(item, Frame) else item.frame
            picture = frame.image
            if self.mode != "none":
                picture = await loop.run_in_executor(self._executor, self._paint, item)
            stamp = self._clock.stamp(frame)
            for fanout in self._fanouts.values():
                if fanout.viewers:
                    await fanout.send(picture, stamp)

    def _paint(self, item: Frame | FrameReport) -> Picture:
        began = time.thread_time()
        try:
            return self._painter.paint(item) if isinstance(item, Frame) else annotated(item, self._threshold)
        finally:
            self._spent["overlay"] += time.thread_time() - began
