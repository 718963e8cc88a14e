"""The examples around the server run, against a real one."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from streamguard.media import open_source
from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.server.test_auth import TOKENS
from tests.support.training_data import ROOT, environment

EXAMPLES = ROOT / "examples"
CAMERA = EXAMPLES / "camera" / "publish_camera.py"
CALL = EXAMPLES / "video_call" / "call_alarm.py"
PLUGIN = EXAMPLES / "aiortc_plugin" / "guarded_call.py"


@pytest.mark.parametrize("script", [CAMERA, CALL, PLUGIN])
def test_its_readme_names_it(script: Path) -> None:
    text = (script.parent / "README.md").read_text()
    assert f"]({script.name})" in text
    assert "may be wrong" in " ".join(text.split())


async def start(script: Path, *arguments: object, **more: str) -> asyncio.subprocess.Process:
    """An example as a process of its own."""
    pipe = asyncio.subprocess.PIPE
    line = [sys.executable, str(script), *map(str, arguments)]
    return await asyncio.create_subprocess_exec(*line, stdout=pipe, stderr=pipe, env={**environment(), **more})


async def line_with(process: asyncio.subprocess.Process, words: str) -> str:
    """The next line of its output with these words."""
    assert process.stdout is not None
    assert process.stderr is not None
    seen = []
    async with asyncio.timeout(60):
        while line := (await process.stdout.readline()).decode():
            seen.append(line)
            if words in line:
                return line
    pytest.fail(f"no {words!r} in {seen}: {(await process.stderr.read()).decode()}")


async def ended(process: asyncio.subprocess.Process) -> str:
    """What it wrote to stderr until its end."""
    async with asyncio.timeout(60):
        _, trouble = await process.communicate()
    return trouble.decode()


async def test_a_camera_is_published_and_a_call_is_listened_to(serve_with: ServeWith, half_fake: Path) -> None:
    send, view = str(TOKENS[2]["token"]), str(TOKENS[1]["token"])
    async with serve_with(tokens=TOKENS) as (server, _):
        listener = await start(CALL, server.url, "camera", STREAMGUARD_TOKEN=view)
        await line_with(listener, "waiting for camera")
        camera = await start(CAMERA, server.url, "--camera", half_fake, STREAMGUARD_TOKEN=send)
        await line_with(camera, "publishing camera")
        await line_with(camera, "face 1 FAKE")
        await line_with(listener, "FAKE: face 1")
        camera.send_signal(signal.SIGINT)
        trouble = await ended(camera)
        assert camera.returncode == 0, trouble
        await until(lambda: not server.hub.streams())
        await line_with(listener, "the call has ended")
        trouble = await ended(listener)
        assert listener.returncode == 0, trouble
        refused = await start(CAMERA, server.url, "--camera", half_fake, STREAMGUARD_TOKEN=view)
        trouble = await ended(refused)
        assert "scope `publish`" in trouble


async def test_a_call_of_an_aiortc_program(detector: Path, half_fake: Path, tmp_path: Path) -> None:
    video = tmp_path / "call.mp4"
    process = await start(PLUGIN, half_fake, "--video", video, "--model", detector, "--seconds", 60)
    await line_with(process, "stream.up  320x240")
    await line_with(process, "fake.opened  face 1")
    process.send_signal(signal.SIGINT)
    trouble = await ended(process)
    assert process.returncode == 0, trouble
    with open_source(video) as source:
        assert len(list(source)) > 20
