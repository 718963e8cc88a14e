"""Crop geometry, and parts of a planar picture as RGB."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.faces import CropSquare, crop_square, cut, share_inside
from streamguard.faces.region import square, thumbnail
from streamguard.types import Box, Face, Float64Array, Picture, UInt8Array
from tests.faces.conftest import ramp

# Textbook constants (ITU-R BT.601-7, BT.709-6): luma gain, V to red, U and V to green, U to blue.
CONSTANTS = {
    ("bt601", False): (1.164384, 1.596027, -0.391762, -0.812968, 2.017232),
    ("bt709", False): (1.164384, 1.792741, -0.213249, -0.532909, 2.112402),
    ("bt601", True): (1.0, 1.402, -0.344136, -0.714136, 1.772),
    ("bt709", True): (1.0, 1.5748, -0.187324, -0.468124, 1.8556),
}
boxes = st.tuples(st.floats(-500, 5000), st.floats(-500, 5000), st.floats(1, 3000), st.floats(1, 3000), st.floats(1, 3))


def noise(width: int, height: int, matrix: Literal["bt601", "bt709"] = "bt601", full_range: bool = False) -> Picture:
    """Smooth random planes: what bilinear enlargement is made for."""
    random = np.random.default_rng(3)

    def plane(w: int, h: int) -> UInt8Array:
        grain = random.integers(30, 220, (h, w), np.uint8)
        return np.asarray(cv2.GaussianBlur(grain, (0, 0), 1.5), np.uint8)

    half = ((width + 1) // 2, (height + 1) // 2)
    return Picture(plane(width, height), plane(*half), plane(*half), matrix, full_range)


def reference(picture: Picture) -> Float64Array:
    """The whole picture as RGB, float64 [H, W, 3], by the textbook."""
    gain, vr, ug, vg, ub = CONSTANTS[picture.matrix, picture.full_range]
    size = (2 * picture.u.shape[1], 2 * picture.u.shape[0])
    u, v = (
        cv2.resize(plane.astype(np.float64), size, interpolation=cv2.INTER_LINEAR)[: picture.height, : picture.width]
        for plane in (picture.u, picture.v)
    )
    y = gain * (picture.y.astype(np.float64) - (0 if picture.full_range else 16))
    u, v = u - 128, v - 128
    return np.clip(np.stack([y + vr * v, y + ug * u + vg * v, y + ub * u], axis=-1), 0, 255)


@given(boxes)
def test_the_square_is_even_centred_and_of_the_margin(values: tuple[float, ...]) -> None:
    x, y, width, height, margin = values
    area = crop_square((x, y, x + width, y + height), margin)
    assert (area.x % 2, area.y % 2, area.side % 4) == (0, 0, 0)
    assert area.side >= 4
    assert abs(area.side - margin * max(width, height)) <= max(2.001, 4 - margin)
    assert abs(area.x + area.side / 2 - (x + width / 2)) <= 1.001
    assert abs(area.y + area.side / 2 - (y + height / 2)) <= 1.001


@given(st.integers(-40, 60), st.integers(-40, 60), st.integers(1, 50), st.integers(1, 40), st.integers(1, 30))
def test_share_inside_counts_pixels(x: int, y: int, side: int, width: int, height: int) -> None:
    picture = Picture(*(np.zeros((height, width), np.uint8) for _ in range(3)))
    columns, rows = (sum(0 <= i < limit for i in range(low, low + side)) for low, limit in ((x, width), (y, height)))
    inside = columns * rows
    assert share_inside(picture, CropSquare(x, y, side)) == pytest.approx(inside / side**2)


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("size", [(96, 80), (95, 79)])
def test_a_region_equals_the_part_of_the_whole(
    matrix: Literal["bt601", "bt709"], full_range: bool, size: tuple[int, int]
) -> None:
    picture = noise(*size, matrix, full_range)
    got = square(picture, 16, 8, 64, 64)
    expected = reference(picture)[8:72, 16:80]
    # At the region's own border chroma is repeated instead of interpolated with what lies beyond.
    assert np.abs(got.astype(float) - expected)[2:-2, 2:-2].max() <= 2.0


@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_the_thumbnail_is_the_reduced_whole(matrix: Literal["bt601", "bt709"]) -> None:
    picture = noise(192, 128, matrix)
    expected = cv2.resize(reference(picture), (96, 64), interpolation=cv2.INTER_AREA)
    got = thumbnail(picture, 96, 64)
    assert got.shape == (64, 96, 3)
    assert np.abs(got - expected).mean() < 1.5


@pytest.mark.parametrize("size", [(1, 1), (17, 9), (641, 361)])
def test_a_thumbnail_of_any_size(size: tuple[int, int]) -> None:
    half = ((size[1] + 1) // 2, (size[0] + 1) // 2)
    grey = Picture(*(np.full(shape, 128, np.uint8) for shape in (size[::-1], half, half)), full_range=True)
    assert np.array_equal(thumbnail(grey, 64, 32), np.full((32, 64, 3), 128))


@pytest.mark.parametrize(
    "box",
    [(40, 30, 100, 110), (41.3, 33.7, 99.2, 120.9), (20, 20, 36, 40), (10.5, 5.5, 190, 140)],
    ids=["even", "fractions", "enlarged", "reduced"],
)
@pytest.mark.parametrize("size", [(200, 150), (199, 149)])
def test_the_affine_leads_back_to_the_frame(box: Box, size: tuple[int, int]) -> None:
    face = Face(1, box, 1.0, np.zeros((5, 2), np.float32))
    for axis, slopes in enumerate([(1.0, 0.0), (0.0, 1.0)]):
        picture = ramp(*size, slope_x=slopes[0], slope_y=slopes[1])
        crop = cut(picture, face, 1.2, 64)
        assert crop.pixels.shape == (64, 64, 3)
        columns, rows = np.meshgrid(np.arange(64), np.arange(64))
        x, y = np.einsum("ij,jkl->ikl", crop.affine, np.stack([columns, rows, np.ones_like(rows)]))
        scale = crop.affine[0, 0]
        inside = (x > scale) & (y > scale) & (x < size[0] - 1 - scale) & (y < size[1] - 1 - scale)
        assert inside.sum() > 1000
        error = crop.pixels[..., 0] - (20.0 + (x, y)[axis])
        assert np.abs(error[inside]).max() <= 1.0


def test_beyond_the_picture_its_border_is_repeated() -> None:
    picture = ramp(100, 80)
    crop = cut(picture, Face(1, (-20.0, -20.0, 20.0, 20.0), 1.0, np.zeros((5, 2), np.float32)), 1.0, 40)
    assert np.array_equal(crop.pixels[:, :20], np.full((40, 20, 3), 20))
    assert np.array_equal(crop.pixels[5], crop.pixels[35])
    far = cut(picture, Face(1, (500.0, 500.0, 540.0, 540.0), 1.0, np.zeros((5, 2), np.float32)), 1.0, 40)
    assert np.array_equal(far.pixels, np.full((40, 40, 3), 119))
