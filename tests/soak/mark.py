"""The number of a picture within it, as light and dark squares: what a frame shows tells when it was on air."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from streamguard.types import Picture, UInt8Array

BITS = 12
"""Numbers from 0 to 4095."""
SIDE = 16
"""Pixels across a square."""
_DARK, _LIGHT, _GREY = 32, 220, 128


def marked(picture: Picture, number: int) -> Picture:
    """The picture with its number in the upper left corner: a row of squares, and its inverse beneath.

    Args:
        picture: at least 192 x 32 pixels.
        number: modulo 4096.
    """
    bits = (number >> np.arange(BITS)) & 1
    luma, u, v = (plane.copy() for plane in (picture.y, picture.u, picture.v))
    rows = np.where(np.stack((bits, 1 - bits)) == 1, _LIGHT, _DARK).astype(np.uint8)
    luma[: 2 * SIDE, : BITS * SIDE] = np.kron(rows, np.ones((SIDE, SIDE), np.uint8))
    for chroma in (u, v):
        chroma[:SIDE, : BITS * SIDE // 2] = _GREY
    return replace(picture, y=luma, u=u, v=v)


def number_of(luma: UInt8Array) -> int | None:
    """The number that a picture shows; None where it cannot be read.

    Args:
        luma: uint8 [height, width], as large as the picture was when it was marked.
    """
    if luma.shape[0] < 2 * SIDE or luma.shape[1] < BITS * SIDE:
        return None
    # The middles of the squares: a codec smears their edges.
    quarter = SIDE // 4
    squares = luma[: 2 * SIDE, : BITS * SIDE].reshape(2, SIDE, BITS, SIDE)[:, quarter:-quarter, :, quarter:-quarter]
    upper, lower = squares.mean(axis=(1, 3))
    if (np.abs(upper - lower) < (_LIGHT - _DARK) / 2).any():
        return None
    return int(((upper > lower) << np.arange(BITS)).sum())
