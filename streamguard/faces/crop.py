"""Face crops: one geometry for training and live."""

from __future__ import annotations

from dataclasses import dataclass

from streamguard.faces.region import square, square_affine
from streamguard.types import Box, Crop, Face, Picture


@dataclass(frozen=True, slots=True)
class CropSquare:
    """A square of the frame: even top-left corner and even side, in pixels; may reach outside the picture."""

    x: int
    y: int
    side: int


def crop_square(box: Box, margin: float) -> CropSquare:
    """The square around a face box: centred, `margin` times the box's longer side.

    Corner and side are even so that the chroma planes of 4:2:0 video stay registered with luma.
    """
    x0, y0, x1, y1 = box
    half = max(1, round(max(x1 - x0, y1 - y0) * margin / 4)) * 2
    x, y = (round((low + high) / 4) * 2 - half for low, high in ((x0, x1), (y0, y1)))
    return CropSquare(x, y, 2 * half)


def cut(picture: Picture, face: Face, margin: float, size: int) -> Crop:
    """The face's crop: uint8 [size, size, 3] RGB, borders outside the picture repeated."""
    area = crop_square(face.box, margin)
    pixels = square(picture, area.x, area.y, area.side, size)
    return Crop(face, square_affine(area.x, area.y, area.side, size), pixels)


def share_inside(picture: Picture, area: CropSquare) -> float:
    """Share of the square that lies inside the picture, 0..1."""
    width = min(area.x + area.side, picture.width) - max(area.x, 0)
    height = min(area.y + area.side, picture.height) - max(area.y, 0)
    return max(width, 0) * max(height, 0) / area.side**2
