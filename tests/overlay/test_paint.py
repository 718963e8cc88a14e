"""What paint changes, and above all what it leaves alone."""

from __future__ import annotations

import colorsys
import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.errors import ConfigError
from streamguard.overlay import OverlayItem, OverlayStyle, banner, follow, paint
from streamguard.overlay.colour import VERMILLION
from streamguard.overlay.label import plate_size, sign_coverage
from streamguard.overlay.mask import heat, visible_from
from streamguard.types import Face, Mask, Picture, UInt8Array, Verdict

MakePicture = Callable[..., Picture]
MakeFace = Callable[..., Face]
MakeMask = Callable[..., Mask]
REAL, UNSURE, FAKE, UNKNOWN = Verdict.REAL, Verdict.UNSURE, Verdict.FAKE, Verdict.UNKNOWN


def blob(height: int = 256, width: int = 256) -> UInt8Array:
    probability = np.zeros((height, width), np.uint8)
    cv2.ellipse(probability, (width // 2, height // 2), (width // 4, height // 3), 0, 0, 360, 250, -1)
    return probability


def changed(before: Picture, after: Picture) -> np.ndarray[Any, np.dtype[np.bool_]]:
    chroma = (before.u != after.u) | (before.v != after.v)
    full = np.repeat(np.repeat(chroma, 2, 0), 2, 1)[: before.height, : before.width]
    touched: np.ndarray[Any, np.dtype[np.bool_]] = (before.y != after.y) | full
    return touched


def to_rgb(picture: Picture, x: int, y: int) -> tuple[float, float, float]:
    low, luma_span, chroma_span = (0, 255, 255) if picture.full_range else (16, 219, 224)
    red_weight, blue_weight = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[picture.matrix]
    luma = (float(picture.y[y, x]) - low) / luma_span
    red = luma + 2 * (1 - red_weight) * (float(picture.v[y // 2, x // 2]) - 128) / chroma_span
    blue = luma + 2 * (1 - blue_weight) * (float(picture.u[y // 2, x // 2]) - 128) / chroma_span
    green = (luma - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    return tuple(min(1.0, max(0.0, part)) for part in (red, green, blue))  # type: ignore[return-value]  # three parts in, three out


@pytest.mark.parametrize("state", list(Verdict))
def test_pixels_outside_the_faces_regions_are_bit_identical(
    make_picture: MakePicture, make_face: MakeFace, make_mask: MakeMask, state: Verdict
) -> None:
    picture = make_picture(640, 360, noise=True)
    face = make_face((201.0, 121.0, 361.0, 301.0), 7)
    item = OverlayItem(face, state, None, 0.93, 0.8, make_mask(face, blob()), 0.5)
    after = paint(picture, [item])
    touched = changed(picture, after)
    outer, inner = np.zeros_like(touched), np.zeros_like(touched)
    outer[118:304, 198:364] = True
    inner[134:288, 214:348] = True
    mask = np.zeros(touched.shape, np.uint8)
    cv2.ellipse(mask, (281, 211), (40 + 5, 60 + 5), 0, 0, 360, 1, -1)
    rest = touched & ~(outer & ~inner) & ~mask.astype(bool)
    rows, columns = np.nonzero(rest)
    text = {FAKE: "#7 FAKE 0.93", UNSURE: "#7 unsure", REAL: "#7 no sign found", UNKNOWN: "#7 NOT JUDGED"}[state]
    width, height = plate_size(text, 9)
    assert int(np.ptp(rows)) < height
    assert int(np.ptp(columns)) < width
    assert rows.max() < 121
    assert columns.min() >= 200


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
def test_the_heat_is_vermillion_in_the_pictures_own_matrix_and_range(
    make_picture: MakePicture, make_face: MakeFace, make_mask: MakeMask, matrix: str, full_range: bool
) -> None:
    picture = make_picture(640, 360, matrix=matrix, full_range=full_range)
    face = make_face((200.0, 100.0, 360.0, 300.0))
    after = paint(picture, [OverlayItem(face, FAKE, None, 0.9, None, make_mask(face, blob()), 0.5)])
    hue, saturation, _ = colorsys.rgb_to_hsv(*to_rgb(after, 280, 200))
    wanted, _, _ = colorsys.rgb_to_hsv(*(part / 255 for part in VERMILLION))
    assert hue == pytest.approx(wanted, abs=0.03)
    assert saturation > 0.4
    expected = 0.6 * 250 / 255
    grey = to_rgb(picture, 280, 200)
    for got, part, was in zip(to_rgb(after, 280, 200), VERMILLION, grey, strict=True):
        assert got == pytest.approx(was + (part / 255 - was) * expected, abs=0.02)


def test_opacity_follows_the_probability_and_stops_at_the_floor(
    make_picture: MakePicture, make_face: MakeFace, make_mask: MakeMask
) -> None:
    picture = make_picture(600, 600)
    face = make_face((40.0, 40.0, 552.0, 552.0))
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None], 256, 0)
    item = OverlayItem(face, REAL, None, 0.2, None, make_mask(face, ramp.copy()), 0.95)
    # The contour lies right of these columns.
    row = paint(picture, [item], OverlayStyle(heat_alpha=1.0)).v[150, 40:250].astype(int)
    assert (np.diff(row) >= -1).all()
    assert (row[:4] == 128).all()
    assert row[-1] - 128 > 15


def test_the_contour_is_drawn_at_the_threshold_only(
    make_picture: MakePicture, make_face: MakeFace, make_mask: MakeMask
) -> None:
    picture = make_picture(600, 600)
    face = make_face((40.0, 40.0, 552.0, 552.0))
    probability = np.zeros((256, 256), np.uint8)
    probability[100:150, 100:150] = 51
    mask = make_mask(face, probability)
    cold = OverlayStyle(heat_alpha=0.0)
    bare = paint(picture, [OverlayItem(face, REAL)], cold)
    at = paint(picture, [OverlayItem(face, REAL, mask=mask, threshold=0.2)], cold)
    assert not changed(bare, at).any()
    below = changed(bare, paint(picture, [OverlayItem(face, REAL, mask=mask, threshold=0.19)], cold))
    assert below.any()
    assert not below[260:320, 260:320].any()


def test_states_differ_without_colour(make_picture: MakePicture, make_face: MakeFace) -> None:
    picture = make_picture(640, 360)
    grey = OverlayStyle((140, 140, 140), (140, 140, 140), (140, 140, 140), unsure=(140, 140, 140))
    face = make_face((200.0, 100.0, 400.0, 300.0))
    inside = {s: paint(picture, [OverlayItem(face, s)], grey).y[106:112, 230:370] != 120 for s in Verdict}
    left = {s: paint(picture, [OverlayItem(face, s)], grey).y[120:280, 200] != 120 for s in Verdict}
    assert inside[FAKE].any()
    assert not inside[REAL].any()
    assert 0.3 < inside[UNSURE].any(0).mean() < 0.8 < inside[FAKE].any(0).mean()
    assert left[REAL].all()
    assert left[UNSURE].all()
    assert 0.3 < left[UNKNOWN].mean() < 0.8
    signs = [sign_coverage(state, 24) for state in Verdict]
    assert all((one != two).mean() > 0.05 for one, two in itertools.combinations(signs, 2))


SIDES = st.one_of(st.integers(1, 40), st.sampled_from([16, 17, 90, 161]))
EDGES = st.one_of(st.floats(-60, 200), st.sampled_from([math.nan, math.inf, -1e9, 1e30]))


@given(
    size=st.tuples(SIDES, SIDES),
    faces=st.lists(
        st.tuples(
            EDGES,
            EDGES,
            st.floats(-5, 200),
            st.floats(-5, 200),
            st.sampled_from(list(Verdict)),
            st.one_of(st.none(), st.floats(0, 1)),
            st.floats(0, 1),
        ),
        max_size=4,
    ),
    bend=st.tuples(st.floats(-3, 3), st.sampled_from([0.0, 1.0, math.nan, 1e12])),
    scale=st.sampled_from([0.2, 1.0, 4.0]),
)
def test_nothing_makes_it_raise_or_change_its_input(
    make_picture: MakePicture,
    make_face: MakeFace,
    make_mask: MakeMask,
    size: tuple[int, int],
    faces: list[tuple[float, float, float, float, Verdict, float | None, float]],
    bend: tuple[float, float],
    scale: float,
) -> None:
    picture = make_picture(*size, noise=True)
    before = [plane.copy() for plane in (picture.y, picture.u, picture.v)]
    items = []
    for number, (x, y, width, height, state, score, threshold) in enumerate(faces):
        face = make_face((x, y, x + width, y + height), number)
        mask = make_mask(face, blob())
        affine = mask.crop.affine + np.array([[0, bend[0], 0], [bend[1], 0, 0]])
        mask = replace(mask, crop=replace(mask.crop, affine=affine)) if number % 2 else mask
        items.append(OverlayItem(face, state, None, score, score, mask, threshold))
    after = banner(paint(picture, items, OverlayStyle(scale=scale)), "t\u00ebst\n", FAKE)
    for plane, old, new in zip((picture.y, picture.u, picture.v), before, (after.y, after.u, after.v), strict=True):
        assert (plane == old).all()
        assert new.shape == old.shape
        assert new.dtype == np.uint8
        assert not np.shares_memory(plane, new)
    assert (after.matrix, after.full_range) == (picture.matrix, picture.full_range)


def test_no_items_and_empty_masks_change_nothing(
    make_picture: MakePicture, make_face: MakeFace, make_mask: MakeMask
) -> None:
    picture = make_picture(161, 91, noise=True)
    assert not changed(picture, paint(picture, [])).any()
    face = make_face((30.0, 30.0, 90.0, 80.0))
    mask = make_mask(face, np.zeros((256, 256), np.uint8))
    bare, masked = (paint(picture, [OverlayItem(face, REAL, mask=m)]) for m in (None, mask))
    assert not changed(bare, masked).any()
    outside = make_face((300.0, 300.0, 400.0, 400.0))
    assert not changed(picture, paint(picture, [OverlayItem(outside, FAKE)])).any()


def test_planes_with_strides_are_fine(make_picture: MakePicture, make_face: MakeFace) -> None:
    wide = make_picture(320, 180, noise=True)
    strided = Picture(wide.y[:, ::2], wide.u[:, ::2], wide.v[:, ::2])
    item = OverlayItem(make_face((20.0, 40.0, 90.0, 120.0)), FAKE, None, 0.9)
    flat = Picture(strided.y.copy(), strided.u.copy(), strided.v.copy())
    assert not changed(paint(strided, [item]), paint(flat, [item])).any()


def test_a_mask_follows_its_face(make_face: MakeFace, make_mask: MakeMask) -> None:
    old, new = make_face((100.0, 100.0, 200.0, 220.0)), make_face((150.0, 90.0, 200.0, 330.0))
    moved = follow(make_mask(old, blob()), new)
    assert moved.crop.face is new
    assert moved.crop.affine == pytest.approx(make_mask(new, blob()).crop.affine)
    nowhere = make_face((5.0, 5.0, 5.0, 9.0))
    mask = make_mask(old, blob())
    assert follow(mask, nowhere) is mask
    assert follow(mask, make_face((math.nan, 5.0, 7.0, 9.0))) is mask


@pytest.mark.parametrize(
    "wrong",
    [
        {"heat_alpha": 1.1},
        {"heat_floor": -0.1},
        {"scale": 0.0},
        {"scale": math.nan},
        {"keep_top": -1},
        {"fake": (0, 0, 256)},
        {"unsure": (-1, 0, 0)},
    ],
    ids=str,
)
def test_styles_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="overlay style"):
        OverlayStyle(**wrong)


@given(st.floats(0.01, 0.99))
def test_heat_rises_with_the_probability_and_is_one_half_at_the_threshold(threshold: float) -> None:
    values = heat(threshold)
    assert (np.diff(values) > 0).all()
    below, above = values[int(threshold * 255)], values[min(255, int(threshold * 255) + 1)]
    assert below <= 0.5 + 1e-9
    assert above >= 0.5 - 1e-9


def test_heat_is_the_probability_where_the_threshold_is_one_half() -> None:
    assert np.allclose(heat(0.5), np.arange(256) / 255, atol=1e-3)


def test_what_a_strict_detector_does_not_call_fake_is_not_painted() -> None:
    """A real face with probabilities of 0.7 all over, judged at 0.99, stays as it is."""
    assert visible_from(0.25, 0.99) > 0.95
    assert visible_from(0.25, 0.5) == pytest.approx(0.25, abs=0.01)
    assert visible_from(1.0, 0.5) == 0.5
