"""A judged frame as a JPEG."""

from __future__ import annotations

import cv2

from streamguard.media import rgb_of
from streamguard.pipeline.annotate import annotated
from streamguard.pipeline.stream import FrameReport

_QUALITY = 85


def snapshot(report: FrameReport, threshold: float, *, mask: bool) -> bytes:
    """The report's picture as JPEG bytes. Blocks: call it in an executor.

    Args:
        report: the frame and what is said of it.
        threshold: the model's pixel threshold, 0..1.
        mask: with masks, boxes and verdicts.
    """
    picture = annotated(report, threshold) if mask else report.frame.image
    done, jpeg = cv2.imencode(".jpg", rgb_of(picture)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise RuntimeError("the JPEG encoder failed")
    return jpeg.tobytes()
