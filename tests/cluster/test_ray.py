"""Workers over a real Ray: started, killed and brought back, looked at, ended; and a token of another cluster."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamguard.cluster.launch import OBJECT_STORE
from tests.support.settings import toml
from tests.support.training_data import ROOT, environment

LIMIT = 300.0


def environment_of(token: str) -> dict[str, str]:
    """That of a process of a cluster with this token."""
    ray = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_USAGE_STATS_ENABLED": "0"}
    return {**environment(), **ray, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


@contextmanager
def ray_head(token: str) -> Iterator[str]:
    """A head of Ray by itself; its address."""
    folder = Path(tempfile.mkdtemp(prefix="sg-ray-"))
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    line = ["start", "--head", f"--port={port}", "--num-cpus=1", "--node-name=alone", f"--temp-dir={folder}"]
    line += ["--include-dashboard=false", "--disable-usage-stats", f"--object-store-memory={OBJECT_STORE}"]
    program = Path(sys.executable).with_name("ray")
    try:
        done = subprocess.run(
            [program, *line, "--include-log-monitor=false"],
            env=environment_of(token),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        local = next(line for line in done.stdout.splitlines() + done.stderr.splitlines() if "--address=" in line)
        yield local.partition("--address='")[2].partition("'")[0]
    finally:
        # Whatever has the folder's name in its command line; the workers end with their node.
        for _ in range(2):
            for process in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    if str(folder).encode() in (process / "cmdline").read_bytes():
                        os.kill(int(process.name), signal.SIGKILL)
            time.sleep(0.1)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.long
def test_up_a_kill_a_wrong_token_and_down(shared_url: str, tmp_path: Path, detector: Path, real: Path) -> None:
    config = tmp_path / "cluster.toml"
    tokens = [{"name": "all", "token": "t" * 24, "scopes": ["admin"]}]
    settings = {
        "alerts": {"database": shared_url, "folder": str(tmp_path / "alerts")},
        "engine": {"model": str(detector), "engine": "torch", "threads": 1},
        "server": {"listen": "127.0.0.1:0", "admission": "off", "tokens": tokens},
        "checks": {"enabled": False},
        "streams": [{"name": "door", "source": str(real)}],
    }
    config.write_text(toml(settings))
    token = "0123456789abcdef" * 4

    def cluster(*line: object, token: str = token, code: int = 0, both: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "streamguard", "cluster", *map(str, line), "--config", str(config)],
            env=environment_of(token),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr if both else done.stdout if code == 0 else done.stderr

    def until(so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        limit = time.monotonic() + LIMIT
        while not so(told := json.loads(cluster("status", "--json"))):
            assert time.monotonic() < limit, told
        found: dict[str, Any] = told
        return found

    with ray_head(token) as address:
        trouble = cluster("up", "--address", address, token="f" * 64, code=11)
        # Ray's own lines come first.
        assert "does not take this token" in trouble.strip().splitlines()[-1]
        assert "alone/0" in cluster("up", "--address", address)
        told = until(lambda told: bool(told["streams"][0]["owner"]))
        first = told["workers"][0]
        assert (first["state"], first["seat"]) == ("up", "alone/0")
        os.kill(first["process"], signal.SIGKILL)
        told = until(lambda told: told["streams"][0]["owner"] not in {None, first["id"]})
        assert told["streams"][0]["epoch"] > 1
        second = told["streams"][0]["owner"]
        assert "is replaced" in cluster("up", "--rolling", "--address", address, both=True)
        until(lambda told: told["streams"][0]["owner"] not in {None, second})
        assert "no worker lives on a node of that name" in cluster("drain", "none", code=7)
        assert "1 workers ended" in cluster("down", "--address", address)
        told = json.loads(cluster("status", "--json"))
        assert [each for each in told["workers"] if each["state"] != "lost"] == []
        assert [each["name"] for each in told["streams"]] == ["door"]
