"""Faces turned upright and brought to one size, as generators are given them."""

from __future__ import annotations

import cv2
import numpy as np

from streamguard.training.donor_blend import similarity
from streamguard.types import Float64Array, FloatArray, UInt8Array

TEMPLATE = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]], dtype=np.float32)
"""Eyes, nose and mouth corners in a square of 112 pixels: the usual place of a face for recognition (ArcFace)."""
SIDE = 112


def template(side: int, zoom: float) -> FloatArray:
    """float32 [5, 2]: where the landmarks lie in a square of that side; `zoom` 1 is the usual tight one."""
    return np.asarray(((TEMPLATE - SIDE / 2) * zoom + SIDE / 2) * (side / SIDE), dtype=np.float32)


def aligned(rgb: UInt8Array, landmarks: FloatArray, side: int, zoom: float) -> tuple[UInt8Array, Float64Array]:
    """The face upright.

    Args:
        rgb: uint8 [H, W, 3].
        landmarks: float32 [5, 2] in its pixels.
        side: of the square, in pixels.
        zoom: size of the face in it; see `template`.

    Returns uint8 [side, side, 3], and the float64 [2, 3] that leads there for `cv2.warpAffine`.
    """
    matrix, _ = similarity(landmarks, template(side, zoom))
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.6:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.4 / scale), dtype=np.uint8)
    face = cv2.warpAffine(rgb, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(face, dtype=np.uint8), matrix
