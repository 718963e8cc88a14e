"""Colours against the standards' formulas, and blending against exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.overlay.canvas import Canvas
from streamguard.overlay.colour import BLUE, GREY, VERMILLION, WHITE, rgb_to_yuv
from streamguard.types import Picture

MakePicture = Callable[..., Picture]
Matrix = Literal["bt601", "bt709"]
RGB = st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))


@pytest.mark.parametrize(
    ("rgb", "matrix", "full_range", "yuv"),
    [
        ((255, 255, 255), "bt601", False, (235, 128, 128)),
        ((0, 0, 0), "bt709", False, (16, 128, 128)),
        ((255, 0, 0), "bt601", False, (81, 90, 240)),
        ((255, 0, 0), "bt709", False, (63, 102, 240)),
        ((0, 0, 255), "bt601", True, (29, 255, 107)),
        ((0, 255, 0), "bt709", False, (173, 42, 26)),
    ],
)
def test_known_colours(rgb: tuple[int, int, int], matrix: Matrix, full_range: bool, yuv: tuple[int, int, int]) -> None:
    assert rgb_to_yuv(rgb, matrix, full_range) == yuv


@given(RGB, st.sampled_from(["bt601", "bt709"]), st.booleans())
def test_the_way_back_is_the_standards(rgb: tuple[int, int, int], matrix: Matrix, full_range: bool) -> None:
    y, u, v = rgb_to_yuv(rgb, matrix, full_range)
    luma, spread = (y / 255, 255) if full_range else ((y - 16) / 219, 224)
    red_weight, blue_weight = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}[matrix]
    red = luma + 2 * (1 - red_weight) * (v - 128) / spread
    blue = luma + 2 * (1 - blue_weight) * (u - 128) / spread
    green = (luma - red_weight * red - blue_weight * blue) / (1 - red_weight - blue_weight)
    assert np.array([red, green, blue]) * 255 == pytest.approx(np.array(rgb), abs=2.5)


@given(
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    corner=st.tuples(st.integers(-3, 18), st.integers(-3, 18)),
    extent=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    seed=st.integers(0, 99),
)
def test_blending_is_exact_and_stays_in_its_region(
    make_picture: MakePicture,
    size: tuple[int, int],
    corner: tuple[int, int],
    extent: tuple[int, int],
    seed: int,
) -> None:
    picture = make_picture(*size, noise=True)
    canvas = Canvas(picture)
    region = canvas.region(corner[0], corner[1], corner[0] + extent[0], corner[1] + extent[1])
    if region is None:
        assert (
            corner[0] >= size[0] or corner[1] >= size[1] or min(c + e for c, e in zip(corner, extent, strict=True)) <= 0
        )
        return
    coverage = np.random.default_rng(seed).choice(np.array([0, 1, 128, 255], np.uint8), region.shape)
    canvas.blend(region, coverage, VERMILLION)
    luma, chroma_blue, _ = rgb_to_yuv(VERMILLION, "bt601", False)
    wanted = picture.y.astype(float)
    inside = (slice(region.y0, region.y1), slice(region.x0, region.x1))
    part = coverage / 255.0
    wanted[inside] = wanted[inside] * (1 - part) + luma * part
    painted = canvas.picture()
    assert np.abs(painted.y - wanted).max() <= 1.0
    assert (painted.y[inside][coverage == 0] == picture.y[inside][coverage == 0]).all()
    assert (painted.y[inside][coverage == 255] == luma).all()
    chroma = np.zeros(picture.u.shape, bool)
    chroma[region.y0 // 2 : (region.y1 + 1) // 2, region.x0 // 2 : (region.x1 + 1) // 2] = True
    assert (painted.u[~chroma] == picture.u[~chroma]).all()
    rows, columns = np.nonzero(chroma)
    for row, column in zip(rows, columns, strict=True):
        block = coverage[
            2 * row - region.y0 : 2 * row - region.y0 + 2, 2 * column - region.x0 : 2 * column - region.x0 + 2
        ]
        share = float(block.mean()) / 255
        assert abs(painted.u[row, column] - (picture.u[row, column] * (1 - share) + chroma_blue * share)) <= 2.0


def test_regions_start_on_whole_chroma_samples(make_picture: MakePicture) -> None:
    canvas = Canvas(make_picture(17, 15))
    assert canvas.region(3.5, 5.2, 7.1, 8.0) == (2, 4, 8, 8)
    assert canvas.region(-9, -9, 99, 99) == (0, 0, 17, 15)
    assert canvas.region(17, 0, 20, 5) is None
    assert canvas.region(0, -5, 5, 0) is None


def test_the_states_colours_differ_in_luma_or_blueness_for_the_colour_blind() -> None:
    # red-green blindness leaves luma and the blue-yellow axis
    seen = [rgb_to_yuv(rgb, "bt709", False)[:2] for rgb in (VERMILLION, BLUE, GREY, WHITE)]
    for number, one in enumerate(seen):
        for two in seen[number + 1 :]:
            assert np.hypot(one[0] - two[0], one[1] - two[1]) > 30
