"""A container's own statements, checked before they are believed."""

from __future__ import annotations

from typing import Any

import av.container
import av.video.stream
from av.stream import Disposition

from streamguard.errors import NoVideo, UnsupportedMedia
from streamguard.media.address import Kind

_MAX_SIDE = 8192


def video_stream(container: av.container.InputContainer, url: str) -> av.video.stream.VideoStream:
    """The video track to judge: libav's best one that moves and can be decoded.

    Raises:
        NoVideo: there is none (a cover picture of a sound file is none).
        UnsupportedMedia: there is no decoder for any.
    """
    moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
    if not moving:
        raise NoVideo(url, "there is no video track in it", "Give a source with pictures")
    usable = [s for s in moving if s.codec_context is not None]
    if not usable:
        raise UnsupportedMedia(url, "this build of libav has no decoder for its codec", "Convert it to H.264")
    best: Any = container.streams.best("video")
    return best if best in usable else usable[0]


def check_size(url: str, width: int, height: int, max_pixels: int) -> None:
    """Raise UnsupportedMedia for pictures without a size, beyond `max_pixels`, or beyond 8192 a side."""
    if width <= 0 or height <= 0:
        raise UnsupportedMedia(url, "its pictures have no size", "Check or record it again")
    if width * height > max_pixels or max(width, height) > _MAX_SIDE:
        remedy = f"Scale it down to at most {max_pixels} pixels, {_MAX_SIDE} a side"
        raise UnsupportedMedia(url, f"its pictures are too large ({width}x{height})", remedy)


def is_live(container: av.container.InputContainer, kind: Kind) -> bool:
    """Return whether the source runs in real time and has no end."""
    if kind in ("live", "camera"):
        return True
    name, duration = container.format.name, container.duration
    if name in ("hls", "mpjpeg"):
        return duration is None
    # A broadcast over plain http: neither a length in bytes nor in seconds.
    return kind == "web" and duration is None and container.size <= 0


def cut_short(promised: int, read: int, duration: float | None, reached: float, rate: float | None) -> bool:
    """Return whether a file ended clearly before the end its header names.

    Args:
        promised, read: pictures the header names (0: it does not tell), and packets that came.
        duration, reached: seconds the header names (None: it does not tell), and where the last packet ended.
        rate: frames per second, if known.
    """
    # Edit lists leave promised pictures out, and rounding leaves time out: both must be amiss.
    few = not promised or promised - read > max(2, 0.02 * promised)
    early = duration is None or duration - reached > max(3.5 / (rate or 25), 0.02 * duration)
    return few and early and bool(promised or duration)
