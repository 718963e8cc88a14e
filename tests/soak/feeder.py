"""The process that is one live source: MPEG-TS over HTTP in real time, with faults on demand.

It is a program of its own, run by its path, and needs the standard library only. The job comes as JSON in the first
argument, commands as lines on standard input; the port is told on standard output. What is on air follows from the
clock alone: a process that is killed and begun anew goes on where the broadcast is by then.
"""

from __future__ import annotations

import bisect
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_LATE = 2.0
"""Seconds that a sender lags at the most; beyond, it leaves pictures out, as an encoder does."""
_PACKET = 188
_SMALLEST = 4 * _PACKET


class Clip:
    """The coded pictures of a file, and where each lies.

    Args:
        path: the transport stream; its index lies beside it as JSON: seconds, begin and keyframe of each picture.
    """

    def __init__(self, path: Path) -> None:
        index = json.loads(path.with_suffix(".json").read_text())
        self.length: float = index["length"]
        self.times: list[float] = [time for time, _, _ in index["pictures"]]
        self.keys: list[bool] = [key for _, _, key in index["pictures"]]
        self._begins = [begin for _, begin, _ in index["pictures"]]
        self._data = path.read_bytes()
        self._begins.append(len(self._data))

    def picture(self, number: int) -> bytes:
        """Its bytes; numbers go on beyond the clip's end, as it begins anew."""
        place = number % len(self.times)
        return self._data[self._begins[place] : self._begins[place + 1]]

    def time(self, number: int) -> float:
        """Seconds after the begin at which it is sent."""
        return number // len(self.times) * self.length + self.times[number % len(self.times)]

    def at(self, moment: float) -> int:
        """The first picture that is sent at that moment or later."""
        rounds, rest = divmod(moment, self.length)
        return int(rounds) * len(self.times) + bisect.bisect_left(self.times, rest)

    def key(self, number: int) -> bool:
        """Whether it is coded without reference to others."""
        return self.keys[number % len(self.times)]


class Feed(ThreadingHTTPServer):
    """Sends to whoever asks, for ever."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, clips: list[Clip], began: float, port: int) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.clips, self.began = clips, began
        self.chosen = 0
        self.halved_until = 0.0

    def handle_error(self, request: object, client_address: object) -> None:
        """A reader that has gone is no error."""


class Handler(BaseHTTPRequestHandler):
    """One reader."""

    server: Feed

    def do_GET(self) -> None:
        """Answer with the broadcast as it is now."""
        feed = self.server
        self.send_response(200)
        self.send_header("Content-Type", "video/mp2t")
        self.end_headers()
        clip = feed.clips[feed.chosen]
        number = clip.at(time.monotonic() - feed.began)
        while True:
            wanted = feed.clips[feed.chosen]
            if wanted is not clip and wanted.key(number):
                clip = wanted
            ahead = feed.began + clip.time(number) - time.monotonic()
            if ahead < -_LATE:
                number = clip.at(time.monotonic() - feed.began)
                continue
            if ahead > 0:
                time.sleep(ahead)
            data = clip.picture(number)
            if time.monotonic() < feed.halved_until and len(data) > _SMALLEST:
                data = data[: len(data) // (2 * _PACKET) * _PACKET]
            self.wfile.write(data)
            number += 1

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Serve until the parent's end of standard input closes."""
    job = json.loads(sys.argv[1])
    feed = Feed([Clip(Path(path)) for path in job["clips"]], job["began"], job["port"])
    threading.Thread(target=feed.serve_forever, daemon=True).start()
    print(feed.server_address[1], flush=True)
    for line in sys.stdin:
        command, value = line.split()
        if command == "half":
            feed.halved_until = time.monotonic() + float(value)
        elif command == "clip":
            feed.chosen = int(value)


if __name__ == "__main__":
    main()
