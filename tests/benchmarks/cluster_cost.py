"""What it costs to be in a cluster: a worker beside a plain server, with the same streams at the same time.

    python -m tests.benchmarks.cluster_cost --streams 3 --seconds 60

Both are processes of their own with the same settings, fed by one RTSP server; the worker has its PostgreSQL, the
server its embedded database. Ray carries nothing of a worker's work, and is not started.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import typer

from streamguard.cluster.roster import Roster
from streamguard.cluster.shared import shared_key, terms_of
from streamguard.cluster.store import LeaseStore
from streamguard.config import read_config
from streamguard.training.portrait_clip import write_portrait_clip
from tests.support import postgres
from tests.support.command import run_command
from tests.support.hosts import refused_port
from tests.support.rtsp_server import RtspServer
from tests.support.settings import toml
from tests.support.training_data import ROOT, environment

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")
_PATIENCE = 180.0
_SETTLE = 15.0


@dataclass(frozen=True, slots=True)
class Spent:
    """What a process has taken until now: CPU seconds, judged frames, megabytes."""

    cpu: float
    judged: int
    memory: float


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of the two, while it runs."""

    process: int
    url: str

    async def spent(self, http: aiohttp.ClientSession) -> Spent:
        """Look at it."""
        cpu, memory = self._taken()
        async with http.get(f"{self.url}/api/v1/streams") as answer:
            streams = (await answer.json())["streams"]
        judged = sum(each["totals"]["judged"] for each in streams if each["state"] == "up")
        return Spent(cpu, judged, memory)

    def _taken(self) -> tuple[float, float]:
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{self.process}/statm").read_text().split()[1])
        return (int(fields[11]) + int(fields[12])) / _TICK, pages * _PAGE / 1e6

    async def judging(self, http: aiohttp.ClientSession, streams: int) -> None:
        """Wait until all streams are judged."""
        async with asyncio.timeout(_PATIENCE):
            while True:
                try:
                    async with http.get(f"{self.url}/api/v1/streams") as answer:
                        found = (await answer.json())["streams"]
                    if len(found) == streams and all(each["totals"]["judged"] for each in found):
                        return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.5)


@asynccontextmanager
async def _process(*line: str) -> AsyncIterator[int]:
    out = asyncio.subprocess.DEVNULL
    # Helper threads of two libraries that meet on two cores would measure each other.
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *line), cwd=ROOT, env={**environment(), "OMP_NUM_THREADS": "1"}, stdout=out, stderr=out
    )
    try:
        yield process.pid
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def plain(folder: Path, settings: dict[str, Any], streams: list[dict[str, Any]]) -> AsyncIterator[Contestant]:
    """The server of one machine."""
    port, file = refused_port(), folder / "plain.toml"
    (folder / "plain").mkdir()
    own = {"server": {"listen": f"127.0.0.1:{port}", "admission": "off"}, "alerts": {"folder": str(folder / "plain")}}
    file.write_text(toml({**settings, **own, "streams": streams}))
    async with _process("streamguard", "serve", "--config", str(file)) as process:
        yield Contestant(process, f"http://127.0.0.1:{port}")


@asynccontextmanager
async def worker(folder: Path, settings: dict[str, Any], streams: list[dict[str, Any]]) -> AsyncIterator[Contestant]:
    """The only worker of a cluster."""
    file = folder / "cluster.toml"
    (folder / "cluster").mkdir()
    with postgres.server(postgres.binaries() or Path()) as url:
        alerts = {"folder": str(folder / "cluster"), "database": url}
        own = {"server": {"listen": "127.0.0.1:0", "admission": "off"}, "alerts": alerts}
        file.write_text(toml({**settings, **own, "streams": streams}))
        config = read_config(file)
        place = json.dumps({"config": str(file), "node": "one", "domain": "one"})
        async with LeaseStore.open(url, terms_of(config.cluster)) as store:
            await Roster(store.database, await asyncio.to_thread(shared_key, config)).settle(config.streams)
            async with _process("tests.support.cluster_worker", place) as process:
                yield Contestant(process, await _address(store))


async def _address(store: LeaseStore) -> str:
    async with asyncio.timeout(_PATIENCE):
        while True:
            if able := [each.card.url for each in await store.workers() if each.row.able]:
                return able[0]
            await asyncio.sleep(0.5)


async def compare(count: int, seconds: float, model: str) -> None:
    """Run both, and print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_portrait_clip(
            folder / "clip.mp4", seconds=8.0, fake_from=None, rate=25, width=1280, height=720, tell=lambda *_: None
        )
        async with AsyncExitStack() as stack:
            camera = stack.enter_context(RtspServer(folder / "clip.mp4", transport="tcp"))
            sampling = {"judged_per_second": 5}
            streams = [{"name": f"s{n}", "source": camera.url, "sampling": sampling} for n in range(count)]
            settings: dict[str, Any] = {"engine": {"model": model, "threads": 1}, "checks": {"enabled": False}}
            http = await stack.enter_async_context(aiohttp.ClientSession())
            both = {
                "server": await stack.enter_async_context(plain(folder, settings, streams)),
                "worker": await stack.enter_async_context(worker(folder, settings, streams)),
            }
            await asyncio.gather(*(each.judging(http, count) for each in both.values()))
            await asyncio.sleep(_SETTLE)
            before, began = {who: await each.spent(http) for who, each in both.items()}, time.monotonic()
            await asyncio.sleep(seconds)
            after, length = {who: await each.spent(http) for who, each in both.items()}, time.monotonic() - began
    costs = {}
    for who, now in after.items():
        cpu, judged = now.cpu - before[who].cpu, now.judged - before[who].judged
        costs[who] = cpu / max(1, judged)
        print(
            f"{who}: {cpu / length:.3f} processors, {judged / length:.2f} judged/s, "
            f"{1e3 * costs[who]:.1f} ms of CPU a judged picture, {now.memory:.0f} MB"
        )
    print(f"worker beside server: {costs['worker'] / costs['server']:.3f}x the CPU a judged picture")


def main(
    streams: Annotated[int, typer.Option(min=1, help="Of each of the two.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="That are measured.")] = 60.0,
    model: Annotated[str, typer.Option(help="Detector.")] = "unet_lite0",
) -> None:
    """Measure a worker beside a plain server."""
    asyncio.run(compare(streams, seconds, model))


if __name__ == "__main__":
    run_command(main)
