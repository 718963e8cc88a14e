"""In-memory encoding and decoding: the marks a codec leaves, for training on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Literal

import av
import av.codec

from streamguard.errors import UnsupportedMedia
from streamguard.media.picture import frame_of, picture_of
from streamguard.types import Picture

Codec = Literal["h264", "mpeg4", "vp8"]

_ENCODERS: dict[Codec, str] = {"h264": "libx264", "mpeg4": "mpeg4", "vp8": "libvpx"}
_OPTIONS: dict[Codec, dict[str, str]] = {
    "h264": {"preset": "veryfast", "tune": "zerolatency"},
    "mpeg4": {},
    "vp8": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "auto-alt-ref": "0"},
}
_VP8_CEILING = 20_000_000


def recode(
    pictures: Sequence[Picture],
    codec: Codec,
    rate: float,
    *,
    bit_rate: int | None = None,
    crf: int | None = None,
) -> list[Picture]:
    """Send pictures through a codec and back.

    Args:
        pictures: of one size; colour tags are kept.
        codec: which codec.
        rate: frames per second.
        bit_rate: bits per second to aim at.
        crf: quality instead: 0-51 (h264), 1-31 (mpeg4, a quantiser), 4-63 (vp8). Neither given: the codec's default.

    Returns:
        As many pictures, in the same order and of the same size.

    Raises:
        ValueError: both `bit_rate` and `crf`, or pictures of several sizes.
        UnsupportedMedia: the codec refuses the pictures.
    """
    if bit_rate is not None and crf is not None:
        raise ValueError("give bit_rate or crf, not both")
    if len({(picture.width, picture.height) for picture in pictures}) > 1:
        raise ValueError("the pictures differ in size")
    if not pictures:
        return []
    try:
        decoded = _round_trip(pictures, codec, Fraction(rate).limit_denominator(1001), bit_rate, crf)
    except av.FFmpegError:
        decoded = []
    if len(decoded) != len(pictures):
        size = f"{pictures[0].width}x{pictures[0].height}"
        cause = f"{codec} does not take these pictures ({size}, {rate:g} a second)"
        raise UnsupportedMedia("recode", cause, "Use another codec or size")
    return [_like(after, before) for after, before in zip(decoded, pictures, strict=True)]


def _round_trip(
    pictures: Sequence[Picture], codec: Codec, rate: Fraction, bit_rate: int | None, crf: int | None
) -> list[Picture]:
    encoder: Any = av.codec.CodecContext.create(_ENCODERS[codec], "w")
    width, height = pictures[0].width + pictures[0].width % 2, pictures[0].height + pictures[0].height % 2
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.framerate = 1 / rate, rate
    encoder.max_b_frames, encoder.thread_count = 0, 1
    options = dict(_OPTIONS[codec])
    if bit_rate is not None:
        encoder.bit_rate = bit_rate
    elif crf is not None and codec == "mpeg4":
        encoder.qmin = encoder.qmax = crf
    elif crf is not None:
        options["crf"] = str(crf)
        if codec == "vp8":
            # libvpx reads crf as the best quality it may spend its bit rate on.
            encoder.bit_rate = _VP8_CEILING
    encoder.options = options
    decoder: Any = av.codec.CodecContext.create(codec, "r")
    decoder.thread_count = 1
    frames: list[av.VideoFrame] = []
    for index, picture in enumerate(pictures):
        frame = frame_of(picture, width=width, height=height)
        frame.pts, frame.time_base = index, 1 / rate
        for packet in encoder.encode(frame):
            frames += decoder.decode(packet)
    for packet in encoder.encode(None):
        frames += decoder.decode(packet)
    frames += decoder.decode(None)
    return [picture_of(frame) for frame in frames]


def _like(after: Picture, before: Picture) -> Picture:
    (h, w), (ch, cw) = before.y.shape, before.u.shape
    return replace(before, y=after.y[:h, :w], u=after.u[:ch, :cw], v=after.v[:ch, :cw])
