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
    recoder = Recoder(pictures[0], codec, rate, bit_rate=bit_rate, crf=crf)
    decoded = [sent for picture in pictures for sent in recoder.push(picture)] + recoder.finish()
    if len(decoded) != len(pictures):
        raise recoder.refusal()
    return [_like(after, before) for after, before in zip(decoded, pictures, strict=True)]


class Recoder:
    """One codec's round trip, picture by picture: what a receiver of the stream would see.

    Args:
        like: a picture of the size, colour matrix and range of all that will be pushed.
        codec, rate, bit_rate, crf: as for `recode`.

    Raises:
        UnsupportedMedia: the codec refuses such pictures; from any method.
    """

    def __init__(
        self, like: Picture, codec: Codec, rate: float, *, bit_rate: int | None = None, crf: int | None = None
    ) -> None:
        self._like, self._codec = like, codec
        self._rate = Fraction(rate).limit_denominator(1001)
        self._size = (like.width + like.width % 2, like.height + like.height % 2)
        self._count = 0
        self.bytes = 0
        """Bytes that the encoder has made so far."""
        encoder: Any = av.codec.CodecContext.create(_ENCODERS[codec], "w")
        (encoder.width, encoder.height), encoder.pix_fmt = self._size, "yuv420p"
        encoder.time_base, encoder.framerate = 1 / self._rate, self._rate
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
        self._encoder, self._decoder = encoder, decoder

    def push(self, picture: Picture) -> list[Picture]:
        """Send one picture; what has arrived by now, in order (the decoder may hold some back)."""
        frame = frame_of(picture, width=self._size[0], height=self._size[1])
        frame.pts, frame.time_base = self._count, 1 / self._rate
        self._count += 1
        return self._arrived(frame)

    def finish(self) -> list[Picture]:
        """The pictures that were held back."""
        return self._arrived(None)

    def refusal(self) -> UnsupportedMedia:
        """The error to raise where pictures got lost."""
        size = f"{self._like.width}x{self._like.height}"
        cause = f"{self._codec} does not take these pictures ({size}, {float(self._rate):g} a second)"
        return UnsupportedMedia("recode", cause, "Use another codec or size")

    def _arrived(self, frame: av.VideoFrame | None) -> list[Picture]:
        decoded: list[av.VideoFrame] = []
        try:
            for packet in self._encoder.encode(frame):
                self.bytes += packet.size
                decoded += self._decoder.decode(packet)
            if frame is None:
                decoded += self._decoder.decode(None)
        except av.FFmpegError:
            raise self.refusal() from None
        return [_like(picture_of(each), self._like) for each in decoded]


def _like(after: Picture, before: Picture) -> Picture:
    (h, w), (ch, cw) = before.y.shape, before.u.shape
    return replace(before, y=after.y[:h, :w], u=after.u[:ch, :cw], v=after.v[:ch, :cw])
