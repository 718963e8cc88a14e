"""Parts of a planar picture as RGB: only the pixels asked for are ever converted."""

from __future__ import annotations

import functools
from typing import Literal

import cv2
import numpy as np

from streamguard.types import Float64Array, FloatArray, Picture, UInt8Array


def thumbnail(picture: Picture, width: int, height: int) -> UInt8Array:
    """The whole picture, resized, as uint8 [height, width, 3] RGB."""
    planes = [_scaled(plane, width, height) for plane in (picture.y, picture.u, picture.v)]
    return _to_rgb(planes, picture)


def square(picture: Picture, x: int, y: int, side: int, size: int) -> UInt8Array:
    """The square with top-left (x, y) and `side` frame pixels, resized to uint8 [size, size, 3] RGB.

    x and y are even, so that luma and chroma stay registered. Parts outside the picture repeat its border.
    """
    half = (side + 1) // 2
    planes = [
        _resized(picture.y, x, y, side, size),
        _resized(picture.u, x // 2, y // 2, half, size),
        _resized(picture.v, x // 2, y // 2, half, size),
    ]
    return _to_rgb(planes, picture)


def square_affine(x: int, y: int, side: int, size: int) -> Float64Array:
    """float64 [2, 3]: pixel centres of the [size, size] crop to pixel centres of the frame."""
    scale = side / size
    return np.array([[scale, 0, x + scale / 2 - 0.5], [0, scale, y + scale / 2 - 0.5]], dtype=np.float64)


def _resized(plane: UInt8Array, x: int, y: int, side: int, size: int) -> UInt8Array:
    height, width = plane.shape
    left, top = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    right, bottom = min(max(x + side, left + 1), width), min(max(y + side, top + 1), height)
    part = plane[top:bottom, left:right]
    borders = (max(top - y, 0), max(y + side - bottom, 0), max(left - x, 0), max(x + side - right, 0))
    if any(borders):
        part = np.asarray(cv2.copyMakeBorder(part, *borders, borderType=cv2.BORDER_REPLICATE), dtype=np.uint8)
    return _scaled(part, size, size)


def _scaled(plane: UInt8Array, width: int, height: int) -> UInt8Array:
    how = cv2.INTER_AREA if plane.shape[1] > width else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=how), dtype=np.uint8)


def _to_rgb(planes: list[UInt8Array], picture: Picture) -> UInt8Array:
    matrix = _yuv_to_rgb(picture.matrix, picture.full_range)
    return np.asarray(cv2.transform(cv2.merge(planes), matrix), dtype=np.uint8)


@functools.cache
def _yuv_to_rgb(matrix: Literal["bt601", "bt709"], full_range: bool) -> FloatArray:
    """float32 [3, 4]: ITU-R BT.601 / BT.709 Y'CbCr (8 bit) to R'G'B', with offsets."""
    kr, kb = (0.299, 0.114) if matrix == "bt601" else (0.2126, 0.0722)
    kg = 1 - kr - kb
    luma, chroma, black = (1.0, 1.0, 0.0) if full_range else (255 / 219, 255 / 224, 16.0)
    linear = np.array(
        [
            [luma, 0, 2 * (1 - kr) * chroma],
            [luma, -2 * (1 - kb) * kb / kg * chroma, -2 * (1 - kr) * kr / kg * chroma],
            [luma, 2 * (1 - kb) * chroma, 0],
        ]
    )
    offset = -linear @ np.array([black, 128.0, 128.0])
    return np.concatenate([linear, offset[:, None]], axis=1).astype(np.float32)
