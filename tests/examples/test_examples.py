"""The examples run, against real peers and with a detector whose truth is known."""

from __future__ import annotations

import ast
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest

import streamguard
from streamguard.media import open_source
from tests.support.media_files import make_video, truncate
from tests.support.portraits import RATE, portrait_clip, portrait_pictures
from tests.support.rtsp_server import RtspServer
from tests.support.training_data import ROOT, environment, run_python
from tests.support.warm import warm_python

JUDGE = ROOT / "examples" / "python_api" / "judge_file.py"
WATCH = ROOT / "examples" / "rtsp_camera" / "watch_camera.py"


@pytest.mark.parametrize("script", [JUDGE, WATCH])
def test_an_example_uses_the_public_names_only(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("streamguard"):
            assert node.module == "streamguard"
            assert {alias.name for alias in node.names} <= set(streamguard.__all__)
    assert script.name in (script.parent / "README.md").read_text()


def test_a_file_is_judged_face_by_face(detector: Path, half_fake: Path) -> None:
    done = run_python(JUDGE, half_fake, "--model", detector)
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("face 1: ")
    assert "called fake" in lines[1]
    assert lines[-1].startswith("file: ")


def test_a_real_file_a_damaged_one_and_none(detector: Path, real: Path, tmp_path: Path) -> None:
    done = run_python(JUDGE, real, "--model", detector)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "file: no sign of manipulation found"
    damaged = make_video(
        tmp_path / "damaged.mp4",
        size=(320, 240),
        rate=RATE,
        movflags="+faststart",
        pictures=portrait_pictures(2.0),
    )
    done = run_python(JUDGE, truncate(damaged, 0.7), "--model", detector)
    assert done.stdout.splitlines()[-1] == "file: no sign of manipulation found"
    assert done.stderr.startswith("stopped early: ")
    done = run_python(JUDGE, tmp_path / "none.mp4", "--model", detector)
    assert done.returncode == 2
    assert done.stdout.splitlines()[-1] == "file: NOT JUDGED"
    done = run_python(JUDGE, real, "--model", "nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("nonsense: no detector of that name")


@contextmanager
def started_on(server: RtspServer, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The camera example as a process, killed should it not answer for a minute and a half."""
    process = subprocess.Popen(
        [*warm_python(), str(WATCH), server.url, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    limit = threading.Timer(90, process.kill)
    limit.start()
    try:
        yield process
    finally:
        limit.cancel()
        limit.join()
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], words: str) -> str:
    """The next line with these words."""
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if words in line:
            return line
    assert process.stderr is not None
    pytest.fail(f"no {words!r} in {seen}; {process.stderr.read()}")


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_camera_is_watched_lost_and_found_again(
    detector: Path, tmp_path: Path, transport: Literal["tcp", "udp"]
) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", 4.0, (1.0, 4.0))
    video = tmp_path / "camera.mp4"
    more = ["--udp"] if transport == "udp" else []
    server = RtspServer(clip, rate=RATE, user="bob", password="s3cret", transport=transport)
    with server, started_on(server, "--video", video, "--model", detector, *more) as process:
        assert "green on" in wait_for(process, "waiting for the camera")
        assert "320x240" in wait_for(process, "stream.up")
        assert "face 1" in wait_for(process, "fake.opened")
        server.kill()
        line = wait_for(process, "stream.down")
        assert "s3cret" not in line
        server.start()
        wait_for(process, "stream.up")
        wait_for(process, "fake.opened")
        process.send_signal(signal.SIGINT)
        _, trouble = process.communicate(timeout=30)
        assert process.returncode == 0, trouble
        assert trouble == ""
    with open_source(str(video)) as source:
        assert len(list(source)) > 20
    assert not list(tmp_path.glob("*.partial"))


def test_a_wrong_password_ends_the_watch(detector: Path, tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "clip.mp4", 1.0)
    with RtspServer(clip, rate=RATE, user="bob", password="s3cret") as server:
        done = run_python(WATCH, server.url_for("bob", "wrong"), "--video", tmp_path / "v.mp4", "--model", detector)
    assert done.returncode == 3
    assert "wrong" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "v.mp4").exists()
