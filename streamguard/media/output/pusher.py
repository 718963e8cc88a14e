"""The process that writes one output: packets come in on standard input, its state goes out on standard output.

It is a program of its own, run by its path, and needs libav only. libav's writers can neither be given a time limit
nor be broken off; a process can always be ended, and takes nothing with it that the guard needs.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import io
import json
import os
import re
import signal
import stat
import struct
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from typing import IO, Any

import av

MESSAGE = struct.Struct("<cI")
"""Kind and length: j the job as JSON, V and S the heads, v and s packets of video and sound."""
PACKET = struct.Struct("<qqqIIB")
"""pts, dts, duration, time base (numerator, denominator), keyframe; the bytes follow."""
_MOST_WAIT = 500_000
"""Microseconds for which one track's packets wait for the other's."""
_PR_SET_PDEATHSIG = 1
_ROOM = 64 * 1024
"""Bytes for which there must be room before an output on the disk counts as up."""
_PACKET_BYTES, _SYNC = 188, b"\x47"
_WRITE = 2
"""libav's AVIO_FLAG_WRITE."""
_OURS = "segments:"
"""Before the playlist's name: libav would rename files by itself, also those it could not write."""
_UNFINISHED = ".tmp"


def main() -> None:
    """Write what comes until its end."""
    # Ctrl-C is the parent's affair, which ends us by closing our input; should it be killed, nobody is left to.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    av.logging.set_level(None)
    source, tell = sys.stdin.buffer, sys.stdout
    try:
        write(source, tell)
    except (av.FFmpegError, OSError, ValueError) as error:
        # libav's messages repeat the URL with its password: only the kind of error is told.
        say(tell, {"error": type(error).__name__, "errno": getattr(error, "errno", None)})
        # A trailer would fail as the packets did.
        os._exit(1)


def write(source: IO[bytes], tell: IO[str]) -> None:
    """Open the output, then write packets as they come."""
    job = json.loads(expect(source, b"j"))
    opened: dict[bytes, Any] = {b"v": av.open(io.BytesIO(expect(source, b"V")))}
    if job["sound"]:
        opened[b"s"] = av.open(io.BytesIO(expect(source, b"S")))
    options = {**job["options"], "max_interleave_delta": str(_MOST_WAIT), "flush_packets": "1"}
    place: Any = job["name"]
    segments: Segments | None = None
    if job["format"] == "hls":
        folder, name = os.path.split(job["file"])
        os.chdir(folder or ".")
        segments, place = Segments(name, job["segments"], job["kept"]), _OURS + name
        check_room(".")
        if os.path.exists(name):
            # Numbers go on, and players are told of the break.
            options["hls_flags"] += "+append_list"
    elif job["format"] == "mpegts" and job["file"]:
        place, behind = continued_file(job["file"])
        if behind:
            options["mpegts_flags"] = "initial_discontinuity"
    opener = segments.open if segments is not None else None
    out = av.open(place, "w", format=job["format"], container_options=options, io_open=opener)
    tracks: dict[bytes, Any] = {
        kind: out.add_stream_from_template(head.streams[0], opaque=True) for kind, head in opened.items()
    }
    out.start_encoding()
    say(tell, {"up": True})
    while (message := receive(source)) is not None:
        kind, data = message
        pts, dts, duration, numerator, denominator, keyframe = PACKET.unpack_from(data)
        packet: Any = av.Packet(data[PACKET.size :])
        packet.pts, packet.dts, packet.duration = pts, dts, duration
        packet.time_base, packet.is_keyframe = Fraction(numerator, denominator), bool(keyframe)
        packet.stream = tracks[kind]
        out.mux(packet)
    out.close()


def check_room(folder: str) -> None:
    """Raise the OSError that writing would end with: on a full disk files can still be opened."""
    # A folder that takes no file of ours may hold one that may be written to.
    with contextlib.suppress(PermissionError), tempfile.TemporaryFile(dir=folder) as probe:
        probe.write(bytes(_ROOM))


def continued_file(name: str) -> tuple[IO[bytes], bool]:
    """Open the file, and tell whether something was in it; that stays, as transport streams may follow each other.

    Raises:
        OSError: it cannot be opened, there is no room, or it holds something else.
    """
    file = open(name, "ab", buffering=0)  # noqa: SIM115 - ends with the process
    state = os.fstat(file.fileno())
    if not stat.S_ISREG(state.st_mode):
        return file, False
    check_room(os.path.dirname(os.path.realpath(name)))
    if state.st_size:
        with open(name, "rb") as before:
            if before.read(1) != _SYNC:
                raise FileExistsError(errno.EEXIST, "no transport stream")
        # Half a packet, of a crash or a full disk, would spoil the next one.
        os.truncate(name, state.st_size - state.st_size % _PACKET_BYTES)
    return file, state.st_size > 0


class Segments:
    """The files of an HLS output, in the working folder. Each gets its name once it is whole, and none after a fault.

    Args:
        playlist: its name.
        prefix: what the segments' names begin with; six digits or more and `.ts` follow.
        kept: segments that stay when they have left the playlist, for those who have just read it. Older ones are
            removed, those of earlier processes, too.
    """

    def __init__(self, playlist: str, prefix: str, kept: int) -> None:
        self._playlist, self._kept = playlist, kept
        self._name = re.compile(rf"{re.escape(prefix)}(\d{{6,}})\.ts")
        self.fault: OSError | None = None
        for name in os.listdir():
            whole = name.removesuffix(_UNFINISHED)
            if whole != name and (whole == playlist or self._name.fullmatch(whole)):
                remove(name)
        self._sweep()

    def open(self, url: str, flags: int, _: dict[str, str]) -> Any:
        """Open a file for libav, which asks for nothing but to read or to write it anew."""
        name = url.removeprefix(_OURS)
        return Unfinished(self, name) if flags & _WRITE else open(name, "rb")

    def finished(self, name: str) -> None:
        """Give a file its name."""
        os.replace(name + _UNFINISHED, name)
        if name == self._playlist:
            self._sweep()

    def _sweep(self) -> None:
        listed = set[str]()
        with contextlib.suppress(FileNotFoundError), open(self._playlist, errors="replace") as lines:
            listed = {line.strip() for line in lines}
        found = [(int(match[1]), match[0]) for match in map(self._name.fullmatch, os.listdir()) if match is not None]
        first = min((number for number, name in found if name in listed), default=0)
        unlisted = sorted(one for one in found if one[1] not in listed)
        just_left = [one for one in unlisted if one[0] < first][-self._kept :]
        for one in unlisted:
            if one not in just_left:
                remove(one[1])


class Unfinished:
    """A file of an HLS output while it is written."""

    def __init__(self, segments: Segments, name: str) -> None:
        self._segments, self._name = segments, name
        self._file = open(name + _UNFINISHED, "wb", buffering=0)  # noqa: SIM115 - closed by `close`

    def write(self, data: bytes) -> int:
        """Write all of it."""
        rest = memoryview(data)
        with self._noted():
            while rest:
                rest = rest[self._file.write(rest) :]
        return len(data)

    def close(self) -> None:
        """Take it for whole, unless this or another one could not be written."""
        with self._noted():
            self._file.close()
            if self._segments.fault is None:
                self._segments.finished(self._name)
            else:
                remove(self._name + _UNFINISHED)

    @contextlib.contextmanager
    def _noted(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._segments.fault = error
            # What there is of it is no use, and may be the last room there was.
            remove(self._name + _UNFINISHED)
            raise


def remove(name: str) -> None:
    """Remove a file, if that can be."""
    with contextlib.suppress(OSError):
        os.unlink(name)


def expect(source: IO[bytes], kind: bytes) -> bytes:
    """The next message, which has to be of that kind."""
    message = receive(source)
    if message is None or message[0] != kind:
        raise ValueError
    return message[1]


def receive(source: IO[bytes]) -> tuple[bytes, bytes] | None:
    """The next message; None at the end, also where it comes in the middle of one."""
    head = source.read(MESSAGE.size)
    if len(head) < MESSAGE.size:
        return None
    kind, length = MESSAGE.unpack(head)
    data = source.read(length)
    return (kind, data) if len(data) == length else None


def say(tell: IO[str], what: dict[str, object]) -> None:
    """One line of JSON."""
    tell.write(json.dumps(what) + "\n")
    tell.flush()


if __name__ == "__main__":
    main()
