"""One guarded stream sent on: each judged picture with its own masks, and its sound, to any number of outputs."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from streamguard.media.output import Mixer, OutPacket, Push, PushStatus, Target, parse_target
from streamguard.media.sound import SoundListener
from streamguard.pipeline.annotate import annotated
from streamguard.pipeline.stream import FrameReport

log = logging.getLogger(__name__)
_WAITING = 8
"""Judged pictures that may wait for the encoder: reports come in bursts."""


class Restream:
    """Paints and encodes once for all targets, off the event loop: `async with Restream(...) as restream`.

    Neither `report` nor `sound` ever waits or raises: a slow encoder loses pictures, a slow or dead target its own
    packets, all counted. The sound is that of the source, untouched; like the picture it is as late as judging is.

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
        self._waiting: deque[FrameReport] = deque()
        self._arrived = asyncio.Event()
        self._ending = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="restream")
        self._stack = AsyncExitStack()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """Judged pictures that were left out, the encoder being slow."""
        self.failures = 0
        """Pictures that could not be painted or encoded."""
        self.cpu_seconds: defaultdict[str, float] = defaultdict(float)
        """CPU seconds of `overlay` and `encode`."""

    @property
    def sound(self) -> SoundListener:
        """What the source has to tell of its sound: give it to `Guard.watch`."""
        return self._mixer.sound

    @property
    def outputs(self) -> list[PushStatus]:
        """How each target does, in their order."""
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
        self._arrived.set()
        try:
            if self._task is not None:
                await self._task
        finally:
            await self._stack.aclose()
            self._thread.shutdown(wait=True)

    def report(self, report: FrameReport) -> None:
        """Send a judged picture on."""
        if len(self._waiting) >= _WAITING:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(report)
        self._arrived.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting or not self._ending:
            if not self._waiting:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            report = self._waiting.popleft()
            try:
                packets = await loop.run_in_executor(self._thread, self._encoded, report)
            except Exception:
                # Whatever is amiss with a picture going out, the guard goes on.
                self.failures += 1
                if self.failures == 1:
                    log.exception("a picture cannot be sent on")
                continue
            for push in self._pushes:
                push.offer(packets)

    def _encoded(self, report: FrameReport) -> list[OutPacket]:
        began = time.thread_time()
        picture = annotated(report, self._threshold, title=self._title)
        painted = time.thread_time()
        packets = self._mixer.picture(picture, report.frame)
        self.cpu_seconds["overlay"] += painted - began
        self.cpu_seconds["encode"] += time.thread_time() - painted
        return packets
