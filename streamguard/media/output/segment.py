"""An HLS segment in another box: what a browser's media source takes."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import av
from av.bitstream import BitStreamFilterContext

from streamguard.errors import CorruptMedia

_PLAYED = {"aac", "mp3"}
"""Sound that browsers play."""
_OPTIONS = {
    # One fragment that tells its own parameters, on the stream's own clock.
    "movflags": "empty_moov+delay_moov+default_base_moof+frag_discont",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}


@dataclass(frozen=True, slots=True)
class BrowserSegment:
    """A segment as fragmented MP4, with its parameters.

    Attributes:
        data: the file.
        type: its media type with the codecs (RFC 6381).
        start: seconds on the stream's clock, which leaps where the stream does, and after 26 hours.
    """

    data: bytes
    type: str
    start: float


def browser_segment(segment: bytes) -> BrowserSegment:
    """An MPEG-TS segment as fragmented MP4, not encoded again. Blocks for some milliseconds.

    Sound that browsers do not play is left out.

    Args:
        segment: the bytes of a whole segment that begins with a keyframe; H.264.

    Raises:
        CorruptMedia: it is none.
    """
    try:
        return _boxed(segment)
    except (av.FFmpegError, ValueError, IndexError):
        raise CorruptMedia("segment", "it cannot be read", "ask for a later one") from None


def _boxed(segment: bytes) -> BrowserSegment:
    memory = io.BytesIO()
    with av.open(io.BytesIO(segment), "r", format="mpegts") as source:
        video: Any = source.streams.video[0]
        sounds: list[Any] = [one for one in source.streams.audio if one.codec_context.name in _PLAYED][:1]
        codecs = ["avc1." + _profile(video.codec_context.extradata), *(_sound(one) for one in sounds)]
        # What TS packs around each packet of AAC (ADTS) MP4 has as parameters.
        strips = {
            one.index: BitStreamFilterContext("aac_adtstoasc", one) for one in sounds if one.codec_context.name == "aac"
        }
        start: list[float] = []
        with av.open(memory, "w", format="mp4", container_options=_OPTIONS) as file:
            tracks = {one.index: file.add_stream_from_template(one, opaque=True) for one in (video, *sounds)}
            for packet in source.demux(video, *sounds):
                if packet.pts is None or packet.time_base is None or not packet.size:
                    continue
                start.append(float(packet.pts * packet.time_base))
                # The filter keeps what it is given.
                index = packet.stream_index
                for each in strips[index].filter(packet) if index in strips else [packet]:
                    each.stream = tracks[index]
                    file.mux(each)
    return BrowserSegment(memory.getvalue(), f'video/mp4; codecs="{",".join(codecs)}"', min(start))


def _profile(extradata: bytes | None) -> str:
    """Profile, constraints and level of the sequence parameters (RFC 6381, 3.3), as hexadecimal digits."""
    for unit in (extradata or b"").split(b"\0\0\1"):
        if unit and unit[0] & 31 == 7 and len(unit) > 3:
            return unit[1:4].hex()
    raise ValueError("there are no sequence parameters")


def _sound(stream: Any) -> str:
    if stream.codec_context.name == "mp3":
        return "mp4a.40.34"
    # 2 is AAC-LC (ISO 14496-3); libav's numbers of profiles begin one lower.
    return f"mp4a.40.{2 if stream.profile in (None, 'LC') else 5}"
