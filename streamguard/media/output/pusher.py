"""The process that writes one output: packets come in on standard input, its state goes out on standard output.

It is a program of its own, run by its path, and needs libav only. libav's writers can neither be given a time limit
nor be broken off; a process can always be ended, and takes nothing with it that the guard needs.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import signal
import struct
import sys
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
    if job["format"] == "hls":
        folder, name = os.path.split(job["file"])
        os.chdir(folder or ".")
        place = f"file:{name}"
        if os.path.exists(name):
            # Numbers go on, and players are told of the break.
            options["hls_flags"] += "+append_list"
    elif job["format"] == "mpegts" and job["file"]:
        # What was written before a break stays: transport streams may simply follow each other.
        place = open(job["file"], "ab" if job["append"] else "wb", buffering=0)  # noqa: SIM115 - ends with the process
    out = av.open(place, "w", format=job["format"], container_options=options)
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
