"""A real RTSP server (GStreamer's) on the loopback, for as long as a test needs it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Literal, Self
from urllib.parse import quote

_SCRIPT = Path(__file__).with_name("gst_rtsp_server.py")
_PYTHON = "/usr/bin/python3"
_INSTALL = (
    "apt-get install -y python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base "
    "gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)


class RtspServer:
    """Serves one H.264 file (MP4, or a bare byte stream named `.h264`) over and over, in real time.

    `with RtspServer(path) as server:` starts it; `server.url` is where. `kill` is a crash, `start` after it brings
    the server back on the same port. The process ends with its parent, whatever happens to that.

    Args:
        path: the file.
        rate: frames per second.
        loop: begin again at the end; otherwise the stream ends there.
        user, password: what a client has to give.
        digest: the password is never sent, only proven (RFC 2617).
        transport: which transports the server offers.
        mount: the path of the URL.
        hold_after: freeze by itself once a client has been sent so many frames.
        address: where it listens.
        repeat_headers: repeat the parameter sets before each slice of a keyframe, as common GStreamer pipelines do.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rate: float = 25.0,
        loop: bool = True,
        user: str | None = None,
        password: str | None = None,
        digest: bool = False,
        transport: Literal["tcp", "udp", "both"] = "both",
        mount: str = "/live",
        hold_after: int | None = None,
        address: str = "127.0.0.1",
        repeat_headers: bool = False,
    ) -> None:
        self._path, self._rate, self._loop = Path(path), rate, loop
        self._user, self._password, self._transport, self._mount = user, password, transport, mount
        self._digest, self._address = digest, address
        self._hold_after, self._repeat_headers = hold_after, repeat_headers
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """The stream's URL, with user and password where there are any."""
        return self.url_for(self._user, self._password)

    def url_for(self, user: str | None, password: str | None, mount: str | None = None) -> str:
        """The stream's URL with other credentials, or another path."""
        credentials = f"{quote(user, safe='')}:{quote(password or '', safe='')}@" if user else ""
        return f"rtsp://{credentials}{self._address}:{self.port}{mount or self._mount}"

    def start(self) -> None:
        """Start the server and wait until it listens; on the port it had before, if it had one."""
        if self._process is not None:
            raise RuntimeError("the RTSP server is running already")
        command = [_PYTHON, str(_SCRIPT), str(self._path), "--rate", str(self._rate), "--path", self._mount]
        command += ["--port", str(self.port), "--transport", self._transport]
        command += ["--address", self._address]
        command += ["--digest"] * self._digest
        command += ["--repeat-headers"] * self._repeat_headers
        command += ["--loop"] * self._loop + ["--raw"] * (self._path.suffix == ".h264")
        if self._hold_after is not None:
            command += ["--hold-after", str(self._hold_after)]
        if self._user is not None:
            command += ["--user", self._user, "--password", self._password or ""]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        line = self._answer()
        if not line.startswith("READY "):
            self._process.kill()
            _, trouble = self._process.communicate()
            self._process = None
            raise RuntimeError(f"the RTSP server did not start; if packages are missing: {_INSTALL}\n{trouble}")
        self.port = int(line.split()[1])

    def kill(self) -> None:
        """End the server without a word to its clients."""
        self._end(kill=True)

    def stop(self) -> None:
        """End the server in good order. A no-op when it does not run."""
        self._end(kill=False)

    def freeze(self) -> None:
        """Send nothing more, but keep the connections."""
        self._command("freeze")

    def resume(self) -> None:
        """Send again after `freeze`."""
        self._command("resume")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _command(self, word: str) -> None:
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the RTSP server does not run")
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        if self._answer().strip() != "DONE":
            raise RuntimeError(f"the RTSP server did not {word}")

    def _answer(self) -> str:
        return self._process.stdout.readline() if self._process and self._process.stdout else ""

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if kill:
            process.kill()
        try:
            # Closing its standard input is what tells the server to end.
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
