"""A PostgreSQL server of the tests' own, in a temporary folder, reached by a socket in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

USER = "postgres"
SETTINGS = "-c fsync=off -c listen_addresses= -c shared_buffers=16MB -c max_connections=40"


def binaries() -> Path | None:
    """The folder of initdb and pg_ctl, newest version first (Debian keeps them off the path)."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def server(programs: Path) -> Iterator[str]:
    """The URL of a fresh server's maintenance database."""
    # Short: the path of a socket has a hundred characters at the most.
    folder = Path(tempfile.mkdtemp(prefix="sg-pg-"))
    as_user = []
    if os.geteuid() == 0:
        # It refuses to run as root.
        as_user = ["runuser", "-u", USER, "--"]
        shutil.chown(folder, USER)

    def run(*command: str) -> None:
        done = subprocess.run(
            [*as_user, *command], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr

    data, log = str(folder / "data"), str(folder / "log")
    try:
        run(str(programs / "initdb"), "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync")
        options = f"{SETTINGS} -c unix_socket_directories={folder}"
        # Its log goes to a file: the server must not hold on to a pipe of ours.
        run("sh", "-c", f"'{programs}/pg_ctl' -D '{data}' -l '{log}' -o '{options}' -w start >/dev/null 2>&1")
        try:
            yield f"postgresql://{USER}@/postgres?host={folder}"
        finally:
            run(str(programs / "pg_ctl"), "-D", data, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
