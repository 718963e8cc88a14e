"""Decoded frames become planar pictures: right samples, size, colours and orientation, and no needless copy."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from streamguard.media import frame_of, open_source, picture_from_rgb, picture_of, rgb_of
from streamguard.types import Picture
from tests.support.media_files import make_video, picture

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def first_picture(path: Path) -> Picture:
    with open_source(path) as source:
        return next(iter(source)).picture


def plain(colour: tuple[int, int, int], width: int = 16, height: int = 16) -> NDArray[np.uint8]:
    return np.full((height, width, 3), colour, np.uint8)


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (65, 49), (1, 1), (2, 3)])
def test_a_picture_survives_the_way_through_a_frame(size: tuple[int, int]) -> None:
    before = picture_from_rgb(picture(0, *size))
    after = picture_of(frame_of(before))
    for a, b in zip((before.y, before.u, before.v), (after.y, after.u, after.v), strict=True):
        np.testing.assert_array_equal(a, b)
    assert after.u.shape == ((size[1] + 1) // 2, (size[0] + 1) // 2)
    assert rgb_of(after).shape == (size[1], size[0], 3)


def test_planes_are_read_only_views_of_the_frame_that_outlive_it() -> None:
    frame = frame_of(picture_from_rgb(plain(RED, 30, 20)))
    address = frame.planes[0].buffer_ptr
    result = picture_of(frame)
    del frame
    assert result.y.ctypes.data == address
    assert result.y.strides[0] >= 30
    assert not result.y.flags.writeable
    assert not result.y.flags.owndata
    assert np.ptp(result.y) == 0


@pytest.mark.parametrize(
    ("matrix", "full_range", "red"),
    [
        ("bt601", False, (81, 90, 240)),
        ("bt709", False, (63, 102, 240)),
        ("bt601", True, (76, 85, 255)),
        ("bt709", True, (54, 99, 255)),
    ],
)
def test_the_colour_matrices_are_the_standards(
    matrix: Literal["bt601", "bt709"], full_range: bool, red: tuple[int, int, int]
) -> None:
    result = picture_from_rgb(plain(RED), matrix=matrix, full_range=full_range)
    assert (result.y[0, 0], result.u[0, 0], result.v[0, 0]) == red
    for colour in (RED, GREEN, BLUE, (255, 255, 255), (0, 0, 0), (90, 140, 200)):
        back = rgb_of(picture_from_rgb(plain(colour), matrix=matrix, full_range=full_range))
        np.testing.assert_allclose(back, plain(colour), atol=2)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("colorspace", [1, 5, 6])
def test_matrix_and_range_come_from_the_stream(tmp_path: Path, colorspace: int, full_range: bool) -> None:
    color_range = 2 if full_range else 1
    path = make_video(
        tmp_path / "a.mp4", frames=2, colorspace=colorspace, color_range=color_range, options={"crf": "4"}
    )
    result = first_picture(path)
    assert result.matrix == ("bt709" if colorspace == 1 else "bt601")
    assert result.full_range is full_range
    np.testing.assert_allclose(rgb_of(result)[30:46, 2:28], picture(0)[30:46, 2:28], atol=4)


@pytest.mark.parametrize(("size", "matrix"), [((64, 718), "bt601"), ((64, 720), "bt709")])
def test_an_unspecified_matrix_goes_by_height(tmp_path: Path, size: tuple[int, int], matrix: str) -> None:
    assert first_picture(make_video(tmp_path / "a.mp4", frames=1, size=size)).matrix == matrix


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("libx264", "yuv420p10le", "mp4"),
        ("libx264", "yuv422p", "mp4"),
        ("libx264", "yuv444p", "mp4"),
        ("libx264", "yuv422p10le", "mp4"),
        ("libx264", "yuvj420p", "mp4"),
        ("libx264", "yuvj422p", "mp4"),
        ("libx264rgb", "rgb24", "mp4"),
        ("mjpeg", "yuvj422p", "avi"),
        ("rawvideo", "gray", "nut"),
    ],
)
def test_every_pixel_format_comes_out_in_the_same_colours(
    tmp_path: Path, codec: str, pix_fmt: str, suffix: str
) -> None:
    options = {"crf": "4"} if "264" in codec else {}
    full = 2 if pix_fmt.startswith("yuvj") else None
    path = make_video(
        tmp_path / f"a.{suffix}", frames=2, codec=codec, pix_fmt=pix_fmt, options=options, color_range=full
    )
    result = first_picture(path)
    assert (result.width, result.height, result.u.shape) == (64, 48, (24, 32))
    expected = picture(0)
    np.testing.assert_allclose(rgb_of(result)[30:46, 2:28], expected[30:46, 2:28], atol=8)
    if pix_fmt != "gray":
        np.testing.assert_allclose(rgb_of(result)[3:9, 3:13], expected[3:9, 3:13], atol=24)


def test_bt2020_is_converted_to_bt709() -> None:
    colour = np.array([90, 140, 200])
    luma = float(colour @ (0.2627, 0.6780, 0.0593))
    samples = (
        16 + 219 / 255 * luma,
        128 + 224 / 255 * (200 - luma) / 1.8814,
        128 + 224 / 255 * (90 - luma) / 1.4746,
    )
    y, u, v = (np.full(size, round(s), np.uint8) for s, size in zip(samples, (16, 8, 8), strict=True))
    frame = frame_of(Picture(np.tile(y, (16, 1)), np.tile(u, (8, 1)), np.tile(v, (8, 1))))
    frame.colorspace = 9
    result = picture_of(frame)
    assert result.matrix == "bt709"
    np.testing.assert_allclose(rgb_of(result), plain((90, 140, 200)), atol=5)


@pytest.mark.parametrize("size", [(64, 48), (66, 50)])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_a_rotated_video_is_turned_upright(tmp_path: Path, rotation: int, size: tuple[int, int]) -> None:
    path = make_video(tmp_path / "a.mp4", frames=2, size=size, rotation=rotation, options={"crf": "4"})
    result = first_picture(path)
    expected = np.rot90(picture(0, *size), rotation // 90)
    assert (result.height, result.width) == expected.shape[:2]
    assert result.y.flags.c_contiguous or rotation == 0
    close = np.abs(rgb_of(result).astype(int) - expected) < 40
    assert close.all(axis=-1).mean() > 0.85


def test_mirrors_are_undone_too(tmp_path: Path) -> None:
    for hflip, vflip in ((True, False), (False, True)):
        path = tmp_path / "a.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"crf": "4"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.set_display_rotation(0, hflip=hflip, vflip=vflip)
            frame = frame_of(picture_from_rgb(picture(0)))
            frame.pts, frame.time_base = 0, Fraction(1, 25)
            container.mux([*stream.encode(frame), *stream.encode(None)])
        expected = picture(0)[:: -1 if vflip else 1, :: -1 if hflip else 1]
        close = np.abs(rgb_of(first_picture(path)).astype(int) - expected) < 40
        assert close.all(axis=-1).mean() > 0.85


def test_odd_sizes_decode(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", frames=2, size=(63, 47), codec="ffv1")
    result = first_picture(path)
    assert (result.y.shape, result.u.shape, result.v.shape) == ((47, 63), (24, 32), (24, 32))
