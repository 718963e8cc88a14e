"""Face boxes whose line differs by state: double for FAKE, its inner line dashed for UNSURE, single for REAL, dashed
for what was not judged.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamguard.overlay.canvas import Canvas, Region
from streamguard.overlay.colour import BLACK, Rgb
from streamguard.types import Box, UInt8Array, Verdict

_RIM_ALPHA = 140


def paint_box(canvas: Canvas, box: Box, state: Verdict, width: int, rgb: Rgb) -> None:
    """Draws a face's box, the line's outer edge on the box; sides outside the picture are left out.

    Args:
        canvas: painted on, only along the box's sides.
        box: frame pixels; nothing is drawn when it is not finite or has no area.
        state: chooses the line.
        width: of the line, pixels, at least 1.
        rgb: the line's colour; a dark rim sets it off from pictures of the same colour.
    """
    if not all(np.isfinite(box)) or box[0] >= box[2] or box[1] >= box[3]:
        return
    reach = 4 * width + 4
    # a side far outside is as invisible as one just outside, and small numbers suit the drawing calls
    x0, x1 = (round(min(max(x, -2 * reach), canvas.width + 2 * reach)) for x in (box[0], box[2]))
    y0, y1 = (round(min(max(y, -2 * reach), canvas.height + 2 * reach)) for y in (box[1], box[3]))
    region = canvas.region(x0 - 2, y0 - 2, x1 + 2, y1 + 2)
    if region is None:
        return
    left, top, right, bottom = x0 - region.x0, y0 - region.y0, x1 - 1 - region.x0, y1 - 1 - region.y0
    line = np.zeros(region.shape, np.uint8)
    rings = [(0, width)]
    if state in (Verdict.FAKE, Verdict.UNSURE):
        rings.append((2 * width + 1, max(1, width // 2)))
    for inset, thick in rings:
        for step in range(inset, inset + thick):
            if left + step <= right - step and top + step <= bottom - step:
                cv2.rectangle(line, (left + step, top + step), (right - step, bottom - step), 255, 1)
    inset, thick = rings[-1]
    ends = (left + inset, top + inset, right - inset, bottom - inset)
    if state in (Verdict.UNKNOWN, Verdict.UNSURE) and ends[0] <= ends[2] and ends[1] <= ends[3]:
        _dash(line, ends, thick)
    around = cv2.dilate(line, np.ones((3, 3), np.uint8))
    rim = np.asarray(np.minimum(cv2.subtract(around, line), _RIM_ALPHA), np.uint8)
    for side in _sides(region, (x0, y0, x1, y1), reach):
        rows = slice(side.y0 - region.y0, side.y1 - region.y0)
        columns = slice(side.x0 - region.x0, side.x1 - region.x0)
        canvas.blend(side, np.ascontiguousarray(rim[rows, columns]), BLACK)
        canvas.blend(side, np.ascontiguousarray(line[rows, columns]), rgb)


def _dash(line: UInt8Array, ends: tuple[int, int, int, int], width: int) -> None:
    """Rubs gaps out of the sides, none at the corners."""
    left, top, right, bottom = ends
    for side in (_span(top, top + width), _span(bottom + 1 - width, bottom + 1)):
        for gap in _gaps(left, right, width):
            line[side, gap] = 0
    for side in (_span(left, left + width), _span(right + 1 - width, right + 1)):
        for gap in _gaps(top, bottom, width):
            line[gap, side] = 0


def _gaps(start: int, stop: int, width: int) -> list[slice]:
    count = max(1, round((stop - start) / (10 * width)))
    quarters = np.linspace(start, stop, 4 * count + 1)
    return [_span(round(begin), round(end)) for begin, end in zip(quarters[1::4], quarters[3::4], strict=True)]


def _span(start: int, stop: int) -> slice:
    # a box that begins outside the picture has negative ends, which a slice would count from the back
    return slice(max(0, start), max(0, stop))


def _sides(region: Region, box: tuple[int, int, int, int], reach: int) -> list[Region]:
    """The strips of a region along a box's sides, apart from each other, all on even pixels."""
    x0, y0, x1, y1 = region
    upper = min(y1, max(y0, _even(box[1] + reach)))
    lower = min(y1, max(upper, _even(box[3] - reach)))
    left = min(x1, max(x0, _even(box[0] + reach)))
    right = min(x1, max(left, _even(box[2] - reach)))
    strips = (
        Region(x0, y0, x1, upper),
        Region(x0, lower, x1, y1),
        Region(x0, upper, left, lower),
        Region(right, upper, x1, lower),
    )
    return [strip for strip in strips if strip.x0 < strip.x1 and strip.y0 < strip.y1]


def _even(pixel: int) -> int:
    return pixel - pixel % 2
