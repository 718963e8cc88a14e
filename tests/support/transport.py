"""A file as the MPEG-TS of a live encoder: over and over, one access unit after the other, each with its moment."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from streamguard.errors import EmptyMedia, UnsupportedMedia
from streamguard.media.source import open_source

_CLOCK = 90_000


class _Written:
    """What a muxer writes, taken out piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def write(self, piece: bytes) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def take(self) -> bytes:
        taken, self._pieces = b"".join(self._pieces), []
        return taken


def transport_units(path: Path, seconds: float) -> tuple[list[tuple[float, bytes]], float]:
    """The video of a file, looped to at least `seconds` (ISO/IEC 13818-1), without its sound.

    Args:
        path: a file whose codec MPEG-TS has a place for.
        seconds: how long it is to play.

    Returns:
        Access units in the order of sending, each with the seconds after the first picture's capture at which an
        encoder in real time sends it (no picture goes out before it was taken); and the pictures per second.

    Raises:
        SourceError, MediaError: the file cannot be read, or MPEG-TS has no place for its codec.
    """
    with open_source(path):
        pass
    try:
        with av.open(str(path)) as source:
            track = source.streams.video[0]
            rate, base = Fraction(track.average_rate or 25), Fraction(track.time_base or Fraction(1, _CLOCK))
            stamps = [(one.pts, one.dts) for one in source.demux(track) if one.size]
        if not stamps:
            raise EmptyMedia(str(path), "it holds no pictures", "Record or copy it again")
        return _looped(path, stamps, base, rate, seconds), float(rate)
    except (av.FFmpegError, ValueError, TypeError) as error:
        cause = f"MPEG-TS cannot carry it ({error})"
        raise UnsupportedMedia(str(path), cause, "Convert it to H.264") from error


def _looped(
    path: Path, stamps: list[tuple[Any, Any]], base: Fraction, rate: Fraction, seconds: float
) -> list[tuple[float, bytes]]:
    first_pts, first_dts = min(pts for pts, _ in stamps), stamps[0][1]
    # A P-frame that is coded ahead of its B-frames has been taken before it is sent.
    wait = max(float((pts - first_pts - dts + first_dts) * base) for pts, dts in stamps)
    length = max(pts for pts, _ in stamps) - first_pts + round(1 / (rate * base))
    units: list[tuple[float, bytes]] = []
    written = _Written()
    target: Any = written
    with av.open(target, "w", format="mpegts", options={"flush_packets": "1"}) as sink:
        stream: Any = None
        shift = 0
        while float(shift * base) < seconds:
            with av.open(str(path)) as source:
                track = source.streams.video[0]
                stream = stream or sink.add_stream_from_template(track)
                for packet, (pts, dts) in zip((one for one in source.demux(track) if one.size), stamps, strict=False):
                    packet.pts, packet.dts, packet.stream = pts + shift, dts + shift, stream
                    sink.mux(packet)
                    units.append((float((dts - first_dts + shift) * base) + wait, written.take()))
            shift += length
    return units
