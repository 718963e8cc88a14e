"""Compressed pictures of a WebRTC peer: which of them begin anew, and what their codec's parameters are."""

from __future__ import annotations

import io
import struct
from fractions import Fraction

import av

from streamguard.media.packet_ring import CompressedPacket, stream_head

CLOCK = Fraction(1, 90_000)
"""Seconds: the RTP clock of both codecs (RFC 6184, RFC 7741)."""
_IDR, _SPS = 5, 7


def is_keyframe(codec: str, data: bytes) -> bool:
    """Return whether a picture can be decoded without any other.

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
