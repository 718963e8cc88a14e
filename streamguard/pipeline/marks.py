"""Boxes and masks alone, on nothing: to be laid over a picture that somebody else shows."""

from __future__ import annotations

import cv2
import numpy as np

from streamguard.overlay import paint
from streamguard.pipeline.annotate import overlay_items
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Picture, UInt8Array

_WIDEST = 1280
_LIGHT, _DARK = 255, 0
_FAST = [cv2.IMWRITE_PNG_COMPRESSION, 1]


def marks_png(report: FrameReport, threshold: float) -> bytes:
    """The report's marks as a PNG, transparent elsewhere. Blocks: call it in an executor.

    It has the picture's form, and at most 1280 columns.

    Args:
        report: the frame and what is said of it.
        threshold: the model's pixel threshold, 0..1.
    """
    height, width = report.frame.image.y.shape
    items = overlay_items(report, threshold)
    # What is the same on black and on white hides the ground; what differs by all of it lets it through.
    dark, light = (_bgr(paint(_ground(width, height, luma), items)) for luma in (_DARK, _LIGHT))
    through = cv2.subtract(light, dark).max(axis=2)
    opacity = 255 - through
    colour = np.minimum(255, dark.astype(np.float32) * 255 / np.maximum(opacity, 1)[..., None])
    marks = np.dstack((colour.astype(np.uint8), opacity))
    # Rounding of the colours leaves a breath of them everywhere.
    marks[opacity < 4] = 0
    if width > _WIDEST:
        marks = np.asarray(cv2.resize(marks, (_WIDEST, round(height * _WIDEST / width)), interpolation=cv2.INTER_AREA))
    done, png = cv2.imencode(".png", marks, _FAST)
    if not done:
        raise RuntimeError("the PNG encoder failed")
    return png.tobytes()


def _ground(width: int, height: int, luma: int) -> Picture:
    half = ((height + 1) // 2, (width + 1) // 2)
    neutral = np.full(half, 128, np.uint8)
    return Picture(np.full((height, width), luma, np.uint8), neutral, neutral, full_range=True)


def _bgr(picture: Picture) -> UInt8Array:
    """Full-range BT.601 as uint8 [height, width, 3] BGR; quicker than exact."""
    size = (picture.width, picture.height)
    # OpenCV has the order Y, Cr, Cb.
    chroma = (cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in (picture.v, picture.u))
    return np.asarray(cv2.cvtColor(cv2.merge((picture.y, *chroma)), cv2.COLOR_YCrCb2BGR), np.uint8)
