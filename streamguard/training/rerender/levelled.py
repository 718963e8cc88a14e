"""A rendered face made as sharp and as coloured as the one it stands for, band by band."""

from __future__ import annotations

import cv2
import numpy as np

from streamguard.types import BoolArray, FloatArray, UInt8Array

SIGMAS = (0.7, 1.4, 2.8, 5.6)
"""Pixels; the bands of detail lie between them."""
LEAST, MOST = 0.4, 6.0
"""Bounds of a band's gain: what is hardly there at all is not drawn up from nothing."""
TOGETHER, APART = 0.15, 0.12
"""Octaves by which all bands, and single ones, may still be stronger or weaker."""
LOWS = (0.0, 0.0, 0.5, 1.0)
"""How much of the rendered face's own colour and shading is kept."""


def levelled(real: UInt8Array, made: UInt8Array, inside: BoolArray, random: np.random.Generator) -> UInt8Array:
    """`made` with the strength of `real` in each band of detail, and with most of its colour and shading.

    Args:
        real, made: uint8 [H, W, 3] RGB, registered.
        inside: bool [H, W], where strengths are compared.
        random: decides what little is left of a difference.
    """
    (fine, coarse), (made_fine, made_coarse) = _bands(real), _bands(made)
    picture = coarse + (made_coarse - coarse) * float(random.choice(LOWS))
    together = random.normal(0, TOGETHER)
    for band, made_band in zip(fine, made_fine, strict=True):
        gain = _strength(band[inside]) / (_strength(made_band[inside]) + 0.02)
        picture = picture + made_band * np.clip(gain * 2 ** (together + random.normal(0, APART, 3)), LEAST, MOST)
    levels = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(levels, cv2.COLOR_YCrCb2RGB), dtype=np.uint8)


def _bands(rgb: UInt8Array) -> tuple[list[FloatArray], FloatArray]:
    """Details from fine to coarse, and what is left; float32 [H, W, 3] YCrCb that add up to the picture."""
    left = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb), dtype=np.float32)
    picture, bands = left, []
    for sigma in SIGMAS:
        softer = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), dtype=np.float32)
        bands.append(left - softer)
        left = softer
    return bands, left


def _strength(values: FloatArray) -> FloatArray:
    """float32 [3]: root mean square of each channel."""
    return np.asarray(np.sqrt((values**2).mean(axis=0)), dtype=np.float32)
