"""The annotated video: verdicts painted on each judged frame and encoded to mp4, off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from streamguard.media import Mp4Writer
from streamguard.pipeline.annotate import annotated
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Picture


class OverlayRecorder:
    """Writes an annotated mp4; the file appears under its name only when it is complete, by error or stop too.

    Use as an async context manager. One thread paints and encodes; `write` waits for it, so a file is never
    read faster than its annotated copy is written.

    Args:
        path: the mp4 to write.
        threshold: the model's pixel threshold, for the contour, 0..1.
        title: a strip with the stream's verdict at the top.
    """

    def __init__(self, path: Path, threshold: float, *, title: bool = True) -> None:
        self._path, self._threshold, self._title = path, threshold, title
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="overlay")
        self._writer: Mp4Writer | None = None
        self._offset, self._epoch, self._last = 0.0, 0, 0.0
        self.cpu_seconds: defaultdict[str, float] = defaultdict(float)
        """CPU seconds of `overlay` and `encode`."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # However the run ended, what was painted until then is complete in itself.
        loop = asyncio.get_running_loop()
        try:
            await asyncio.shield(loop.run_in_executor(self._thread, self._finish))
        finally:
            self._thread.shutdown(wait=True)

    async def write(self, report: FrameReport) -> None:
        """Paint and encode one frame.

        Raises:
            OutputError: the file cannot be written.
        """
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, report)

    def painted(self, report: FrameReport) -> Picture:
        """The frame with masks, boxes and verdicts on it."""
        return annotated(report, self._threshold, title=self._title)

    def _write(self, report: FrameReport) -> None:
        start = time.thread_time()
        picture = self.painted(report)
        painted = time.thread_time()
        if self._writer is None:
            self._writer = Mp4Writer(self._path, picture.width, picture.height, 30.0)
            self._writer.__enter__()
        if report.frame.epoch != self._epoch:
            self._epoch, self._offset = report.frame.epoch, self._last + 1 / 30
        self._last = self._offset + report.frame.time
        self._writer.write(picture, self._last)
        self.cpu_seconds["overlay"] += painted - start
        self.cpu_seconds["encode"] += time.thread_time() - painted

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()
