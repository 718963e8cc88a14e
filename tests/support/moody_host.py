"""A web host whose mood can be changed while it is asked: good, "no such path", "who are you", a page, or gone."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Literal, Self

Mood = Literal["good", "missing", "unauthorized", "page"]
_STATUS: dict[Mood, int] = {"good": 200, "missing": 404, "unauthorized": 401, "page": 200}


class MoodyHost:
    """Serves the files of a folder, from its start until `stop`, and again on the same port after another `start`.

    Attributes:
        mood: of all answers from now on.
        asked: requests answered in each mood.
    """

    def __init__(self, folder: Path, mood: Mood = "good") -> None:
        self._folder, self.mood = folder, mood
        self.asked: dict[Mood, int] = dict.fromkeys(_STATUS, 0)
        self._port = 0
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Of the folder."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen."""
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked[host.mood] += 1
                self.send_response(_STATUS[host.mood])
                body = b"<html><body>Welcome.</body></html>"
                if host.mood == "good":
                    body = (host._folder / self.path.strip("/")).read_bytes()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                # A reader that has seen enough just hangs up.
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", self._port), Handler)
        self._port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        """Be gone: connections are refused. A no-op where it is."""
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()
            self._server = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    # Closing waits for the requests that are being answered.
    daemon_threads = False
