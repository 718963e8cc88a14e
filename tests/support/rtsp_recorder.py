"""A real RTSP server (GStreamer's) that records what is pushed to it, for as long as a test needs it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

_SCRIPT = Path(__file__).with_name("gst_rtsp_recorder.py")


class RtspRecorder:
    """`with RtspRecorder(path) as server:` takes one stream at `server.url`. `kill` and `start` keep the port.

    Args:
        path: a Matroska file.
        user, password: what a client has to prove it knows (digest).
        mute: no sound will come.
    """

    def __init__(self, path: Path, *, user: str = "", password: str = "", mute: bool = False) -> None:
        self._path, self._user, self._password, self._mute = path, user, password, mute
        self._process: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where to push to."""
        return f"rtsp://{f'{self._user}:{self._password}@' if self._user else ''}127.0.0.1:{self.port}/in"

    def start(self) -> None:
        """Start the server and wait until it listens; on the port it had before, if it had one."""
        command = ["/usr/bin/python3", str(_SCRIPT), str(self._path), "--port", str(self.port)]
        command += ["--user", self._user, "--password", self._password] if self._user else []
        command += ["--mute"] * self._mute
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line.startswith("READY "):
            self.stop()
            raise RuntimeError("the RTSP server did not start")
        self.port = int(line.split()[1])

    def kill(self) -> None:
        """End the server without a word to its clients."""
        if self._process is not None:
            self._process.kill()
        self.stop()

    def stop(self) -> None:
        """End the server. A no-op when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.communicate(timeout=20)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
