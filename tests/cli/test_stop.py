"""Stopped from outside, at any moment: clean where it can be, never half-written."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from streamguard.media import open_source
from streamguard.pipeline.scan_documents import ScanDocument
from tests.cli.conftest import LIMIT, Start
from tests.support.portraits import RATE, portrait_clip
from tests.support.rtsp_server import RtspServer

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than can be judged before the signal comes."""
    return portrait_clip(tmp_path_factory.mktemp("long") / "long.mp4", 40.0, (0.0, 40.0))


def wait_for_frames(process: subprocess.Popen[str], overlay: Path) -> None:
    """Wait until the running process has written frames of its annotated video."""
    partial = overlay.with_name(f"{overlay.name}.partial")
    limit = time.monotonic() + LIMIT
    while not partial.exists() or partial.stat().st_size == 0:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit, "no frame was written"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.02)


def orphans(folder: Path) -> list[str]:
    """Processes that have the folder for their working directory."""
    return [path.parent.name for path in Path("/proc").glob("[0-9]*/cwd") if leads_to(path) == folder]


def leads_to(path: Path) -> Path | None:
    """Where a link of a process leads that may be gone by now."""
    try:
        return path.readlink()
    except OSError:
        return None


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_scan_stopped_in_the_middle(start: Start, long_clip: Path, tmp_path: Path, number: int, code: int) -> None:
    process = start("scan", long_clip, "--json", "out.json", "--overlay", "out.mp4", "--exit-code")
    wait_for_frames(process, tmp_path / "out.mp4")
    process.send_signal(number)
    said, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (code, "")
    document = ScanDocument.model_validate_json((tmp_path / "out.json").read_bytes())
    assert not document.complete
    (told,) = document.files
    assert 0 < told.frames < 800
    assert told.fault is None
    assert f"{long_clip}: FAKE" in said
    with open_source(tmp_path / "out.mp4") as source:
        assert len(list(source)) in {told.frames, told.frames - 1, told.frames + 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.json", "out.mp4"]
    assert orphans(tmp_path) == []


def test_scan_killed_in_the_middle(start: Start, long_clip: Path, tmp_path: Path) -> None:
    (tmp_path / "out.json").write_text("older")
    process = start("scan", long_clip, "--json", "out.json", "--overlay", "out.mp4")
    wait_for_frames(process, tmp_path / "out.mp4")
    process.kill()
    process.communicate(timeout=LIMIT)
    assert (tmp_path / "out.json").read_text() == "older"
    assert not (tmp_path / "out.mp4").exists()
    assert orphans(tmp_path) == []


@pytest.mark.parametrize(("number", "code"), SIGNALS)
def test_watch_stopped_in_the_middle(start: Start, half_fake: Path, tmp_path: Path, number: int, code: int) -> None:
    with RtspServer(half_fake, rate=RATE) as server:
        process = start("watch", server.url, "--jsonl", "--overlay", "out.mp4")
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        next(line for line in lines if json.loads(line).get("state") == "REAL")
        process.send_signal(number)
        rest, errors = process.communicate(timeout=LIMIT)
    assert (process.returncode, errors) == (code, "")
    for line in rest.splitlines():
        json.loads(line)
    with open_source(tmp_path / "out.mp4") as source:
        assert len(list(source)) > 5
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert orphans(tmp_path) == []


def test_a_reader_that_leaves_is_no_fault(start: Start, half_fake: Path) -> None:
    process = start("watch", half_fake, "--jsonl")
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["kind"] == "stream.up"
    process.stdout.close()
    assert (process.wait(LIMIT), process.stderr.read()) == (0, "")
    process.stdout = None
