"""Where an output goes, and how libav writes it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from streamguard.errors import OutputError, redact

Format = Literal["rtsp", "flv", "mpegts", "hls"]

SEGMENT_SECONDS = 2
"""Seconds of an HLS segment, and between keyframes."""
_WINDOW = 6
"""HLS segments in the playlist; as many again stay on the disk for those who have just read it."""
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
        "hls_list_size": str(_WINDOW),
        "hls_delete_threshold": str(_WINDOW),
        # temp_file: playlist and segments are renamed into place.
        "hls_flags": "delete_segments+temp_file+independent_segments+program_date_time",
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
        """What the names of HLS segments begin with; a number and `.ts` follow."""
        # libav would look for numbers to fill in.
        return f"{self.file.stem.replace('%', '_')}-" if self.file is not None else ""

    def takes(self, sound: str) -> bool:
        """Whether sound of libav's codec `sound` can go along."""
        return sound in _SOUND[self.format]


def parse_target(text: str) -> Target:
    """Recognise rtsp, rtmp(s) and udp URLs, a folder or `.m3u8` file (HLS), and a `.ts` file.

    Raises:
        OutputError: it is none of these, its folder is not there, or a URL names no host.
    """
    scheme, slashes, _ = text.partition("://")
    if slashes:
        return _url(text, scheme.lower())
    path = Path(text)
    if "\0" in text:
        raise OutputError(text, "this is no path", "give a folder, or the name of a .m3u8 or .ts file")
    if path.is_dir():
        path /= "live.m3u8"
    elif not path.absolute().parent.is_dir():
        raise OutputError(text, "its folder does not exist", "create the folder first")
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
