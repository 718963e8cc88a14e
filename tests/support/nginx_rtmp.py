"""A real RTMP server (nginx with its rtmp module) on the loopback, for as long as a test needs it."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.support.daemon import Daemon

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


class NginxRtmp(Daemon):
    """`with NginxRtmp() as server:`; publish to and play from `server.url(name)`."""

    def url(self, name: str = "stream") -> str:
        """Where a stream of that name is."""
        return f"rtmp://127.0.0.1:{self.port}/live/{name}"

    @property
    def log(self) -> str:
        """What it has said."""
        return (self.folder / "error.log").read_text()

    def command(self) -> list[str]:
        """The command line; see `Daemon`."""
        program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/bin")
        if program is None or not _MODULE.exists():
            raise RuntimeError(f"there is no nginx with an rtmp module: {_INSTALL}")
        config = self.folder / "nginx.conf"
        config.write_text(_CONFIG.format(module=_MODULE, folder=self.folder, port=self.port))
        return [program, "-p", str(self.folder), "-e", str(self.folder / "error.log"), "-c", str(config)]
