"""Network namespaces that stand for machines: a bridge, and a node each on it. They need root."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NODES = (1, 2, 3)
NET = "10.77.0"


def sh(*line: object, check: bool = True, **more: Any) -> str:
    """What a program says."""
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=False, **more)
    assert not check or done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return str(done.stdout + done.stderr)


@contextmanager
def network() -> Iterator[None]:
    """A bridge, and a namespace for each node on it."""
    try:
        sh("ip", "link", "add", "sgc0", "type", "bridge")
        sh("ip", "addr", "add", f"{NET}.1/24", "dev", "sgc0")
        sh("ip", "link", "set", "sgc0", "up")
        for node in NODES:
            space = f"sgc{node}"
            sh("ip", "netns", "add", space)
            sh("ip", "link", "add", f"sgv{node}", "type", "veth", "peer", "name", "eth0", "netns", space)
            sh("ip", "link", "set", f"sgv{node}", "master", "sgc0", "up")
            sh("ip", "-n", space, "addr", "add", f"{NET}.1{node}/24", "dev", "eth0")
            sh("ip", "-n", space, "link", "set", "eth0", "up")
            sh("ip", "-n", space, "link", "set", "lo", "up")
        yield
    finally:
        for node in NODES:
            kill_node(node)
            sh("ip", "netns", "del", f"sgc{node}", check=False)
        sh("ip", "link", "del", "sgc0", check=False)


def kill_node(node: int) -> None:
    """End everything of a node without a word."""
    for pid in sh("ip", "netns", "pids", f"sgc{node}", check=False).split():
        with contextlib.suppress(ValueError, ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
