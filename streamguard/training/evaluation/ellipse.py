"""Know-nothing baselines: what a detector must beat before any of its figures means something."""

from __future__ import annotations

import cv2
import numpy as np

from streamguard.types import BoolArray, Box, UInt8Array

RISE = 0.05


def ellipse_mask(box: Box, *, size: int = 256, rise: float = RISE) -> BoolArray:
    """The ellipse inscribed in a face box, raised a little: bool [size, size].

    Face swaps replace an oval about that size; on frames of 24 swapped recordings it reaches a Dice of 0.88
    with the filled truth while it knows nothing of the picture. It is therefore right on no real face.

    Args:
        box: the face box in crop pixels; not empty.
        size: side of the crop in pixels.
        rise: how far the ellipse's centre lies above the box's, as a share of the box's height.
    """
    x0, y0, x1, y1 = box
    rows, columns = np.mgrid[:size, :size] + 0.5
    across = (columns - (x0 + x1) / 2) / ((x1 - x0) / 2)
    down = (rows - (y0 + y1) / 2 + rise * (y1 - y0)) / ((y1 - y0) / 2)
    inside: BoolArray = across**2 + down**2 <= 1.0
    return inside


def blur(pixels: UInt8Array) -> float:
    """The baseline "blurred means fake": variance of the Laplacian of the luma (Pech-Pacheco et al. 2000), with its
    sign turned, so that higher means more fake.

    Args:
        pixels: uint8 [H, W, 3] RGB.
    """
    return -float(cv2.Laplacian(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())
