"""Small media files made on the spot: known, moving pictures, and every kind of damage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

LEVELS = 10
"""Brightness of frame i, in the left half of the picture, is that of `level(i)`."""


def level(index: int) -> int:
    """The grey level (0..255, RGB) of the left half of picture `index`."""
    return 30 + 20 * (index % LEVELS)


def picture(index: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """Synthetic picture: uint8 [height, width, 3] RGB.

    The left half is flat with brightness `level(index)`; the right half is a colour gradient over which a white
    square walks; the top left quarter of the left half is red, so that a turned picture is recognised.
    """
    y, x = np.mgrid[0:height, 0:width]
    rgb = np.stack((x * 255 // width, y * 255 // height, 255 - x * 255 // width), axis=-1).astype(np.uint8)
    rgb[:, : width // 2] = level(index)
    rgb[: height // 4, : width // 4] = (220, 20, 20)
    side = max(2, min(width, height) // 6)
    left = width // 2 + (3 * index) % max(1, width // 2 - side)
    rgb[height // 2 : height // 2 + side, left : left + side] = 255
    return rgb


def index_of(luma: NDArray[np.uint8]) -> int:
    """Which picture (modulo `LEVELS`) a decoded limited-range luma plane shows."""
    height, width = luma.shape
    mean = float(luma[height // 2 :, : width // 2 - 4].mean())
    return round(((mean - 16) * 255 / 219 - 30) / 20) % LEVELS


def make_video(
    path: str | Path,
    *,
    frames: int = 30,
    size: tuple[int, int] = (64, 48),
    rate: float = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int = 0,
    audio: bool = False,
    audio_only: bool = False,
    colorspace: int | None = None,
    color_range: int | None = None,
    gop: int = 10,
    b_frames: int = 0,
    format: str | None = None,
    options: dict[str, str] | None = None,
    movflags: str = "",
    pictures: Iterable[NDArray[np.uint8]] | None = None,
) -> Path:
    """Write a video and return its path.

    Args:
        path: the file; its suffix names the container unless `format` does.
        frames: how many pictures (ignored where `pictures` or `pts` are given).
        size: (width, height).
        rate: frames per second.
        codec, pix_fmt, options: libav's names.
        pts, time_base: timestamps instead of a regular rate.
        rotation: counter-clockwise degrees a player has to turn the pictures by.
        audio, audio_only: with a sine tone beside, or in place of, the pictures.
        colorspace, color_range: H.273 tags written into the stream; None leaves them out.
        gop, b_frames: distance of keyframes, B-frames in a row.
        movflags: for MP4, such as "+faststart" or "+frag_keyframe+empty_moov".
        pictures: uint8 [height, width, 3] RGB, in place of `picture(i, *size)`.
    """
    path = Path(path)
    container_options = {"movflags": movflags} if movflags else {}
    with av.open(str(path), "w", format=format, container_options=container_options) as container:
        tone: Any = container.add_stream("aac", rate=44100, layout="mono") if audio or audio_only else None
        stream: Any = None
        if not audio_only:
            stream = container.add_stream(codec, rate=Fraction(rate).limit_denominator(1001), options=options or {})
            stream.width, stream.height = size
            stream.pix_fmt = pix_fmt
            context = stream.codec_context
            # One slice a picture, whatever the machine: more cores would cut each picture in more of them.
            context.thread_count = 1
            context.gop_size, context.max_b_frames = gop, b_frames
            if time_base is not None:
                context.time_base = time_base
            if colorspace is not None:
                context.colorspace = colorspace
            if color_range is not None:
                context.color_range = color_range
            if rotation:
                stream.set_display_rotation(rotation)
            if pictures is None:
                pictures = (picture(i, *size) for i in range(len(pts) if pts else frames))
            for i, rgb in enumerate(pictures):
                frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
                    format=pix_fmt,
                    dst_colorspace="itu709" if colorspace == 1 else "itu601",
                    dst_color_range="JPEG" if color_range == 2 else "MPEG",
                    threads=1,
                )
                frame.pts = pts[i] if pts else i
                frame.time_base = time_base or Fraction(1) / Fraction(rate).limit_denominator(1001)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        if tone is not None:
            _add_tone(container, tone, frames / rate)
    return path


def truncate(path: Path, share: float) -> Path:
    """Cut the file down to `share` (0..1) of its bytes, in place."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def replace_bytes(path: Path, old: bytes, new: bytes) -> Path:
    """Overwrite every `old` in the file by `new` of the same length, in place."""
    data = path.read_bytes()
    if len(old) != len(new) or old not in data:
        raise ValueError(f"cannot replace {old!r} in {path.name}")
    path.write_bytes(data.replace(old, new))
    return path


def _add_tone(container: Any, stream: Any, seconds: float) -> None:
    samples = np.sin(np.arange(int(seconds * 44100)) * 440 * 2 * np.pi / 44100).astype(np.float32) * 0.1
    for start in range(0, len(samples), 1024):
        frame = av.AudioFrame.from_ndarray(samples[None, start : start + 1024], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
