"""`make bench-webrtc`: both tables are filled from what really came back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from streamguard.media import picture_of
from tests.benchmarks import webrtc as bench_webrtc
from tests.benchmarks.webrtc_peers import BITS, TimeCodeTrack, read_code, still_picture
from tests.support.portraits import portrait
from tests.support.training_data import run_python

pytestmark = pytest.mark.slow


async def test_a_time_code_is_read_as_it_was_painted() -> None:
    track = TimeCodeTrack(still_picture(portrait(), 320, 180), 1e6)
    for number in (0, 1, 0b1010_0101_1100_0011, (1 << BITS) - 1):
        track._count = number
        assert read_code(picture_of(await track.recv()).y) == number
        assert number in track.sent


async def test_both_tables(detector: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_webrtc, "_VIEWERS", (1, 2))
    monkeypatch.setattr(bench_webrtc, "_GLASS", (640, 360))
    monkeypatch.setattr(bench_webrtc, "_WARM_UP", 0.5)
    monkeypatch.setenv("COLUMNS", "160")
    assert await bench_webrtc.bench_webrtc(str(detector), "torch", 1.5) == 0
    said = capsys.readouterr().out
    rows = {cells[0]: cells[1:] for line in said.splitlines() if len(cells := _cells(line)) > 1}
    for path in ("aiortc echo", "streamguard, live overlay", "streamguard, exact overlay"):
        p50, p95, most, rate = map(float, rows[path])
        assert 0 < p50 <= p95 <= most
        assert rate > 0
    for server in ("streamguard, encoding", "streamguard, whole process", "aiortc MediaRelay, whole process"):
        *spent, ratio = rows[server]
        assert len(spent) == 2
        assert all(float(value) > 0 for value in spent)
        assert re.fullmatch(r"\d+\.\d\dx", ratio)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│ ").split("│")]


def test_the_command_says_what_it_takes() -> None:
    done = run_python("-m", "tests.benchmarks.webrtc", "--seconds", 0, timeout=240)
    assert done.returncode == 2
    assert "--seconds" in done.stderr
