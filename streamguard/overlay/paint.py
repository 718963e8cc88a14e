"""Masks, boxes and labels painted onto a copy of a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from streamguard.overlay.box import paint_box
from streamguard.overlay.canvas import Canvas
from streamguard.overlay.colour import PLATE
from streamguard.overlay.label import draw_label, plate, plate_size, text_width
from streamguard.overlay.mask import Warped, paint_contour, paint_heat, visible_from, warp
from streamguard.overlay.style import OverlayItem, OverlayStyle, label_texts
from streamguard.types import Box, Picture, Verdict

_DEFAULT = OverlayStyle()
_SMALLEST_CAP = 5
_BANNER_ALPHA = 205
_ORDER = (Verdict.UNKNOWN, Verdict.REAL, Verdict.UNSURE, Verdict.FAKE)
_Rect = tuple[int, int, int, int]


def paint(picture: Picture, items: Sequence[OverlayItem], style: OverlayStyle = _DEFAULT) -> Picture:
    """A copy of the picture with every face painted; only the faces' own regions differ.

    Heat comes first, then contours and boxes, then labels; FAKE lies above UNSURE, REAL and UNKNOWN. A label is put
    above its box, else below, else inside, always within the picture and apart from the others where there is
    room; it is shortened and then made smaller to fit, and left out where not even its sign fits. A face
    whose box is not finite, has no area or lies outside the picture gets no box and no label.

    Args:
        picture: never written to.
        items: the faces.
        style: how it looks.

    Returns:
        A picture of the same size, matrix and range, with planes of its own.
    """
    canvas = Canvas(picture)
    ordered = sorted(items, key=lambda item: _ORDER.index(item.state))
    width = _line_width(canvas, style)
    warped = [_heat(canvas, item, style, width) for item in ordered]
    for item, mask in zip(ordered, warped, strict=True):
        if mask is not None:
            paint_contour(canvas, mask, item.threshold, max(1, width // 2), style.fake)
        paint_box(canvas, item.face.box, item.state, width, style.colour(item.state))
    taken: list[_Rect] = []
    # the gravest label chooses its place first
    for item in reversed(ordered):
        _paint_label(canvas, item, style, taken)
    return canvas.picture()


def banner_height(picture: Picture, style: OverlayStyle = _DEFAULT) -> int:
    """Rows that `banner` covers, even, at most the picture's height."""
    rows = 2 * max(4, round(0.0325 * style.scale * picture.height))
    return min(rows, picture.height - picture.height % 2)


def banner(picture: Picture, text: str, state: Verdict, style: OverlayStyle = _DEFAULT) -> Picture:
    """A copy of the picture with a strip at the top that says what is said of the whole stream.

    Args:
        picture: never written to.
        text: printable ASCII, anything else becomes `?`; cut off at the right edge.
        state: chooses the colour and the sign.
        style: how it looks.

    Returns:
        A picture of the same size, matrix and range, with planes of its own.
    """
    canvas = Canvas(picture)
    height = banner_height(picture, style)
    strip = canvas.region(0, 0, canvas.width, height)
    if strip is None:
        return canvas.picture()
    canvas.blend(strip, np.full(strip.shape, _BANNER_ALPHA, np.uint8), PLATE)
    edge = canvas.region(0, height - max(2, height // 12), canvas.width, height)
    if edge is not None:
        canvas.blend(edge, np.full(edge.shape, 255, np.uint8), style.colour(state))
    cap = max(_SMALLEST_CAP, round(height * 0.4))
    while cap > _SMALLEST_CAP and height + 2 * cap + text_width(text, cap) > canvas.width:
        cap -= 1
    draw_label(canvas, text, state, cap, style.colour(state), height=height)
    return canvas.picture()


def _line_width(canvas: Canvas, style: OverlayStyle) -> int:
    return max(1, round(min(canvas.width, canvas.height) * style.scale / 240))


def _heat(canvas: Canvas, item: OverlayItem, style: OverlayStyle, width: int) -> Warped | None:
    if item.mask is None:
        return None
    warped = warp(canvas, item.mask, max(0.0, visible_from(style.heat_floor, item.threshold)), 2 * width + 2)
    if warped is not None:
        paint_heat(canvas, warped, style.fake, style.heat_alpha, style.heat_floor, item.threshold)
    return warped


def _paint_label(canvas: Canvas, item: OverlayItem, style: OverlayStyle, taken: list[_Rect]) -> None:
    box = item.face.box
    if not all(np.isfinite(box)) or box[0] >= box[2] or box[1] >= box[3]:
        return
    if canvas.region(*box) is None:
        return
    fitting = _fit(canvas, item, style)
    if fitting is None:
        return
    text, cap = fitting
    width, height = plate_size(text, cap)
    x, y = _place(canvas, box, (width, height), style.keep_top, taken)
    taken.append((x, y, x + width, y + height))
    colour = style.colour(item.state)
    canvas.put(x, y, plate(text, item.state, cap, colour, matrix=canvas.matrix, full_range=canvas.full_range))


def _fit(canvas: Canvas, item: OverlayItem, style: OverlayStyle) -> tuple[str, int] | None:
    wanted = max(2 * _SMALLEST_CAP - 1, round(min(canvas.width, canvas.height) * style.scale / 52))
    texts = label_texts(item, style)
    # a shorter text first, a smaller one only when the shortest does not fit, the bare sign last
    for group in (texts[:-1], texts[-1:]):
        for cap in range(wanted, _SMALLEST_CAP - 1, -1):
            for text in group:
                width, height = plate_size(text, cap)
                if width <= canvas.width and height <= canvas.height // 2:
                    return text, cap
    return None


def _place(canvas: Canvas, box: Box, size: tuple[int, int], keep_top: int, taken: Sequence[_Rect]) -> tuple[int, int]:
    width, height = size
    lowest = canvas.height - height
    highest = min(keep_top, lowest)
    x = min(max(box[0], 0.0), canvas.width - width)
    gap = 4
    rows = (
        box[1] - height - gap,
        box[3] + gap,
        box[1] + gap,
        box[3] - height - gap,
    )
    spots = [_down(x, min(max(row, highest), lowest)) for row in rows]
    inside = [spot for spot, row in zip(spots, rows, strict=True) if highest <= row <= lowest]
    for spot in [*inside, *spots]:
        if not any(_overlap((*spot, spot[0] + width, spot[1] + height), other) for other in taken):
            return spot
    return (inside or spots)[0]


def _down(x: float, y: float) -> tuple[int, int]:
    return int(x) & ~1, int(y) & ~1


def _overlap(one: _Rect, two: _Rect) -> bool:
    return one[0] < two[2] and two[0] < one[2] and one[1] < two[3] and two[1] < one[3]
