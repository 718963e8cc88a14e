"""What systemd hears of the server."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamguard.cli.service_manager import ServiceManager
from tests.support.settings import sections, toml
from tests.support.training_data import ROOT, environment

LIMIT = 120.0


@contextmanager
def listening(path: str) -> Iterator[socket.socket]:
    """Systemd's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(path)
        end.settimeout(LIMIT)
        yield end


def heard(end: socket.socket) -> dict[str, str]:
    """The next message."""
    return dict(line.split("=", 1) for line in end.recv(4096).decode().splitlines())


@pytest.mark.parametrize("abstract", [False, True])
async def test_up_alive_and_ending(tmp_path: Path, abstract: bool) -> None:
    name = f"streamguard-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    told = {"NOTIFY_SOCKET": f"@{name}" if abstract else name, "WATCHDOG_USEC": "20000"}
    with listening(f"\0{name}" if abstract else name) as end:
        async with ServiceManager(told).running("open somewhere"):
            assert heard(end) == {"READY": "1", "STATUS": "open somewhere"}
            for _ in range(3):
                assert await asyncio.to_thread(heard, end) == {"WATCHDOG": "1"}
        left = heard(end)
        while left == {"WATCHDOG": "1"}:
            left = heard(end)
        assert left == {"STOPPING": "1"}


async def test_what_is_not_alive_says_nothing(tmp_path: Path) -> None:
    told = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "20000"}
    answers, asked = [True, False, False, True], asyncio.Event()

    def alive() -> bool:
        if not answers:
            asked.set()
            return False
        return answers.pop(0)

    with listening(told["NOTIFY_SOCKET"]) as end:
        async with ServiceManager(told).running("", alive), asyncio.timeout(LIMIT):
            await asked.wait()
        messages = [heard(end) for _ in range(4)]
    assert messages == [{"READY": "1", "STATUS": ""}, {"WATCHDOG": "1"}, {"WATCHDOG": "1"}, {"STOPPING": "1"}]


async def test_where_nobody_listens(tmp_path: Path) -> None:
    for address in ("", "nonsense", str(tmp_path / "gone")):
        manager = ServiceManager({"NOTIFY_SOCKET": address})
        assert manager.watchdog_seconds == 0
        with manager.reloading():
            async with manager.running(""):
                pass
    assert ServiceManager({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": "1"}).watchdog_seconds == 0
    assert ServiceManager({"WATCHDOG_USEC": "2000000", "WATCHDOG_PID": str(os.getpid())}).watchdog_seconds == 2
    assert ServiceManager({"WATCHDOG_USEC": "soon"}).watchdog_seconds == 0


async def test_a_manager_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    with listening(str(tmp_path / "notify")):
        manager = ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for _ in range(2000):
            manager.tell("WATCHDOG=1")


async def test_the_server_tells_of_itself(tmp_path: Path, detector: Path) -> None:
    config = tmp_path / "serve.toml"
    config.write_text(toml(sections(port=0, model=str(detector), engine="torch")))
    more = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    with listening(more["NOTIFY_SOCKET"]) as end:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "streamguard", "serve", "--config", str(config)),
            stderr=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            cwd=ROOT,
            env={**environment(), **more},
        )
        try:
            ready = await asyncio.to_thread(heard, end)
            assert ready["READY"] == "1"
            assert ready["STATUS"].startswith("open http://127.0.0.1:")
            told: list[dict[str, str]] = []

            async def until(word: str) -> dict[str, str]:
                while not (told and word in told[-1]):
                    told.append(await asyncio.to_thread(heard, end))
                return told[-1]

            await until("WATCHDOG")
            process.send_signal(signal.SIGHUP)
            assert int((await until("RELOADING"))["MONOTONIC_USEC"]) > 0
            await until("READY")
            process.send_signal(signal.SIGTERM)
            await until("STOPPING")
            async with asyncio.timeout(LIMIT):
                assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
