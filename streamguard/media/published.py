"""A video track that somebody sends us over WebRTC, as a source of frames."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import av
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from streamguard.errors import SourceTimeout, UnsupportedMedia
from streamguard.media.items import Down, SourceItem, Up
from streamguard.media.picture import picture_of
from streamguard.media.timestamps import TimestampRepair
from streamguard.types import Frame, Picture

MOST_PIXELS = 3840 * 2160
"""The largest picture taken from a publisher."""


async def published_frames(
    track: MediaStreamTrack, stream: str, *, silence: float = 5.0, most_pixels: int = MOST_PIXELS
) -> AsyncGenerator[SourceItem, None]:
    """`Up`, `Frame` and `Down` of a remote track, until it ends.

    A publisher may change the picture's size at any time; that is no new epoch. After `silence` seconds without a
    picture the stream is `Down`, and the next picture begins a new epoch.

    Args:
        track: its `recv` returns decoded frames.
        stream: the stream's name.
        silence: seconds.
        most_pixels: the largest picture accepted.

    Raises:
        UnsupportedMedia: a picture is larger than that, or has a pixel format that cannot be converted.
    """
    epoch, index, up = 0, 0, False
    repair = TimestampRepair(None)
    while True:
        try:
            async with asyncio.timeout(silence if up else None):
                received = await track.recv()
        except MediaStreamError:
            return
        except TimeoutError:
            cause = f"no picture has come for {silence:g} s"
            yield Down(epoch, SourceTimeout(stream, cause, "check the publisher's camera and network"), 0.0, 1)
            epoch, index, up, repair = epoch + 1, 0, False, TimestampRepair(None)
            continue
        if not isinstance(received, av.VideoFrame):
            continue
        picture = checked_picture(received, stream, most_pixels)
        if not up:
            up = True
            yield Up(epoch, picture.width, picture.height, None, "webrtc", True, None, None)
        moment = repair.repair(received.pts, received.time_base)
        yield Frame(stream, epoch, index, moment, time.monotonic(), picture)
        index += 1


def checked_picture(frame: av.VideoFrame, stream: str, most_pixels: int = MOST_PIXELS) -> Picture:
    """The picture of a received frame.

    Raises:
        UnsupportedMedia: it is too large, or cannot be converted.
    """
    if frame.width * frame.height > most_pixels:
        cause = f"a picture of {frame.width}x{frame.height} is too large"
        raise UnsupportedMedia(stream, cause, "publish a smaller one")
    try:
        # A mirror without a rotation does not come over WebRTC.
        return picture_of(frame, upright=frame.rotation == 0)
    except av.FFmpegError as error:
        cause = f"the pixel format {frame.format.name} cannot be converted"
        raise UnsupportedMedia(stream, cause, "publish yuv420p") from error
