"""`streamguard serve` as a process, with the detector that calls green pixels fake."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.settings import sections, toml
from tests.support.training_data import ROOT, environment
from tests.support.warm import warm_python

PATIENCE = 120.0
"""Seconds until a server that neither starts nor ends is killed."""


@dataclass(frozen=True, slots=True)
class Served:
    """A running server: its URL, its port and itself."""

    url: str
    port: int
    process: subprocess.Popen[str]


@contextmanager
def served(
    folder: Path, detector: Path, *, port: int = 0, ends_well: bool = True, stops: bool = False, **settings: Any
) -> Iterator[Served]:
    """A server for as long as the context lasts; it is ended by SIGTERM and has to leave with 0.

    Args:
        folder: for its settings file.
        detector: folder of the detector.
        port: 0 takes a free one.
        ends_well: False: the test ends it, or it is killed.
        stops: the test stops it by SIGSTOP, which nothing can pass on to a fork.
        settings: further keys, as `sections` takes them.
    """
    config = folder / "serve.toml"
    # How busy the machine is that runs the tests must not decide them.
    config.write_text(toml(sections(port=port, model=str(detector), engine="torch", admission="off", **settings)))
    process = subprocess.Popen(
        [
            *([sys.executable] if stops else warm_python()),
            "-m",
            "streamguard",
            "serve",
            "--config",
            str(config),
            "--text-log",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(),
    )
    limit = threading.Timer(PATIENCE, process.kill)
    limit.start()
    log: list[str] = []
    reader = threading.Thread(target=_keep, args=(process, log))
    try:
        url = _url(process, log)
        reader.start()
        limit.cancel()
        yield Served(url, int(url.rsplit(":", 1)[1]), process)
        if not ends_well:
            return
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, "".join(log)
    finally:
        limit.cancel()
        limit.join()
        process.kill()
        process.wait()
        if reader.ident is not None:
            reader.join()
        assert process.stderr is not None
        process.stderr.close()
    assert not [line for line in log if "Traceback" in line], "".join(log)


def _url(process: subprocess.Popen[str], log: list[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        log.append(line)
        if found := re.search(r"open (https?://\S+)", line):
            return found[1]
    pytest.fail(f"the server did not start: {''.join(log)}")


def _keep(process: subprocess.Popen[str], log: list[str]) -> None:
    assert process.stderr is not None
    log.extend(process.stderr)
