"""Colours as the picture stores them.

The palette is Okabe and Ito's, "Color universal design" (2008): vermillion, yellow and blue stay apart for every
common form of colour blindness. The conversion follows ITU-R BT.601 and BT.709.
"""

from __future__ import annotations

import functools
from typing import Literal, TypeAlias

import numpy as np

from streamguard.types import UInt8Array

Rgb: TypeAlias = tuple[int, int, int]
"""Red, green, blue, 0..255, gamma-encoded as a screen shows them."""

Yuv: TypeAlias = tuple[int, int, int]
"""Luma and the two chroma samples, 0..255, in a picture's own matrix and range."""

Matrix: TypeAlias = Literal["bt601", "bt709"]

VERMILLION: Rgb = (213, 94, 0)
YELLOW: Rgb = (240, 228, 66)
BLUE: Rgb = (0, 114, 178)
GREY: Rgb = (140, 140, 140)
WHITE: Rgb = (255, 255, 255)
PLATE: Rgb = (18, 18, 18)
BLACK: Rgb = (0, 0, 0)

_WEIGHTS: dict[Matrix, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}


@functools.lru_cache(maxsize=256)
def rgb_to_yuv(rgb: Rgb, matrix: Matrix, full_range: bool) -> Yuv:
    """A colour as the samples of a picture.

    Args:
        rgb: 0..255 each.
        matrix: the picture's colour matrix.
        full_range: True for 0-255 samples, False for luma 16-235 and chroma 16-240.
    """
    red, green, blue = (value / 255.0 for value in rgb)
    weight_red, weight_blue = _WEIGHTS[matrix]
    luma = weight_red * red + (1.0 - weight_red - weight_blue) * green + weight_blue * blue
    chroma_blue = (blue - luma) / (2.0 * (1.0 - weight_blue))
    chroma_red = (red - luma) / (2.0 * (1.0 - weight_red))
    offset, luma_span, chroma_span = (0, 255, 255) if full_range else (16, 219, 224)
    samples = (offset + luma_span * luma, 128 + chroma_span * chroma_blue, 128 + chroma_span * chroma_red)
    y, u, v = (min(255, max(0, round(sample))) for sample in samples)
    return y, u, v


@functools.lru_cache(maxsize=512)
def shares_of(sample: int) -> UInt8Array:
    """Amount that a sample adds at each coverage: uint8 [256], coverage c -> round(sample * c / 255)."""
    table = np.round(np.arange(256, dtype=np.float64) * sample / 255.0).astype(np.uint8)
    table.setflags(write=False)
    return table
