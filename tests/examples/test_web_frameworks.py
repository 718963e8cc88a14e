"""The applications in examples/web_frameworks, served by uvicorn."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support.training_data import ROOT, environment

FOLDER = ROOT / "examples" / "web_frameworks"


@contextmanager
def uvicorn(application: str, detector: Path, **more: str) -> Iterator[str]:
    """The URL of an application."""
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", application, "--port", "0", "--app-dir", str(FOLDER)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**environment(), "MODEL": str(detector), **more},
    )
    assert process.stderr is not None
    try:
        said = []
        for line in process.stderr:
            said.append(line)
            if found := re.search(r"running on (http://[\d.:]+)", line):
                yield found[1]
                break
        else:
            pytest.fail("".join(said))
        process.terminate()
        assert process.wait(60) in {0, -15}
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


@pytest.fixture
def upload(half_fake: Path) -> bytes:
    """A clip of which the second half is fake."""
    return half_fake.read_bytes()


async def test_fastapi(detector: Path, half_fake: Path, upload: bytes) -> None:
    cameras = json.dumps({"door": str(half_fake)})
    with uvicorn("fastapi_app:app", detector, CAMERAS=cameras) as url:
        async with aiohttp.ClientSession(url) as http:
            async with http.post("/judge", data=upload) as answer:
                judged = await answer.json()
                assert judged["finding"].startswith("FAKE")
                assert [face["face"] for face in judged["faces"]] == [1]
            async with http.post("/judge", data=b"no video") as answer:
                judged = await answer.json()
                assert judged["finding"] == "NOT_JUDGED"
                assert judged["fault"]
            async with http.get("/cameras/none/events") as answer:
                assert answer.status == 404
            async with http.get("/cameras/door/events") as answer:
                told = (await answer.read()).decode()
            assert re.findall(r"event: (\S+)", told)[:2] == ["stream.up", "fake.opened"]


async def test_django(detector: Path, upload: bytes) -> None:
    with uvicorn("django_app:application", detector) as url:
        async with aiohttp.ClientSession(url) as http:
            form = aiohttp.FormData()
            form.add_field("file", upload, filename="half.mp4")
            async with http.post("/judge", data=form) as answer:
                assert answer.status == 200, await answer.text()
                assert (await answer.json())["finding"].startswith("FAKE")
            async with http.post("/judge") as answer:
                assert answer.status == 400
