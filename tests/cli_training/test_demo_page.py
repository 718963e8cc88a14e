"""The end of `streamguard demo`: the page at a desktop, and no waiting for anybody elsewhere."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.server.peers import until
from tests.support.training_data import ROOT, environment
from tests.support.warm import warm_python

LIMIT = 120.0


@contextmanager
def demo(*more: object, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The demo at a terminal, and what it has said once it serves its page; ended by a kill at the latest."""
    parent, child = pty.openpty()
    known = {key: value for key, value in environment().items() if key not in {"CI", "DISPLAY", "WAYLAND_DISPLAY"}}
    process = subprocess.Popen(
        [*warm_python(), "-m", "streamguard", "demo", "--seconds", "6", "--engine", "torch", *map(str, more)],
        stdout=child,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=ROOT,
        env={**known, **variables},
    )
    os.close(child)
    limit = threading.Timer(LIMIT, process.kill)
    limit.start()
    said = b""
    try:
        while not re.search(rb"open http\S+\s", said):
            try:
                said += os.read(parent, 4096)
            except OSError:
                break  # the other side has ended
        yield process, said.decode()
    finally:
        limit.cancel()
        limit.join()
        process.kill()
        process.wait()
        os.close(parent)


def address(said: str) -> str:
    """The server's address among what the demo said."""
    found = re.search(r"open (http://127\.0\.0\.1:\d+)/#/stream/demo\s", said)
    assert found, said
    return found[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_page_plays_until_it_is_stopped(
    detector: Path, half_fake: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with demo("--page", "--model", detector, "--source", half_fake, "--out", tmp_path) as (process, said):
        assert "timeline.json" in said
        async with aiohttp.ClientSession(address(said)) as http:
            page = await http.get("/")
            assert page.content_type == "text/html"
            states: list[str] = []
            while {"REAL", "FAKE"} - set(states):
                stream = await (await http.get("/api/v1/streams/demo")).json()
                assert stream["source"].endswith(half_fake.name)
                states.append(stream["verdict"])
                assert process.poll() is None
        process.send_signal(number)
        assert process.wait(LIMIT) == 0


async def test_a_desktop_gets_the_page_opened(detector: Path, half_fake: Path, tmp_path: Path) -> None:
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.part && mv {opened}.part {opened}\n')
    browser.chmod(0o755)
    arguments = ("--model", detector, "--source", half_fake, "--out", tmp_path)
    with demo(*arguments, DISPLAY=":99", BROWSER=str(browser)) as (process, said):
        await until(opened.exists)
        assert opened.read_text() == f"{address(said)}/#/stream/demo"
        process.send_signal(signal.SIGINT)
        assert process.wait(LIMIT) == 0


@pytest.mark.parametrize(
    ("more", "variables"),
    [((), {}), ((), {"DISPLAY": ":99", "CI": "true"}), (("--no-page",), {"DISPLAY": ":99"})],
    ids=["no display", "CI", "--no-page"],
)
def test_elsewhere_it_ends_by_itself(
    detector: Path, half_fake: Path, tmp_path: Path, more: tuple[str, ...], variables: dict[str, str]
) -> None:
    arguments = (*more, "--model", detector, "--source", half_fake, "--out", tmp_path)
    with demo(*arguments, **variables) as (process, said):
        assert process.wait(LIMIT) == 0
        assert "timeline.json" in said
        assert "http" not in said
