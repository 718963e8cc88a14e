"""A mask's heat and contour, warped from the crop into the picture."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import cv2
import numpy as np

from streamguard.overlay.canvas import Canvas, Region
from streamguard.overlay.colour import WHITE, Rgb
from streamguard.types import Face, Float64Array, Mask, UInt8Array
from streamguard.verdict import level_above

# beyond this a coordinate is damage, and OpenCV's fixed-point warp would overflow
_FAR = 1e6


def follow(mask: Mask, face: Face) -> Mask:
    """The mask moved to where its face is now: shifted and scaled as the face's box was.

    Args:
        mask: of an earlier frame.
        face: the same person's face in the present frame.

    Returns:
        The mask with a new `crop.affine` and `crop.face`; unmoved when a box has no area.
    """
    old, new = mask.crop.face.box, face.box
    sizes = (old[2] - old[0], old[3] - old[1], new[2] - new[0], new[3] - new[1])
    if not all(np.isfinite(sizes)) or min(sizes) <= 0:
        return mask
    across, down = sizes[2] / sizes[0], sizes[3] / sizes[1]
    move = np.array([[across, 0.0, new[0] - across * old[0]], [0.0, down, new[1] - down * old[1]], [0.0, 0.0, 1.0]])
    affine = (move @ np.vstack([mask.crop.affine, [0.0, 0.0, 1.0]]))[:2]
    return replace(mask, crop=replace(mask.crop, face=face, affine=affine))


@dataclass(frozen=True, slots=True)
class Warped:
    """A mask in picture pixels.

    Attributes:
        region: where it lies.
        probability: uint8 of the region's shape, 0..255 for 0..1.
    """

    region: Region
    probability: UInt8Array


def warp(canvas: Canvas, mask: Mask, lowest: float, margin: int) -> Warped | None:
    """The part of a mask that matters, in picture pixels.

    Args:
        canvas: the picture it is meant for.
        mask: the mask.
        lowest: probability 0..1; what is not above is left away, where it does not lie between what is.
        margin: pixels of room around it.

    Returns:
        None when nothing is above, nothing of it lies in the picture, or the crop's affine is damaged.
    """
    affine = mask.crop.affine
    _, above = cv2.threshold(mask.probability, level_above(lowest) - 1, 255, cv2.THRESH_BINARY)
    x, y, width, height = cv2.boundingRect(above)
    if width == 0 or not _usable(affine):
        return None
    # interpolation carries a pixel's value one crop pixel further
    left, top, right, bottom = x - 1, y - 1, x + width, y + height
    corners = np.array([[left, top, 1], [right, top, 1], [left, bottom, 1], [right, bottom, 1]])
    ends = corners @ affine.T
    if np.abs(ends).max() > _FAR:
        return None
    (left, top), (right, bottom) = ends.min(axis=0) - margin, ends.max(axis=0) + 1 + margin
    region = canvas.region(left, top, right, bottom)
    if region is None:
        return None
    local = affine.copy()
    local[:, 2] -= (region.x0, region.y0)
    rows, columns = region.shape
    return Warped(region, np.asarray(cv2.warpAffine(mask.probability, local, (columns, rows)), np.uint8))


def paint_heat(canvas: Canvas, warped: Warped, rgb: Rgb, alpha: float, floor: float, threshold: float) -> None:
    """Lays the colour over the face, the more opaque the more probably fake (see `heat`).

    Args:
        canvas: painted on, only where the heat is above the floor.
        warped: the mask.
        rgb: the heat's colour.
        alpha: opacity at probability 1.
        floor: heat, 0..1; nothing is painted where it is not above.
        threshold: probability above which a pixel counts as fake.
    """
    coverage = np.asarray(cv2.LUT(warped.probability, _opacities(alpha, floor, threshold)), np.uint8)
    canvas.blend(warped.region, coverage, rgb)


def paint_contour(canvas: Canvas, warped: Warped, threshold: float, width: int, rgb: Rgb) -> None:
    """Draws the outline of the pixels above the threshold: a light line with a coloured rim.

    Args:
        canvas: painted on, near the outline only.
        warped: the mask.
        threshold: probability, 0..1; a pixel counts when strictly above.
        width: pixels of the light line.
        rgb: the rim's colour.
    """
    _, above = cv2.threshold(warped.probability, level_above(threshold) - 1, 255, cv2.THRESH_BINARY)
    lines, _ = cv2.findContours(above, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    if not lines:
        return
    x, y, columns, rows = cv2.boundingRect(above)
    left, top, reach = warped.region.x0 + x, warped.region.y0 + y, 2 * width + 2
    near = canvas.region(left - reach, top - reach, left + columns + reach, top + rows + reach)
    if near is None:
        return
    shift = (warped.region.x0 - near.x0, warped.region.y0 - near.y0)
    line = np.zeros(near.shape, np.uint8)
    cv2.drawContours(line, lines, -1, 255, width, cv2.LINE_AA, offset=shift)
    # a thick line of many short pieces costs several times a dilated thin one
    rim = np.asarray(cv2.dilate(line, np.ones((3, 3), np.uint8)), np.uint8)
    canvas.blend(near, rim, rgb)
    canvas.blend(near, line, WHITE)


def _usable(affine: Float64Array) -> bool:
    return bool(np.isfinite(affine).all() and abs(float(np.linalg.det(affine[:, :2]))) > 1e-9)


def heat(threshold: float) -> Float64Array:
    """float64 [256]: what each level of a mask means against the threshold, 0..1, one half at it.

    The odds of a level divided by the threshold's: a detector that calls a pixel fake from 0.99 on means little by
    0.7, and a face called real must not look marked. At a threshold of one half it is the probability itself.
    """
    levels, least = np.arange(256) / 255.0, 0.1 / 255.0
    odds = np.clip(levels, least, 1 - least) / (1 - np.clip(levels, least, 1 - least))
    border = min(max(threshold, least), 1 - least)
    relative: Float64Array = 1 - 1 / (1 + odds * (1 - border) / border)
    return relative


def visible_from(floor: float, threshold: float) -> float:
    """The probability above which a mask is seen: as heat above the floor, or inside the contour."""
    seen = np.nonzero(heat(threshold) > floor)[0]
    return min(threshold, (float(seen[0]) - 0.5) / 255.0) if len(seen) else threshold


@functools.lru_cache(maxsize=16)
def _opacities(alpha: float, floor: float, threshold: float) -> UInt8Array:
    relative = heat(threshold)
    table = np.where(relative > floor, np.round(255.0 * alpha * relative), 0.0).astype(np.uint8)
    table.setflags(write=False)
    return table
