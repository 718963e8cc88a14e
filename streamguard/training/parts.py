"""Parts of pictures: rectangles of them, what was recorded of a square, how they are coded and sent."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from streamguard.errors import CorruptMedia, DataError
from streamguard.media import Codec, recode
from streamguard.training.manifest import Rectangle
from streamguard.types import Picture, UInt8Array

SEAM = 4
"""Pixels at the edge of the recorded part, at the size of the truth, in which no mask is taken."""


def tile(picture: Picture, place: Rectangle | None) -> Picture:
    """The rectangle of a picture, as a view; luma is cut to the pixel, chroma to its sample.

    Raises:
        DataError: it reaches outside the picture.
    """
    if place is None:
        return picture
    x, y, width, height = place
    if x + width > picture.width or y + height > picture.height:
        raise _outside(place, picture.width, picture.height)
    luma = slice(y, y + height), slice(x, x + width)
    chroma = slice(y // 2, y // 2 + (height + 1) // 2), slice(x // 2, x // 2 + (width + 1) // 2)
    planes = picture.y[luma], picture.u[chroma], picture.v[chroma]
    return Picture(*planes, picture.matrix, picture.full_range)


def _outside(place: Rectangle, width: int, height: int) -> DataError:
    cause = f"the rectangle {','.join(map(str, place))} reaches outside the picture of {width}x{height}"
    return DataError("manifest", cause, "correct the rectangle")


def read_part(path: Path, place: Rectangle | None, quality: int) -> tuple[bytes, UInt8Array]:
    """A picture, or the rectangle of it, coded and decoded.

    Raises:
        CorruptMedia: there is no picture.
        DataError: the rectangle reaches outside.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CorruptMedia(str(path), f"cannot be read ({error.strerror})") from error
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if decoded is None:
        raise CorruptMedia(str(path), "not a readable picture")
    picture = np.asarray(decoded, dtype=np.uint8)
    if place is None:
        return data, picture
    x, y, width, height = place
    if x + width > picture.shape[1] or y + height > picture.shape[0]:
        raise _outside(place, picture.shape[1], picture.shape[0])
    part = np.ascontiguousarray(picture[y : y + height, x : x + width])
    return coded(part, quality), part


def moved(
    rectangle: tuple[float, float, float, float], x: int, y: int, scale: float, size: int
) -> tuple[float, float, float, float]:
    """The rectangle in pixels of the square at (x, y), cut to it."""
    x0, y0, x1, y1 = (min(max((value - (x, y)[k % 2]) * scale, 0.0), float(size)) for k, value in enumerate(rectangle))
    return x0, y0, x1, y1


def mask_square(mask: UInt8Array, x: int, y: int, side: int, size: int) -> UInt8Array:
    """The mask in the square at (x, y), brought to `size` pixels a side: uint8 [size, size]."""
    matrix = np.array([[size / side, 0, -x * size / side], [0, size / side, -y * size / side]])
    return np.asarray(cv2.warpAffine(mask, matrix, (size, size), flags=cv2.INTER_NEAREST), dtype=np.uint8)


def within(mask: UInt8Array, inside: tuple[float, float, float, float], scale: float) -> UInt8Array:
    """The mask without what lies outside the recorded part or on its seam: there borders are repeated."""
    x0, y0, x1, y1 = (round(value * scale) for value in inside)
    kept = np.zeros_like(mask)
    part = slice(y0 + SEAM, max(y0 + SEAM, y1 - SEAM)), slice(x0 + SEAM, max(x0 + SEAM, x1 - SEAM))
    kept[part] = mask[part]
    return kept


def coded(rgb: UInt8Array, quality: int = 97) -> bytes:
    """The picture as a JPEG that keeps its chroma whole."""
    how = [cv2.IMWRITE_JPEG_QUALITY, quality]
    how += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return bytes(cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), how)[1])


def coded_mask(mask: UInt8Array) -> bytes:
    """The mask as a PNG, 255 where fake."""
    return bytes(cv2.imencode(".png", mask * 255)[1])


def resend(pictures: list[Picture], rate: float, random: np.random.Generator) -> list[Picture]:
    """Whole frames as a call would send them: rescaled, encoded, decoded, and scaled back to keep registration."""
    factor = float(random.uniform(0.55, 1.0))
    width, height = (max(64, round(side * factor / 2) * 2) for side in (pictures[0].width, pictures[0].height))
    small = [scaled(picture, width, height) for picture in pictures]
    # About 250 kbit/s to 2 Mbit/s at 640x360.
    bits = float(np.exp(random.uniform(np.log(0.04), np.log(0.3)))) * width * height * rate
    codecs: tuple[Codec, ...] = ("h264", "h264", "vp8", "mpeg4")
    sent = recode(small, codec=codecs[int(random.integers(len(codecs)))], rate=rate, bit_rate=round(bits))
    return [scaled(picture, pictures[0].width, pictures[0].height) for picture in sent]


def scaled(picture: Picture, width: int, height: int) -> Picture:
    """The picture at a width and height in pixels; itself where nothing changes."""
    if (width, height) == (picture.width, picture.height):
        return picture
    how = cv2.INTER_AREA if width < picture.width else cv2.INTER_CUBIC
    half = ((width + 1) // 2, (height + 1) // 2)
    planes = ((picture.y, (width, height)), (picture.u, half), (picture.v, half))
    y, u, v = (np.asarray(cv2.resize(p, size, interpolation=how), dtype=np.uint8) for p, size in planes)
    return Picture(y, u, v, picture.matrix, picture.full_range)
