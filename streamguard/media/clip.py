"""A clip out of compressed packets, without decoding or encoding."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Literal, TypeAlias

import av
from av.video.stream import VideoStream

from streamguard.errors import CorruptMedia, UnsupportedMedia
from streamguard.media.packet_ring import CompressedPacket, packet_of

Container: TypeAlias = Literal["mp4", "webm"]


def clip_container(head: bytes) -> Container:
    """Kind of file that `clip_bytes` makes: WebM of VP8, for which MP4 has no place; MP4 of everything else.

    Args:
        head: from `PacketRing.cut`.
    """
    with av.open(io.BytesIO(head), "r") as source:
        return _container(source.streams.video[0])


def clip_bytes(head: bytes, packets: Sequence[CompressedPacket]) -> bytes:
    """The packets as a file that begins at time 0, of the kind that `clip_container` names.

    Args:
        head, packets: from `PacketRing.cut`.

    Raises:
        CorruptMedia: there are no packets.
        UnsupportedMedia: the file has no place for the codec.
    """
    if not packets:
        raise CorruptMedia("clip", "there are no packets", "keep more seconds of packets")
    memory = io.BytesIO()
    # Times by the source's own clock may be hours; a clip begins at its beginning.
    begin = min(one.dts * one.base for one in packets)
    try:
        with av.open(io.BytesIO(head), "r") as source:
            template = source.streams.video[0]
            with av.open(memory, "w", format=_container(template)) as file:
                stream = file.add_stream_from_template(template)
                for one in _rising(packets):
                    shift = round(begin / one.base)
                    packet = packet_of(replace(one, pts=one.pts - shift, dts=one.dts - shift))
                    packet.stream = stream
                    file.mux(packet)
    except (av.FFmpegError, ValueError) as error:
        cause = f"a clip cannot hold it ({error})"
        raise UnsupportedMedia("clip", cause, "have the source send H.264 or H.265") from error
    return memory.getvalue()


def _container(stream: VideoStream) -> Container:
    return "webm" if stream.codec_context.codec.canonical_name == "vp8" else "mp4"


def _rising(packets: Sequence[CompressedPacket]) -> list[CompressedPacket]:
    """Drop packets whose decoding time does not rise: a container refuses them."""
    kept: list[CompressedPacket] = []
    last: Fraction | None = None
    for one in packets:
        moment = one.dts * one.base
        if last is None or moment > last:
            kept.append(one)
            last = moment
    return kept
