"""What a WebRTC peer sends, kept for clips as it came: compressed pictures on their way to aiortc's decoder."""

from __future__ import annotations

import io
import logging
import queue
import struct
import threading
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import Any

import av
from aiortc import RTCRtpReceiver

from streamguard.media.packet_ring import CompressedPacket, PacketKeeper, stream_head

log = logging.getLogger(__name__)
CLOCK = Fraction(1, 90_000)
"""Seconds: the RTP clock of both codecs (RFC 6184, RFC 7741)."""
KEYFRAME_SECONDS = 5.0
"""How often a keyframe is asked for: WebRTC senders make none unasked, and a clip begins at one."""
_QUEUE, _FAULT = "_RTCRtpReceiver__decoder_queue", "_RTCRtpReceiver__decoder_error"
_IDR, _SPS = 5, 7


def keep_received(
    receiver: RTCRtpReceiver, keeper: PacketKeeper, *, keyframe_seconds: float = KEYFRAME_SECONDS
) -> bool:
    """Have the keeper get every picture that the receiver's decoder gets, on the decoder's thread.

    To be called before the connection is up. The peer is asked for a keyframe (PLI, RFC 4585) now and then.

    Args:
        receiver: of a video track.
        keeper: gets H.264 and VP8.
        keyframe_seconds: how often, in media seconds.

    Returns:
        False where this version of aiortc has no such place: there will be no clips.
    """
    fault = getattr(receiver, _FAULT, None)
    if not isinstance(getattr(receiver, _QUEUE, None), queue.Queue) or not isinstance(fault, threading.Event):
        log.warning("published streams have no clips: this version of aiortc is not known")
        return False
    # What aiortc sets when a picture could not be decoded; it answers with a PLI at the next packet.
    setattr(receiver, _QUEUE, _Tapped(keeper, fault.set, keyframe_seconds))
    return True


class _Tapped(queue.Queue[Any]):
    """The decoder's queue of (codec, picture); bounded by what aiortc puts in, as the one that it replaces."""

    def __init__(self, keeper: PacketKeeper, ask: Callable[[], None], keyframe_seconds: float) -> None:
        super().__init__()
        self._keeper, self._ask, self._every = keeper, ask, keyframe_seconds
        self._codec = ""
        self._asked = 0.0

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next item, after the keeper has got it."""
        item = super().get(block, timeout)
        if item is not None:
            codec, picture = item
            self._keep(codec.name.lower(), bytes(picture.data), int(picture.timestamp))
        return item

    def _keep(self, codec: str, data: bytes, timestamp: int) -> None:
        if codec not in {"h264", "vp8"} or not data:
            return
        if codec != self._codec:
            self._codec = codec
            self._keeper.begin(partial(codec_head, codec))
        # No B-frames in WebRTC: pictures are shown in the order in which they are decoded.
        one = CompressedPacket(data, timestamp, timestamp, 0, CLOCK, is_keyframe(codec, data))
        self._keeper.add(one)
        if one.keyframe:
            self._asked = one.time
        elif one.time - self._asked >= self._every:
            self._asked = one.time
            self._ask()


def is_keyframe(codec: str, data: bytes) -> bool:
    """Whether a picture can be decoded without any other.

    Args:
        codec: "h264": in Annex B format, with its sequence parameters; or "vp8" (RFC 6386, 9.1).
        data: the picture; not empty.
    """
    if codec == "vp8":
        return not data[0] & 1
    kinds = {unit[0] & 31 for unit in data.split(b"\0\0\1")[1:] if unit}
    return {_IDR, _SPS} <= kinds


def codec_head(codec: str, keyframe: CompressedPacket) -> bytes:
    """The codec's parameters, for `clip_bytes`, learnt from a keyframe alone.

    Args:
        codec: "h264" or "vp8".
        keyframe: as `is_keyframe` has it.

    Raises:
        av.FFmpegError, ValueError: it is damaged.
    """
    data, kind = keyframe.data, "h264"
    if codec == "vp8":
        # An IVF file of one picture; its size stands in the keyframe (RFC 6386, 9.1).
        if len(data) < 10:
            raise ValueError("a VP8 keyframe has ten bytes at least")
        width, height = (size & 0x3FFF for size in struct.unpack_from("<HH", data, 6))
        header = struct.pack("<4sHH4sHHIIII", b"DKIF", 0, 32, b"VP80", width, height, CLOCK.denominator, 1, 1, 0)
        data, kind = header + struct.pack("<IQ", len(data), 0) + data, "ivf"
    with av.open(io.BytesIO(data), "r", format=kind) as source:
        return stream_head(source.streams.video[0], keyframe)
