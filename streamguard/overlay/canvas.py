"""A copy of a picture's planes that is painted region by region, never converted as a whole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from streamguard.overlay.colour import Rgb, rgb_to_yuv, shares_of
from streamguard.types import Picture, UInt8Array


class Region(NamedTuple):
    """A part of the picture in pixels, ends exclusive, that starts on even pixels (whole chroma samples)."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.y1 - self.y0, self.x1 - self.x0


@dataclass(frozen=True, slots=True)
class Patch:
    """A ready-made opaque piece of picture.

    Attributes:
        y: luma, uint8 [height, width], both even.
        u, v: chroma, uint8 [height / 2, width / 2].
    """

    y: UInt8Array
    u: UInt8Array
    v: UInt8Array


class Canvas:
    """Planes that may be written to, copied from a picture.

    Args:
        picture: copied, never written to.
    """

    def __init__(self, picture: Picture) -> None:
        self.matrix, self.full_range = picture.matrix, picture.full_range
        self._planes = (
            np.array(picture.y, order="C"),
            np.array(picture.u, order="C"),
            np.array(picture.v, order="C"),
        )
        self.width, self.height = picture.width, picture.height

    def picture(self) -> Picture:
        """The painted picture; it shares the planes."""
        y, u, v = self._planes
        return Picture(y, u, v, self.matrix, self.full_range)

    def region(self, x0: float, y0: float, x1: float, y1: float) -> Region | None:
        """The part of a rectangle that lies in the picture, grown to whole chroma samples; None if none does."""
        left, top = max(0, math.floor(x0)), max(0, math.floor(y0))
        right, bottom = min(self.width, math.ceil(x1)), min(self.height, math.ceil(y1))
        if left >= right or top >= bottom:
            return None
        return Region(
            left & ~1,
            top & ~1,
            min(self.width, right + right % 2),
            min(self.height, bottom + bottom % 2),
        )

    def blend(self, region: Region, coverage: UInt8Array, rgb: Rgb) -> None:
        """Lays a colour over a region: 0 leaves a pixel bit for bit, 255 replaces it.

        Args:
            region: where.
            coverage: uint8 of the region's shape.
            rgb: the colour.
        """
        colour = rgb_to_yuv(rgb, self.matrix, self.full_range)
        height, width = region.shape
        # a chroma sample at an odd edge belongs to the last pixel alone
        odd = height % 2 or width % 2
        edge = (0, height % 2, 0, width % 2)
        even = cv2.copyMakeBorder(coverage, *edge, cv2.BORDER_REPLICATE) if odd else coverage
        size = ((width + 1) // 2, (height + 1) // 2)
        half = np.asarray(cv2.resize(even, size, interpolation=cv2.INTER_AREA), np.uint8)
        rows, columns = slice(region.y0, region.y1), slice(region.x0, region.x1)
        _lay(self._planes[0][rows, columns], coverage, colour[0])
        rows, columns = (
            slice(region.y0 // 2, (region.y1 + 1) // 2),
            slice(region.x0 // 2, (region.x1 + 1) // 2),
        )
        _lay(self._planes[1][rows, columns], half, colour[1])
        _lay(self._planes[2][rows, columns], half, colour[2])

    def put(self, x: int, y: int, patch: Patch) -> None:
        """Puts a patch down whole.

        Args:
            x, y: its upper left pixel, both even, such that it lies within the picture.
            patch: what is put down.
        """
        for plane, source, step in zip(self._planes, (patch.y, patch.u, patch.v), (1, 2, 2), strict=True):
            height, width = source.shape
            plane[y // step : y // step + height, x // step : x // step + width] = source


def _lay(target: UInt8Array, coverage: UInt8Array, sample: int) -> None:
    kept = cv2.multiply(target, cv2.bitwise_not(coverage), scale=1.0 / 255.0)
    target[...] = cv2.add(kept, cv2.LUT(coverage, shares_of(sample))).reshape(target.shape)
