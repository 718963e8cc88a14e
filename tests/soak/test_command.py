"""The commands of tests/soak/README.md, a few seconds of each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.rtsp_server import RtspServer
from tests.support.training_data import run_python

pytestmark = pytest.mark.slow
SHORT = ("--seconds", 8, "--every", 3, "--warm-up", 2)
# A machine that is busy with other tests may miss a bar.
CODES = {0, 1}


def test_generated_streams_and_the_report(tmp_path: Path) -> None:
    out = tmp_path / "soak.json"
    done = run_python(
        *("-m", "tests.soak", *SHORT, "--streams", 1, "--json", out, "--settle", 20, "--fault", "server-killed"),
        *("--rate", 10, "--size", "320x240", "--judged", 2),
    )
    assert done.returncode in CODES, done.stdout + done.stderr
    assert "What was lost" in done.stdout
    assert json.loads(out.read_text())["streams"] == 1


def test_a_stream_of_ones_own(tmp_path: Path, real: Path) -> None:
    with RtspServer(real) as server:
        done = run_python("-m", "tests.soak", server.url, *SHORT, "--fault", "network-cut", "--settle", 5)
    assert done.returncode in CODES, done.stdout + done.stderr
    assert "What was lost" in done.stdout


def test_what_cannot_be_is_told_in_one_line() -> None:
    done = run_python("-m", "tests.soak", "--fault", "earthquake")
    assert done.returncode == 7
    assert "earthquake" in done.stderr
    assert len(done.stderr.splitlines()) == 1
