"""The annotated video: verdicts painted on each judged frame and encoded to mp4, off the event loop."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2

from streamguard.errors import OutputError
from streamguard.files import write_bytes
from streamguard.media import Mp4Writer, SoundListener, rgb_of
from streamguard.media.soundtrack import SoundTrack
from streamguard.media.still import is_still
from streamguard.pipeline.annotate import annotated
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Picture

_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".webp"})


class PictureRecorder:
    """Writes the annotated copy of a picture; a context manager as `OverlayRecorder`.

    Args:
        path: the file to write; its suffix says of what kind.
        threshold: the model's pixel threshold, for the contour, 0..1.
    """

    sound = None

    def __init__(self, path: Path, threshold: float) -> None:
        self._path, self._threshold = path, threshold

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing is held back."""

    async def write(self, report: FrameReport) -> None:
        """Paint the picture and write it.

        Raises:
            OutputError: the file cannot be written.
        """
        await asyncio.to_thread(self._write, report)

    def _write(self, report: FrameReport) -> None:
        rgb = rgb_of(annotated(report, self._threshold, title=False, alone=True))
        done, data = cv2.imencode(self._path.suffix.lower(), rgb[..., ::-1])
        if not done:
            raise OutputError(str(self._path), "the picture cannot be encoded", "Choose another kind of file")
        write_bytes(self._path, data.tobytes())


def recorder_of(source: str, path: Path, threshold: float) -> OverlayRecorder | PictureRecorder:
    """Return the writer of a file's annotated copy: a video, or a picture of a picture. Reads its first bytes.

    Args:
        source: the file that is judged.
        path: the file to write.
        threshold: the model's pixel threshold, 0..1.

    Raises:
        OutputError: `path` is named as a picture, and the source is none.
    """
    if path.suffix.lower() not in _PICTURES:
        return OverlayRecorder(path, threshold)
    if not is_still(source):
        raise OutputError(str(path), "the annotated copy of a video is an MP4 file", "Name it *.mp4")
    return PictureRecorder(path, threshold)


class OverlayRecorder:
    """Writes an annotated mp4; the file appears under its name only when it is complete, by error or stop too.

    Use as an async context manager. One thread paints and encodes; `write` waits for it, so a file is never
    read faster than its annotated copy is written.

    Args:
        path: the mp4 to write.
        threshold: the model's pixel threshold, for the contour, 0..1.
        title: a strip with the stream's verdict at the top.

    Attributes:
        sound: takes the sound of a file whose every frame is written; it is put beside the pictures at the end.
    """

    def __init__(self, path: Path, threshold: float, *, title: bool = True) -> None:
        self._path, self._threshold, self._title = path, threshold, title
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="overlay")
        self._writer: Mp4Writer | None = None
        self._track = SoundTrack(path.with_name(f"{path.name}.sound.partial"))
        self.sound: SoundListener = self._track.take
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
        try:
            if self._writer is not None:
                self._writer.close(self._track)
        finally:
            self._track.close()
