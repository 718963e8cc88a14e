"""Faces in whole BGR pictures, as programs around cv2.VideoCapture have them; the geometry is streamguard's own."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from streamguard.faces import CenterFaceDetector, crop_square
from streamguard.types import Box, UInt8Array


def best_box(detector: CenterFaceDetector, picture: Any) -> Box | None:
    """The surest face's box in a picture uint8 [H, W, 3] BGR."""
    height, width = picture.shape[:2]
    # Averaging the whole picture's areas costs seven times as much, and finds the same faces.
    small = cv2.resize(picture, detector.input_size(width, height), interpolation=cv2.INTER_LINEAR)
    found = detector.detect_small(np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8), width, height)
    if len(found) == 0:
        return None
    x0, y0, x1, y1 = (float(value) for value in found.boxes[0])
    return x0, y0, x1, y1


def cut_bgr(picture: Any, box: Box, margin: float, size: int) -> UInt8Array:
    """The face's crop, as `faces.cut` makes it, of a picture uint8 [H, W, 3] BGR: uint8 [size, size, 3] RGB."""
    area = crop_square(box, margin)
    height, width = picture.shape[:2]
    left, top = min(max(area.x, 0), width - 1), min(max(area.y, 0), height - 1)
    right, bottom = min(max(area.x + area.side, left + 1), width), min(max(area.y + area.side, top + 1), height)
    part = picture[top:bottom, left:right]
    borders = (top - area.y, area.y + area.side - bottom, left - area.x, area.x + area.side - right)
    if max(borders) > 0:
        above, below, before, behind = (max(0, side) for side in borders)
        part = cv2.copyMakeBorder(part, above, below, before, behind, borderType=cv2.BORDER_REPLICATE)
    how = cv2.INTER_AREA if area.side > size else cv2.INTER_LINEAR
    resized = cv2.resize(part, (size, size), interpolation=how)
    return np.asarray(cv2.cvtColor(resized, cv2.COLOR_BGR2RGB), np.uint8)
