"""A real RTMP server (nginx with its rtmp module) on the loopback, for as long as a test needs it."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

_MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
_INSTALL = "apt-get install -y nginx-light libnginx-mod-rtmp"
_CONFIG = """
load_module {module};
daemon off;
master_process off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 64; }}
rtmp {{
  server {{
    listen 127.0.0.1:{port};
    application live {{ live on; wait_key on; }}
  }}
}}
"""
_PATIENCE = 20.0


class NginxRtmp:
    """`with NginxRtmp() as server:`; publish to and play from `server.url(name)`. `kill` and `start` keep the port."""

    def __init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as asked:
            self.port = asked.getsockname()[1]
        self._folder = ""
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, name: str = "stream") -> str:
        """Where a stream of that name is."""
        return f"rtmp://127.0.0.1:{self.port}/live/{name}"

    def start(self) -> None:
        """Start the server and wait until it listens."""
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
        if program is None or not _MODULE.exists():
            raise RuntimeError(f"there is no nginx with an rtmp module: {_INSTALL}")
        config = Path(self._folder) / "nginx.conf"
        config.write_text(_CONFIG.format(module=_MODULE, folder=self._folder, port=self.port))
        self._process = subprocess.Popen(
            [program, "-p", self._folder, "-e", f"{self._folder}/error.log", "-c", str(config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        limit = time.monotonic() + _PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > limit:
                    said = Path(self._folder, "error.log").read_text()
                    self.kill()
                    raise RuntimeError(f"nginx did not start: {said}") from None
                time.sleep(0.02)

    def kill(self) -> None:
        """End the server without a word to its clients. A no-op when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def __enter__(self) -> Self:
        self._folder = tempfile.mkdtemp(prefix="nginx-rtmp-")
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
