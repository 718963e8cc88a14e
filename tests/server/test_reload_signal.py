"""`streamguard serve --config` as a process: SIGHUP reads the file again, and a stream that stays loses nothing."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.rtsp_server import RtspServer
from tests.support.settings import sections, toml
from tests.support.training_data import ROOT, environment
from tests.support.warm import warm_python

LIMIT = 120.0


class Process:
    """A running server: its log, line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def said(self, part: str) -> str:
        """The next line of the log with that in it."""
        assert self.process.stderr is not None
        async with asyncio.timeout(LIMIT):
            async for line in self.process.stderr:
                self.lines.append(line.decode())
                if part in self.lines[-1]:
                    return self.lines[-1]
        raise AssertionError("".join(self.lines))

    async def reloaded(self) -> dict[str, Any]:
        """What the log tells of a reload that is asked for now."""
        self.process.send_signal(signal.SIGHUP)
        told: dict[str, Any] = json.loads(await self.said('"event": "configuration '))
        return told


@asynccontextmanager
async def served(config: Path) -> AsyncIterator[Process]:
    """The server with that file; it ends by SIGTERM, with 0."""
    process = await asyncio.create_subprocess_exec(
        *(*warm_python(), "-m", "streamguard", "serve", "--config", str(config), "--port", "0"),
        stderr=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        cwd=ROOT,
        env=environment(),
        limit=1 << 20,
    )
    try:
        yield Process(process)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        async with asyncio.timeout(LIMIT):
            rest = (await process.stderr.read()).decode()
            assert await process.wait() == 0, rest
        assert "Traceback" not in rest
        assert "exception" not in rest
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class Follower:
    """Reads the verdicts of a stream: (epoch, frame) of each."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.seen: list[tuple[int, int]] = []

    async def verdicts(self, count: int) -> list[tuple[int, int]]:
        """The next ones."""
        before, name = len(self.seen), ""
        async with asyncio.timeout(LIMIT):
            while len(self.seen) < before + count:
                line = (await self._response.content.readline()).decode().strip()
                assert line or not self._response.content.at_eof()
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: ") and name == "verdict":
                    message = json.loads(line.removeprefix("data: "))
                    self.seen.append((message["epoch"], message["frame"]))
        return self.seen[before:]


async def test_sighup(detector: Path, half_fake: Path, real: Path, tmp_path: Path) -> None:
    with RtspServer(half_fake, loop=True) as camera:
        stays = {"name": "camera", "source": camera.url}
        settings: dict[str, Any] = {"model": str(detector), "engine": "torch", "streams": [stays]}
        config = tmp_path / "streamguard.toml"
        config.write_text(toml(sections(**settings)))
        async with served(config) as server:
            url = (await server.said("open http")).split("open ")[1].strip()
            async with aiohttp.ClientSession(url) as http, http.get("/api/v1/streams/camera/events") as events:
                follower = Follower(events)
                await follower.verdicts(3)
                since = await field(http, "camera", "since")

                settings["streams"] = [{"name": "second", "source": str(real)}, stays]
                config.write_text(toml(sections(**settings)))
                told = await server.reloaded()
                assert told["event"] == "configuration reloaded"
                assert told["streams_added"] == ["second"]
                assert not {"streams_changed", "streams_removed", "needs_restart"} & told.keys()
                async with http.get("/api/v1/streams/second/events") as added:
                    assert (await Follower(added).verdicts(1))[0][0] == 0
                await follower.verdicts(5)

                config.write_text(toml(sections(**settings)) + "\n[[streams]\n")
                told = await server.reloaded()
                assert told["event"] == "configuration not reloaded"
                assert "it is no TOML" in told["problems"][0]
                assert f"{config}:" in told["problems"][0]
                config.write_text(toml(sections(**{**settings, "streams": [stays, stays]}, prot=1)))
                told = await server.reloaded()
                assert len(told["problems"]) == 2
                answer = await http.post("/api/v1/config/reload")
                assert answer.status == 422
                await server.said("configuration not reloaded")
                assert "2 streams have the same name" in (await answer.json())["detail"]
                await follower.verdicts(5)

                config.write_text(toml(sections(**{**settings, "streams": [stays]}, max_sessions=5)))
                told = await server.reloaded()
                assert (told["streams_removed"], told["needs_restart"]) == (["second"], ["server.max_sessions"])
                await follower.verdicts(3)
                assert await field(http, "camera", "since") == since
    # One connection of the stream all the time, whose frames only go on.
    assert {epoch for epoch, _ in follower.seen} == {0}
    frames = [frame for _, frame in follower.seen]
    assert frames == sorted(set(frames))


async def field(http: aiohttp.ClientSession, stream: str, name: str) -> Any:
    """One field of a stream's document."""
    return (await (await http.get(f"/api/v1/streams/{stream}")).json())[name]
