"""Label plates: a coloured tile with a sign, and light text on a dark plate."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np

from streamguard.overlay.canvas import Canvas, Patch
from streamguard.overlay.colour import PLATE, WHITE, Matrix, Rgb, rgb_to_yuv
from streamguard.types import Picture, UInt8Array, Verdict

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_PROBE_SCALE = 4.0
_FINE = 8
_BRIGHT = 160
"""Luma, 0..255, above which a tile's sign is dark."""


def ascii_only(text: str) -> str:
    """The text with everything the built-in font cannot draw replaced by `?`."""
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text)


@functools.lru_cache(maxsize=1)
def _cap_per_scale() -> float:
    # OpenCV 4 and 5 draw this font with different metrics: measured, not assumed
    probe = np.zeros((300, 300), np.uint8)
    cv2.putText(probe, "H", (50, 250), _FONT, _PROBE_SCALE, 255, 2, cv2.LINE_AA)
    return float(cv2.boundingRect(probe)[3]) / _PROBE_SCALE


def _font(cap: int) -> tuple[float, int]:
    return cap / _cap_per_scale(), max(1, round(cap / 8))


def text_width(text: str, cap: int) -> int:
    """Pixels that a text takes from left to right, without drawing it; see `text_coverage`."""
    return int(cv2.getTextSize(ascii_only(text), _FONT, *_font(cap))[0][0])


@functools.lru_cache(maxsize=256)
def text_coverage(text: str, cap: int) -> UInt8Array:
    """Text as coverage, trimmed to its ink at the sides.

    Args:
        text: printable ASCII; anything else becomes `?`.
        cap: height of a capital letter in pixels, at least 1.

    Returns:
        uint8 [2 * cap, width], read-only; the capitals stand on the middle half of the rows.
    """
    text = ascii_only(text)
    scale, thickness = _font(cap)
    width = text_width(text, cap)
    plate = np.zeros((2 * cap, width + 4 * cap), np.uint8)
    cv2.putText(plate, text, (2 * cap, cap + (cap + 1) // 2), _FONT, scale, 255, thickness, cv2.LINE_AA)
    x, _, ink, _ = cv2.boundingRect(plate)
    trimmed: UInt8Array = np.ascontiguousarray(plate[:, x : x + max(1, ink)])
    trimmed.setflags(write=False)
    return trimmed


@functools.lru_cache(maxsize=64)
def sign_coverage(state: Verdict, side: int) -> UInt8Array:
    """The sign of a state, so that colour is never its only carrier: `!`, `~`, a ring, or `?`.

    Args:
        state: FAKE, UNSURE, REAL or UNKNOWN.
        side: pixels, at least 1.

    Returns:
        uint8 [side, side], read-only.
    """
    fine = np.zeros((side * _FINE, side * _FINE), np.uint8)
    unit = side * _FINE / 100.0

    def at(x: float, y: float) -> tuple[int, int]:
        return round(x * unit), round(y * unit)

    if state is Verdict.FAKE:
        corners = np.array([at(41, 18), at(59, 18), at(55, 60), at(45, 60)], np.int32)
        cv2.fillConvexPoly(fine, corners, 255)
        cv2.circle(fine, at(50, 75), round(8.5 * unit), 255, -1)
    elif state is Verdict.UNSURE:
        wave = [at(x, 50 - 11 * math.sin((x - 24) / 52 * 2 * math.pi)) for x in range(24, 77, 2)]
        cv2.polylines(fine, [np.array(wave, np.int32)], False, 255, max(1, round(12 * unit)))
    elif state is Verdict.REAL:
        cv2.circle(fine, at(50, 50), round(24 * unit), 255, max(1, round(11 * unit)))
    else:
        line = max(1, round(11 * unit))
        cv2.ellipse(fine, at(50, 36), (round(16 * unit), round(16 * unit)), 0, -190, 60, 255, line)
        cv2.line(fine, at(57, 49), at(50, 62), 255, line)
        cv2.circle(fine, at(50, 79), round(7.5 * unit), 255, -1)
    coverage: UInt8Array = np.asarray(cv2.resize(fine, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    coverage.setflags(write=False)
    return coverage


def plate_size(text: str, cap: int) -> tuple[int, int]:
    """Width and height in pixels, both even, of a text's plate; see `plate`."""
    height = _even(1.9 * cap)
    width = _even(height + text_width(text, cap) + 1.2 * cap) if text else height
    return width, height


@functools.lru_cache(maxsize=256)
def plate(text: str, state: Verdict, cap: int, colour: Rgb, *, matrix: Matrix, full_range: bool) -> Patch:
    """A label plate, opaque so that the text is legible on any picture.

    Args:
        text: printable ASCII; empty for the sign alone.
        state: chooses the sign.
        cap: height of a capital letter in pixels, at least 1.
        colour: of the tile behind the sign.
        matrix, full_range: of the picture it is meant for.
    """
    width, height = plate_size(text, cap)
    blank = Picture(
        np.zeros((height, width), np.uint8),
        np.zeros((height // 2, width // 2), np.uint8),
        np.zeros((height // 2, width // 2), np.uint8),
        matrix,
        full_range,
    )
    canvas = Canvas(blank)
    whole = canvas.region(0, 0, width, height)
    assert whole is not None
    canvas.blend(whole, np.full((height, width), 255, np.uint8), PLATE)
    draw_label(canvas, text, state, cap, colour, height=height)
    painted = canvas.picture()
    return Patch(painted.y, painted.u, painted.v)


def draw_label(canvas: Canvas, text: str, state: Verdict, cap: int, colour: Rgb, *, height: int) -> None:
    """Draws tile, sign and text into the canvas' upper left corner, `height` (even) pixels high."""
    tile = canvas.region(0, 0, height, height)
    if tile is None:
        return
    rows, columns = tile.shape
    canvas.blend(tile, np.full((rows, columns), 255, np.uint8), colour)
    ink = PLATE if rgb_to_yuv(colour, "bt601", True)[0] > _BRIGHT else WHITE
    canvas.blend(tile, np.ascontiguousarray(sign_coverage(state, height)[:rows, :columns]), ink)
    if not text:
        return
    letters = text_coverage(text, cap)
    left = height + round(0.6 * cap)
    region = canvas.region(left, 0, left + letters.shape[1], height)
    if region is None:
        return
    rows, columns = region.shape
    coverage = np.zeros((rows, columns), np.uint8)
    # the text's rows are centred on the plate's: both are symmetrical about the capitals
    top = (height - letters.shape[0]) // 2
    shift = left - region.x0
    first, last = max(0, top), min(rows, top + letters.shape[0])
    span = min(letters.shape[1], columns - shift)
    if span <= 0 or first >= last:
        return
    coverage[first:last, shift : shift + span] = letters[first - top : last - top, :span]
    canvas.blend(region, coverage, WHITE)


def _even(pixels: float) -> int:
    return 2 * max(1, round(pixels / 2))
