"""Encoding pictures for live viewers: low delay, no B-frames, a key frame whenever one is asked for."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, Literal, TypeAlias

import av
import av.video.frame
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from streamguard.media.picture import frame_of
from streamguard.types import Picture

Packet: TypeAlias = "av.Packet[VideoStream]"

LiveCodec: TypeAlias = Literal["h264", "vp8"]
CLOCK = 90_000
"""Ticks per second of the packets' times: the RTP clock of both codecs (RFC 6184, RFC 7741)."""

_RATE = 30
_BITS_PER_PIXEL = 0.09
_LEAST_BITRATE, _MOST_BITRATE = 400_000, 6_000_000
_KEYFRAME_SECONDS = 10
_SWS = {"bt601": Colorspace.ITU601, "bt709": Colorspace.ITU709}


class LiveEncoder:
    """Encodes a stream of pictures as baseline H.264 or VP8. Blocks: call it in an executor, one call at a time.

    A picture of another size starts a new sequence with a key frame. Odd sizes are filled up to even ones.

    Args:
        codec: what to encode to.
        bitrate: bits per second; default: by the picture's size, at 30 frames per second.
    """

    def __init__(self, codec: LiveCodec, bitrate: int | None = None) -> None:
        self.codec = codec
        self._bitrate = bitrate
        self._limit: int | None = None
        self.full = self.bitrate = bitrate or 0
        """Bits per second without a limit, and now; 0 before the first picture tells them."""
        self._context: Any = None
        self._last_pts = -1

    def limit(self, bitrate: int | None) -> None:
        """Spend no more than so many bits per second from the next picture on, which becomes a key frame; None: `full`.

        Neither codec's buffer model can be changed while it runs. Not to be called while `encode` is running.
        """
        if bitrate != self._limit:
            self._limit, self._context = bitrate, None

    def encode(self, picture: Picture, pts: int, *, keyframe: bool = False) -> list[Packet]:
        """The packets of one picture; none where the encoder skipped it.

        Args:
            picture: planar YUV 4:2:0.
            pts: its time in ticks of `CLOCK`; one that does not rise is moved just behind its predecessor.
            keyframe: code it without reference to others.
        """
        width, height = picture.width + picture.width % 2, picture.height + picture.height % 2
        frame = frame_of(picture, width=width, height=height)
        if picture.full_range:
            frame = self._limited(frame, picture)
        if self._context is None or (self._context.width, self._context.height) != (width, height):
            self._context = self._open(width, height)
            keyframe = True
        pts = max(pts, self._last_pts + 1)
        frame.pts, frame.time_base, self._last_pts = pts, Fraction(1, CLOCK), pts
        frame.duration = CLOCK // _RATE
        kinds = av.video.frame.PictureType
        frame.pict_type = kinds.I if keyframe else kinds.NONE
        packets: list[Packet] = self._context.encode(frame)
        return packets

    def _limited(self, frame: av.VideoFrame, picture: Picture) -> av.VideoFrame:
        # VP8 carries no range, and many H.264 decoders of browsers ignore it.
        return frame.reformat(
            format="yuv420p",
            src_colorspace=_SWS[picture.matrix],
            dst_colorspace=_SWS[picture.matrix],
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )

    def _open(self, width: int, height: int) -> Any:
        self.full = self._bitrate or round(
            min(max(width * height * _RATE * _BITS_PER_PIXEL, _LEAST_BITRATE), _MOST_BITRATE)
        )
        bitrate = self.bitrate = min(self.full, self._limit or self.full)
        context: Any = av.CodecContext.create("libx264" if self.codec == "h264" else "libvpx", "w")
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.bit_rate = bitrate
        context.framerate, context.time_base = Fraction(_RATE, 1), Fraction(1, CLOCK)
        context.gop_size = _KEYFRAME_SECONDS * _RATE
        context.max_b_frames = 0
        # One thread per stream: many streams share the processor better so.
        context.thread_count = 1
        if self.codec == "h264":
            context.profile = "Baseline"
            context.options = {
                "preset": "superfast",
                "tune": "zerolatency",
                "maxrate": str(bitrate),
                "bufsize": str(bitrate // 2),
            }
        else:
            context.qmin, context.qmax = 4, 56
            context.options = {
                "deadline": "realtime",
                "cpu-used": "-8",
                "lag-in-frames": "0",
                "minrate": str(bitrate),
                "maxrate": str(bitrate),
                "bufsize": str(bitrate // 2),
                "static-thresh": "100",
                "undershoot-pct": "100",
                "overshoot-pct": "15",
                "error-resilient": "default",
            }
        return context
