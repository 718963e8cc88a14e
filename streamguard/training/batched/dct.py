"""What JPEG does to a picture, on the device: colour difference at half size, 8x8 cosine transform, quantisation.

Baseline JPEG (ITU-T T.81) loses nothing after the quantiser, so its entropy coder is left out. Tables are those of
T.81 Annex K, scaled to a quality as libjpeg does; chroma comes back by the triangle filter libjpeg calls fancy.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

from streamguard.training.batched.colour import to_rgb, to_ycc
from streamguard.training.batched.tensors import column, whole_levels
from streamguard.types import Float64Array

_LUMA = """
16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99
"""
_CHROMA = """
17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99
99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99 99
"""
BLOCK = 8


def tables(quality: np.ndarray) -> tuple[Float64Array, Float64Array]:
    """Quantisation tables, luma and chroma: float64 [N, 8, 8], whole numbers 1..255.

    Args:
        quality: int [N], 1..100.
    """
    scale = np.where(quality < 50, 5000 // np.maximum(quality, 1), 200 - 2 * quality)[:, None, None]

    def scaled(base: str) -> Float64Array:
        numbers = np.array(base.split(), dtype=np.float64).reshape(BLOCK, BLOCK)
        return np.clip(np.floor((numbers * scale + 50) / 100), 1, 255)

    return scaled(_LUMA), scaled(_CHROMA)


def jpeg_like(rgb: torch.Tensor, quality: np.ndarray) -> torch.Tensor:
    """The pictures after JPEG compression with 4:2:0 chroma.

    Args:
        rgb: float32 [N, ..., 3, S, S], whole numbers 0..255; S a multiple of 16.
        quality: int [N], 1..100.

    Returns the same shape, whole numbers 0..255.
    """
    between = rgb.ndim - 3
    luma_table, chroma_table = (column(each, rgb)[(slice(None), *[None] * between)] for each in tables(quality))
    ycc = whole_levels(to_ycc(rgb))
    luma = _quantised(ycc[..., :1, :, :], luma_table)
    size, batch = rgb.shape[-1], rgb.shape[:-3]
    halved = functional.avg_pool2d(ycc[..., 1:, :, :].reshape(-1, 2, size, size), 2)
    chroma = _quantised(whole_levels(halved).view(*batch, 2, size // 2, size // 2), chroma_table)
    doubled = functional.interpolate(chroma.flatten(0, -4), size=(size, size), mode="bilinear", align_corners=False)
    full = whole_levels(doubled).view(*batch, 2, size, size)
    return whole_levels(to_rgb(torch.cat([luma, full], dim=-3)))


def _quantised(planes: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Planes [..., C, H, W] of whole grey levels after transform, quantiser and back; table [..., 8, 8]."""
    turn = _cosines(planes)
    # Tables stand over every block: [..., C, rows of blocks, 8, columns of blocks, 8].
    over = table[..., None, :, None, :]
    height, width = planes.shape[-2:]
    blocks = (planes - 128).reshape(*planes.shape[:-2], height // BLOCK, BLOCK, width // BLOCK, BLOCK)
    coded = _both_axes(blocks, turn)
    return whole_levels(_both_axes((coded / over).round() * over, turn.mT).reshape(planes.shape) + 128)


def _both_axes(blocks: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """`turn @ block @ turn.mT` of every block; blocks [..., R, 8, K, 8]."""
    across = blocks @ turn.mT
    return (turn @ across.flatten(-2)).view(across.shape)


def _cosines(like: torch.Tensor) -> torch.Tensor:
    """float32 [8, 8]: the orthonormal cosine transform, one frequency a row."""
    at = np.arange(BLOCK)
    rows = np.cos((2 * at[None, :] + 1) * at[:, None] * math.pi / (2 * BLOCK)) * math.sqrt(2 / BLOCK)
    rows[0] /= math.sqrt(2)
    return column(rows, like)
