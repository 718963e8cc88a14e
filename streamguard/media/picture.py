"""Between libav's frames, planar YUV pictures, and RGB."""

from __future__ import annotations

from typing import Any, Literal

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from streamguard.types import Float64Array, Picture, UInt8Array

Matrix = Literal["bt601", "bt709"]

# ITU-T H.273 code points of the matrix: 1 BT.709; 4-6 the BT.601 family; 7 SMPTE 240M; 9, 10 BT.2020.
_H273_MATRIX: dict[int, Matrix] = {1: "bt709", 4: "bt601", 5: "bt601", 6: "bt601"}
_H273_CONVERTED = {7: Colorspace.SMPTE240M}
_BT2020 = (9, 10)
_H273_TAG: dict[Matrix, int] = {"bt601": 6, "bt709": 1}
_SWS: dict[Matrix, Colorspace] = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}
_LUMA_WEIGHTS: dict[Matrix, tuple[float, float]] = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
"""Weights of red and of blue in luma."""
_BT2020_WEIGHTS = (0.2627, 0.0593)


def bears_matrix(frame: av.VideoFrame) -> bool:
    """Return whether a display matrix comes with the frame.

    PyAV's side data and its frame refer to each other: once it was looked at, the frame's memory is freed by the
    garbage collector only, and that comes after hundreds of them. So it is not looked at with each frame.
    """
    return "DISPLAYMATRIX" in frame.side_data


def picture_of(frame: av.VideoFrame, *, upright: bool = False) -> Picture:
    """The upright picture of a decoded frame.

    Planes of an 8-bit 4:2:0 frame are views of its memory (which lives as long as they do); every other pixel
    format and colour matrix is converted; YUV of more bits or less shared chroma, and BT.2020, without a detour by
    RGB. A display matrix (rotations by 90 degrees, mirrors) is applied.

    Args:
        frame: as the decoder gave it.
        upright: it is known to bear no display matrix; see `bears_matrix`.

    Raises:
        av.FFmpegError: libswscale knows no conversion from the frame's pixel format.
    """
    matrix, wide = _H273_MATRIX.get(frame.colorspace), frame.colorspace in _BT2020
    source = _H273_CONVERTED.get(frame.colorspace)
    full_range = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    if matrix is None:
        matrix = "bt709" if wide or source is not None or frame.height >= 720 else "bt601"
    turned, is_rgb = None if upright else _display_matrix(frame), frame.format.is_rgb
    if frame.format.name not in ("yuv420p", "yuvj420p") or source is not None:
        frame, full_range = _to_yuv420p(frame, source or _SWS[matrix], matrix, full_range)
    y, u, v = (
        _turn(_view(plane, (frame.width + shift) >> shift, (frame.height + shift) >> shift), turned)
        for plane, shift in zip(frame.planes, (0, 1, 1), strict=True)
    )
    if wide and not is_rgb:
        y, u, v = _from_bt2020(y, u, v, full_range)
    return Picture(y, u, v, matrix=matrix, full_range=full_range)


def frame_of(picture: Picture, *, width: int | None = None, height: int | None = None) -> av.VideoFrame:
    """A yuv420p frame that carries a copy of the picture and its colour tags.

    Args:
        width, height: size of the frame where it is to be larger than the picture; the last column and row are
            repeated to fill it.
    """
    width, height = width or picture.width, height or picture.height
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, samples, shift in zip(frame.planes, (picture.y, picture.u, picture.v), (0, 1, 1), strict=True):
        rows = _rows(plane)
        filled_h, filled_w = (height + shift) >> shift, (width + shift) >> shift
        h, w = samples.shape
        rows[:h, :w] = samples
        rows[:h, w:filled_w] = samples[:, -1:]
        rows[h:filled_h, :filled_w] = rows[h - 1, :filled_w]
    frame.colorspace = _H273_TAG[picture.matrix]
    frame.color_range = ColorRange.JPEG if picture.full_range else ColorRange.MPEG
    return frame


def scaled(picture: Picture, width: int, height: int) -> Picture:
    """The picture in another size, in BT.601 and limited range, whatever it was in.

    Args:
        width, height: in pixels, both even.
    """
    given = ColorRange.JPEG if picture.full_range else ColorRange.MPEG
    frame = frame_of(picture).reformat(
        width=width,
        height=height,
        format="yuv420p",
        src_colorspace=_SWS[picture.matrix],
        dst_colorspace=_SWS["bt601"],
        src_color_range=given,
        dst_color_range=ColorRange.MPEG,
        threads=1,
    )
    y, u, v = (
        _view(plane, width >> shift, height >> shift) for plane, shift in zip(frame.planes, (0, 1, 1), strict=True)
    )
    return Picture(y, u, v)


def rgb_of(picture: Picture) -> UInt8Array:
    """The picture as uint8 [height, width, 3] RGB (full-frame and exact: not for the hot path)."""
    size = picture.width, picture.height
    scale, offset, chroma_scale = (1.0, 0.0, 1.0) if picture.full_range else (255 / 219, 16.0, 255 / 224)
    red, blue = _LUMA_WEIGHTS[picture.matrix]
    green = 1 - red - blue
    luma = (picture.y.astype(np.float32) - offset) * scale
    cb, cr = ((_chroma_up(plane, size).astype(np.float32) - 128) * chroma_scale for plane in (picture.u, picture.v))
    r = luma + 2 * (1 - red) * cr
    b = luma + 2 * (1 - blue) * cb
    g = (luma - red * r - blue * b) / green
    return _bytes(np.stack((r, g, b), axis=-1))


def picture_from_rgb(rgb: UInt8Array, *, matrix: Matrix = "bt601", full_range: bool = False) -> Picture:
    """A picture from uint8 [height, width, 3] RGB; chroma is the mean of each 2x2 block."""
    pixels = rgb.astype(np.float32)
    red, blue = _LUMA_WEIGHTS[matrix]
    r, g, b = pixels[..., 0], pixels[..., 1], pixels[..., 2]
    luma = red * r + (1 - red - blue) * g + blue * b
    scale, offset, chroma_scale = (1.0, 0.0, 1.0) if full_range else (219 / 255, 16.0, 224 / 255)
    cb, cr = (b - luma) / (2 * (1 - blue)), (r - luma) / (2 * (1 - red))
    return Picture(
        _bytes(luma * scale + offset),
        _bytes(_chroma_down(cb) * chroma_scale + 128),
        _bytes(_chroma_down(cr) * chroma_scale + 128),
        matrix=matrix,
        full_range=full_range,
    )


def _to_yuv420p(
    frame: av.VideoFrame, source: Colorspace, matrix: Matrix, full_range: bool
) -> tuple[av.VideoFrame, bool]:
    # RGB is always full range, and goes to the range every encoder expects; YUV keeps the one it has.
    into = ColorRange.JPEG if full_range and not frame.format.is_rgb else ColorRange.MPEG
    converted = frame.reformat(
        format="yuv420p",
        src_colorspace=source,
        dst_colorspace=_SWS[matrix],
        src_color_range=ColorRange.JPEG if frame.format.is_rgb else into,
        dst_color_range=into,
        threads=1,
    )
    return converted, into == ColorRange.JPEG


def _from_bt2020(
    y: UInt8Array, u: UInt8Array, v: UInt8Array, full_range: bool
) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """The same colours by the matrix of BT.709: grey stays grey, so chroma alone tells what luma gains."""
    old, new = (_to_luma(*weights) for weights in (_BT2020_WEIGHTS, _LUMA_WEIGHTS["bt709"]))
    step = new @ np.linalg.inv(old)
    luma_scale = 1.0 if full_range else 219 / 224
    # Chroma counts from 128; luma's gain is carried with the same bias, as bytes know no sign.
    gains = np.vstack((step[0, 1:] * luma_scale, step[1:, 1:]))
    moved = cv2.transform(cv2.merge((u, v)), np.column_stack((gains, 128 - 128 * gains.sum(axis=1))))
    gain, cb, cr = (np.asarray(plane, np.uint8) for plane in cv2.split(moved))
    whole = cv2.resize(gain, (y.shape[1], y.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.addWeighted(y, 1.0, whole, 1.0, -128.0), np.uint8), cb, cr


def _to_luma(red: float, blue: float) -> Float64Array:
    """R, G, B in 0..1 to Y in 0..1, Cb and Cr in -0.5..0.5: float64 [3, 3]."""
    luma = np.array([red, 1 - red - blue, blue])
    return np.stack((luma, (np.eye(3)[2] - luma) / (2 * (1 - blue)), (np.eye(3)[0] - luma) / (2 * (1 - red))))


def _rows(plane: Any) -> UInt8Array:
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, abs(plane.line_size))
    return rows if plane.line_size > 0 else rows[::-1]


def _view(plane: Any, width: int, height: int) -> UInt8Array:
    view = _rows(plane)[:height, :width]
    # The decoder may still predict from this memory.
    view.flags.writeable = False
    return view


def _display_matrix(frame: av.VideoFrame) -> tuple[bool, bool, bool] | None:
    """(transpose, mirror columns, mirror rows), in this order; None when the frame is upright."""
    if not bears_matrix(frame):
        return None
    data: Any = frame.side_data
    # Row vectors times [a b u; c d v; x y w], 16.16 fixed point (ISO/IEC 14496-12, 6.2.2).
    a, b, _, c, d = np.frombuffer(data["DISPLAYMATRIX"], np.int32)[:5].tolist()
    transpose = abs(b) > abs(a)
    turned = (transpose, (c if transpose else a) < 0, (b if transpose else d) < 0)
    return turned if any(turned) else None


def _turn(plane: UInt8Array, turned: tuple[bool, bool, bool] | None) -> UInt8Array:
    if turned is None:
        return plane
    transpose, mirror_columns, mirror_rows = turned
    if transpose:
        plane = plane.T
    plane = plane[:: -1 if mirror_rows else 1, :: -1 if mirror_columns else 1]
    return np.ascontiguousarray(plane)


def _chroma_up(plane: UInt8Array, size: tuple[int, int]) -> UInt8Array:
    width, height = size
    doubled = cv2.resize(plane, (plane.shape[1] * 2, plane.shape[0] * 2), interpolation=cv2.INTER_LINEAR)
    return np.asarray(doubled, np.uint8)[:height, :width]


def _chroma_down(plane: Any) -> Any:
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge")
    return even.reshape((height + 1) // 2, 2, (width + 1) // 2, 2).mean(axis=(1, 3))


def _bytes(samples: Any) -> UInt8Array:
    clipped: UInt8Array = np.clip(np.rint(samples), 0, 255).astype(np.uint8)
    return clipped
