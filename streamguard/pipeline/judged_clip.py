"""A kept clip, judged again: the mask painted on it, and the score of every judged frame."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from streamguard.errors import OutputError
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.recorder import OverlayRecorder
from streamguard.pipeline.scan import FileScan
from streamguard.pipeline.stream import FrameReport

_RATE = 15.0


@dataclass(frozen=True, slots=True)
class JudgedFrame:
    """One judged frame.

    Attributes:
        time: seconds from the clip's begin.
        score: calibrated fake probability of its most suspect face, 0..1; None where no face was judged.
    """

    time: float
    score: float | None


@dataclass(frozen=True, slots=True)
class JudgedClip:
    """A clip with its masks.

    Attributes:
        video: MP4, the judged frames with masks, boxes and verdicts.
        frames: the same frames, in order.
    """

    video: bytes
    frames: tuple[JudgedFrame, ...]


async def judged_clip(guard: Guard, data: bytes, name: str) -> JudgedClip:
    """Judge a clip with a detector, up to 15 frames of each second.

    Args:
        guard: judges.
        data: the clip, MP4 or WebM.
        name: of its file, for its format.

    Raises:
        StreamguardError: the clip cannot be read or judged, or there is no room for what is made.
    """
    frames: list[JudgedFrame] = []
    with TemporaryDirectory(prefix="streamguard-clip-") as made:
        folder = Path(made)
        source, painted = folder / name, folder / "painted.mp4"
        await asyncio.to_thread(source.write_bytes, data)
        scan = FileScan(guard, str(source), WatchOptions(judged_per_second=_RATE, spare=True))
        async with OverlayRecorder(painted, guard.spec.threshold) as recorder:

            async def take(report: FrameReport) -> None:
                await recorder.write(report)
                scores = [face.score for face in report.faces if face.score is not None]
                frames.append(JudgedFrame(report.frame.time, max(scores, default=None)))

            await scan.run(take)
        if scan.fault is not None:
            raise scan.fault
        if not frames:
            raise OutputError(name, "not one frame of it could be judged", "look at the pictures instead")
        return JudgedClip(await asyncio.to_thread(painted.read_bytes), tuple(frames))
