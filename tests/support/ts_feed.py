"""MPEG-TS sent in real time, as an encoder in the field does: by UDP, or over HTTP without a length."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DATAGRAM = 7 * 188


def chunks(parts: Sequence[bytes], seconds: float, stop: threading.Event, *, loop: bool = True) -> Iterator[bytes]:
    """Datagrams of the parts in turn, each part spread evenly over so many seconds; until `stop`."""
    for part in itertools.cycle(parts) if loop else parts:
        count = -(-len(part) // DATAGRAM)
        for begin in range(0, len(part), DATAGRAM):
            if stop.wait(seconds / count):
                return
            yield part[begin : begin + DATAGRAM]


@contextmanager
def udp_feed(parts: Sequence[bytes], seconds: float) -> Iterator[str]:
    """The URL at which the parts arrive, over and over."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind(("127.0.0.1", 0))
        place = asked.getsockname()
    stop = threading.Event()

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            for chunk in chunks(parts, seconds, stop):
                out.sendto(chunk, place)

    with _running(send, stop):
        yield f"udp://127.0.0.1:{place[1]}"


@contextmanager
def http_feed(parts: Sequence[bytes], seconds: float, *, loop: bool = True) -> Iterator[str]:
    """The URL from which the parts can be fetched as a broadcast that has no length."""
    stop = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "video/mp2t")
            self.end_headers()
            try:
                for chunk in chunks(parts, seconds, stop, loop=loop):
                    self.wfile.write(chunk)
            except OSError:
                return

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, _running(server.serve_forever, stop):
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/live.ts"
        finally:
            stop.set()
            server.shutdown()


@contextmanager
def _running(work: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
