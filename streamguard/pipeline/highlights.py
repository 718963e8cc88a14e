"""The pictures of a file that look fake most, kept small while it is judged."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import cv2
import numpy as np

from streamguard.media import rgb_of
from streamguard.pipeline.annotate import annotated
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Verdict

MOST = 6
APART = 1.0
"""Seconds between two of them, at the least."""
_BETTER = 0.02
"""So much more score is worth another picture."""
_WORST_FIRST = (Verdict.FAKE, Verdict.UNSURE, Verdict.REAL)
_WIDTH = 720
_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Highlight:
    """A frame with its marks.

    Attributes:
        time: media seconds.
        score: the highest of its faces, 0..1.
        state: the worst of its faces.
        jpeg: the picture.
    """

    time: float
    score: float
    state: Verdict
    jpeg: bytes


class Highlights:
    """Takes every report of a file, and keeps a few.

    Args:
        threshold: the model's pixel threshold, 0..1.
    """

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._kept: list[Highlight] = []

    def pictures(self) -> list[Highlight]:
        """Those with the highest scores, in the order of time; where some are fake, no others beside them."""
        told = [one for one in self._kept if one.state is Verdict.FAKE] or self._kept
        return sorted(told, key=lambda one: one.time)

    async def take(self, report: FrameReport) -> None:
        """Look at a report; reports come in order."""
        judged = [face for face in report.faces if face.state is not Verdict.UNKNOWN]
        if not judged:
            return
        score, time = max(face.score or 0.0 for face in judged), report.frame.time
        state = next(each for each in _WORST_FIRST if any(face.state is each for face in judged))
        rival = next((one for one in self._kept if abs(one.time - time) < APART), None)
        if rival is None and len(self._kept) >= MOST:
            rival = min(self._kept, key=lambda one: one.score)
        if rival is not None and score < rival.score + _BETTER:
            return
        jpeg = await asyncio.to_thread(self._jpeg, report)
        self._kept = [one for one in self._kept if one is not rival] + [Highlight(time, score, state, jpeg)]

    def _jpeg(self, report: FrameReport) -> bytes:
        rgb = rgb_of(annotated(report, self._threshold, title=False, alone=True))
        height, width = rgb.shape[:2]
        if width > _WIDTH:
            size = (_WIDTH, max(1, round(height * _WIDTH / width)))
            rgb = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.uint8)
        done, jpeg = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        if not done:
            raise RuntimeError("the JPEG encoder failed")
        return jpeg.tobytes()
