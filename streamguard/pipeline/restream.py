"""One guarded stream sent on: every picture with its masks, and the sound, to any number of outputs."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from streamguard.logs import get_logger
from streamguard.media.output import Mixer, OutPacket, Push, PushStatus, Target, parse_target
from streamguard.media.sound import SoundListener
from streamguard.pipeline.annotate import LivePainter, annotated
from streamguard.pipeline.delay import PATIENCE, Delay, Ready
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Frame

log = get_logger(__name__)


class Restream:
    """Paints and encodes once for all targets, off the event loop: `async with Restream(...) as restream`.

    All pictures go out at the source's rate, as late as judging is (see `Delay`): a judged one with its own masks, the
    others with those of the nearest one that was judged, moved on with their faces. The sound is that of the source,
    untouched and as late. Neither `frame` nor `report` nor `sound` ever waits or raises: a slow encoder loses pictures,
    a slow or dead target its own packets, all counted.

    Args:
        targets: as `streamguard.media.output.parse_target` reads them.
        threshold: the model's pixel threshold, for the contour, 0..1.
        title: a strip with the stream's verdict at the top.
        bitrate: of the picture, bits per second; default: by its size.
        on_change: called on the event loop when an output comes up or breaks; must be quick.

    Raises:
        OutputError: a target is none.
    """

    def __init__(
        self,
        targets: Sequence[str],
        threshold: float,
        *,
        title: bool = True,
        bitrate: int | None = None,
        on_change: Callable[[PushStatus], None] | None = None,
    ) -> None:
        self._threshold, self._title = threshold, title
        self._mixer = Mixer(bitrate)
        self.targets: tuple[Target, ...] = tuple(map(parse_target, targets))
        """Where it is sent, in the order of `outputs`."""
        self._pushes = [
            Push(target, ask_keyframe=self._mixer.request_keyframe, on_change=on_change) for target in self.targets
        ]
        self._painter = LivePainter(threshold, title=title)
        self._delay = Delay()
        self._arrived = asyncio.Event()
        self._ending = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="restream")
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self.failures = 0
        """Pictures that could not be painted or encoded."""
        self.cpu_seconds: defaultdict[str, float] = defaultdict(float)
        """CPU seconds of `overlay` and `encode`."""

    @property
    def sound(self) -> SoundListener:
        """Listener for the source's sound: give it to `Guard.watch`."""
        return self._mixer.sound

    @property
    def dropped(self) -> int:
        """Pictures that were left out, the encoder being slow."""
        return self._delay.dropped

    @property
    def outputs(self) -> list[PushStatus]:
        """State of each target, in their order."""
        return [push.status for push in self._pushes]

    async def __aenter__(self) -> Self:
        for push in self._pushes:
            await self._stack.enter_async_context(push)
        self._task = asyncio.create_task(self._run(), name="restream")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send what waits, end every output in good order, and stop."""
        self._ending = True
        self._delay.release()
        self._arrived.set()
        try:
            if self._task is not None:
                await self._task
        finally:
            await self._stack.aclose()
            self._thread.shutdown(wait=True)

    def frame(self, frame: Frame) -> None:
        """Send a picture on, judged or not; before its report."""
        if not self._ending:
            self._delay.frame(frame)
            self._arrived.set()

    def report(self, report: FrameReport) -> None:
        """Say what is known of a picture; one that `frame` was not told of is sent on, too."""
        if not self._ending:
            self._delay.report(report)
            self._arrived.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while (ready := self._delay.take()) is not None or not self._ending:
            if ready is None:
                self._arrived.clear()
                try:
                    async with asyncio.timeout(PATIENCE):
                        await self._arrived.wait()
                except TimeoutError:
                    # The source stalls: what it has shown before is not held back.
                    self._delay.release()
                continue
            try:
                packets = await loop.run_in_executor(self._thread, self._encoded, ready)
            except Exception:
                # Whatever is amiss with a picture going out, the guard goes on.
                self.failures += 1
                if self.failures == 1:
                    log.exception("a picture cannot be sent on")
                continue
            for push in self._pushes:
                push.offer(packets)

    def _encoded(self, ready: Ready) -> list[OutPacket]:
        began = time.thread_time()
        if ready.learn is not None:
            self._painter.learn(ready.learn)
        if ready.report is not None:
            picture = annotated(ready.report, self._threshold, title=self._title)
        else:
            picture = self._painter.paint(ready.frame)
        painted = time.thread_time()
        packets = self._mixer.picture(picture, ready.frame)
        self.cpu_seconds["overlay"] += painted - began
        self.cpu_seconds["encode"] += time.thread_time() - painted
        return packets
