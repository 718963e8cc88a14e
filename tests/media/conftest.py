"""No test of this folder leaves a thread or an open file behind."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def no_leaked_threads_or_files() -> Iterator[None]:
    threads, files = set(threading.enumerate()), _open_files()
    yield
    left = [t for t in threading.enumerate() if t not in threads and not t.name.startswith("asyncio")]
    assert not left, f"threads left behind: {left}"
    assert _open_files() <= files, "files or sockets left open"


def _open_files() -> int:
    return len(list(Path(f"/proc/{os.getpid()}/fd").iterdir()))
