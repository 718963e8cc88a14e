"""Target of an output, and how libav writes it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from streamguard.errors import OutputError, redact

Format = Literal["rtsp", "flv", "mpegts", "hls"]

SEGMENT_SECONDS = 2
"""Seconds of an HLS segment, and between keyframes."""
WINDOW = 6
"""HLS segments in the playlist; as many again stay on the disk for those who have just read it."""
_LONGEST = 240
"""Bytes of a file's name, as far as every file system goes, less what is put behind it."""
_PORTS = {"rtsp": 554, "rtmp": 1935, "rtmps": 443}
_SCHEMES: dict[str, Format] = {"rtsp": "rtsp", "rtmp": "flv", "rtmps": "flv", "udp": "mpegts"}
# What players of the format understand; libav would write more.
_SOUND: dict[Format, frozenset[str]] = {
    "rtsp": frozenset({"aac", "mp3", "opus", "pcm_alaw", "pcm_mulaw", "ac3", "adpcm_g722"}),
    "flv": frozenset({"aac", "mp3", "pcm_alaw", "pcm_mulaw"}),
    "mpegts": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "opus"}),
    "hls": frozenset({"aac", "mp3", "ac3", "eac3"}),
}
_OPTIONS: dict[Format, dict[str, str]] = {
    # One sound packet per RTP packet: libav would gather them for 0.7 s, and a receiver that goes by their arrival
    # (libav's sender reports name no source, RFC 3550, 6.5.1) would play them late.
    "rtsp": {"rtsp_transport": "tcp", "max_delay": "0"},
    "flv": {"flvflags": "no_duration_filesize"},
    "mpegts": {},
    "hls": {
        "hls_time": str(SEGMENT_SECONDS),
        "hls_list_size": str(WINDOW),
        # Renaming into place and removing is the pusher's part.
        "hls_flags": "independent_segments+program_date_time",
    },
}


@dataclass(frozen=True, slots=True)
class Target:
    """A parsed output address.

    Attributes:
        name: what libav opens; may hold a password or a stream key.
        format: libav's name of the container.
        options: libav options.
        file: what is written to, where that is on the disk.
    """

    name: str
    format: Format
    options: dict[str, str]
    file: Path | None = None

    @property
    def shown(self) -> str:
        """The address without its secrets."""
        return redact(self.name.removeprefix("file:"))

    @property
    def playlist(self) -> Path | None:
        """The playlist that is written; None where this is no HLS."""
        return self.file if self.format == "hls" else None

    @property
    def segments(self) -> str:
        """Beginning of the names of HLS segments; a number and `.ts` follow."""
        # libav would look for numbers to fill in.
        return f"{self.file.stem.replace('%', '_')}-" if self.file is not None else ""

    def takes(self, sound: str) -> bool:
        """Return whether sound of libav's codec `sound` can go along."""
        return sound in _SOUND[self.format]


def parse_target(text: str) -> Target:
    """Recognise rtsp, rtmp(s) and udp URLs, a folder or `.m3u8` file (HLS), and a `.ts` file.

    Folders need not be there yet.

    Raises:
        OutputError: it is none of these, or a URL names no host.
    """
    scheme, slashes, _ = text.partition("://")
    if slashes:
        return _url(text, scheme.lower())
    path = Path(text)
    if not text.strip() or "\0" in text:
        cause = "this is no path" if text.strip() else "it is empty"
        raise OutputError(text or "output", cause, "give a folder, or the name of a .m3u8 or .ts file")
    named = path.suffix.strip(".0123456789") != "" or os.path.exists(path)
    if os.path.isdir(path) or text.endswith(os.sep) or not named:
        path /= "live.m3u8"
    if any(len(os.fsencode(part)) > _LONGEST for part in path.parts):
        raise OutputError(text, "the name is too long", f"take {_LONGEST} bytes at most")
    if path.suffix == ".m3u8":
        # Relative to the playlist: libav would look for numbers to fill in in the folders' names, too.
        target = Target(f"file:{path}", "hls", _OPTIONS["hls"], path)
        return replace(target, options={**target.options, "hls_segment_filename": f"{target.segments}%06d.ts"})
    if path.suffix == ".ts":
        return Target(f"file:{path}", "mpegts", _OPTIONS["mpegts"], path)
    raise OutputError(text, "no such kind of output", "give an rtsp, rtmp or udp URL, a folder, or a .m3u8 or .ts file")


def _url(text: str, scheme: str) -> Target:
    if scheme not in _SCHEMES:
        raise OutputError(text, f"nothing can be pushed by {scheme!r}", "give an rtsp, rtmp(s) or udp URL, or a path")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or (scheme == "udp" and port is None):
        raise OutputError(text, "the URL names no host" if not host else "the URL names no port", "write both")
    form = _SCHEMES[scheme]
    if scheme == "udp" and "pkt_size" not in parts.query:
        # Seven packets of 188 bytes: the most that fits an Ethernet frame whole.
        text += f"{'&' if parts.query else '?'}pkt_size=1316"
    return Target(text, form, _OPTIONS[form])


def missing_folder(target: Target) -> Path | None:
    """The folder that has to be there before the target can be written; None where it is, or none is needed."""
    folder = target.file.absolute().parent if target.file is not None else None
    return None if folder is None or os.path.isdir(folder) else folder


def clash(targets: Sequence[Target]) -> tuple[int, int] | None:
    """Two targets, by their numbers, that would write over each other; None where there are none."""
    numbered = enumerate(targets)
    return next(((i, j) for (i, one), (j, other) in combinations(numbered, 2) if _same(one, other)), None)


def _same(one: Target, other: Target) -> bool:
    if one.file is None or other.file is None:
        return one.file is other.file and _address(one) == _address(other)
    place, other_place = (Path(os.path.realpath(each.file or "")) for each in (one, other))
    if one.format == other.format == "mpegts":
        return place == other_place
    if place.parent != other_place.parent:
        return False
    if one.format == other.format:
        return one.segments == other.segments
    listing, file = (one, other_place) if one.format == "hls" else (other, place)
    return re.fullmatch(rf"{re.escape(listing.segments)}\d+\.ts", file.name) is not None


def _address(target: Target) -> tuple[object, ...]:
    """Return what tells servers and paths apart; who sends, and how, does not."""
    parts = urlsplit(target.name)
    host = parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
    return host if parts.scheme == "udp" else (*host, parts.path.rstrip("/"), parts.query)
