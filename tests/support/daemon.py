"""A real server that runs as a process on the loopback for as long as a test needs it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import Self

_PATIENCE = 20.0


class Daemon(ABC):
    """`with` starts and ends it. `kill` and `start` keep the port.

    Attributes:
        port: where it listens.
        folder: for its files, as long as it is open.
    """

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as asked:
            self.port = asked.getsockname()[1]
        self.folder = Path()
        self._process: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def command(self) -> list[str]:
        """The command line that runs it, its files being written.

        Raises:
            RuntimeError: it is not installed.
        """

    @property
    @abstractmethod
    def log(self) -> str:
        """What it has said."""

    def start(self) -> None:
        """Start the server and wait until it listens."""
        self._process = subprocess.Popen(
            self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        limit = time.monotonic() + _PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > limit:
                    said = self.log
                    self.kill()
                    raise RuntimeError(f"{type(self).__name__} did not start: {said}") from None
                time.sleep(0.02)

    def kill(self) -> None:
        """End the server without a word to its clients. A no-op when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-"))
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
