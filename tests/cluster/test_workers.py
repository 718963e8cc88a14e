"""Workers as processes of their own, without Ray: killed, paused, drained; and a front door before them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamguard.alerts import Database, History
from streamguard.clock import time_kept_by, wall_clock
from streamguard.cluster.atlas import worker_state
from streamguard.cluster.front_door import FrontDoor, front_door
from streamguard.cluster.leases import StreamLease, WorkerPlace
from streamguard.cluster.member import SharedClock
from streamguard.cluster.roster import Roster
from streamguard.cluster.shared import shared_key, terms_of
from streamguard.cluster.store import LeaseStore, WorkerEntry
from streamguard.cluster.worker import work, worker_config
from streamguard.config import Config, read_config
from streamguard.config.mqtt import MqttSettings
from streamguard.errors import ConfigError, NameInUse
from streamguard.types import EventKind
from tests.support.settings import config_of, toml
from tests.support.training_data import ROOT, environment

START = 300.0
"""Seconds that a process gets to load its libraries on a crowded machine."""
BOUND = 15.0


class Stage:
    """A database, workers and their front door.

    Args:
        config: of the cluster.
        file: it is in.
        store: the leases.
        stack: ends what was begun.
    """

    def __init__(self, config: Config, file: Path, store: LeaseStore, stack: AsyncExitStack) -> None:
        self.config, self.store, self._file, self._stack = config, store, file, stack
        self.roster = Roster(store.database, shared_key(config))

    async def start(self, *nodes: str, **more: str) -> None:
        """Start workers, and wait until they are up; `version` where it is to be another one."""
        for node in nodes:
            settings = json.dumps({"config": str(self._file), "node": node, "domain": node, **more})
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.support.cluster_worker", settings),
                cwd=ROOT,
                env=environment(),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            self._stack.push_async_callback(_ended, process)
        await self.until(lambda workers, _: {each.card.node for each in workers if each.row.able} >= set(nodes), START)

    async def until(
        self, so: Callable[[list[WorkerEntry], dict[str, StreamLease]], bool], within: float = BOUND
    ) -> None:
        """Wait until the cluster is so."""
        async with asyncio.timeout(within):
            while True:
                workers, leases = await self.store.workers(), await self.store.leases()
                if so(workers, {each.stream: each for each in leases}):
                    return
                await asyncio.sleep(0.1)

    async def holder(self, stream: str) -> WorkerEntry:
        """The worker that holds a stream."""
        owner = (await self.store.leases([stream]))[0].owner
        return next(each for each in await self.store.workers() if each.row.id == owner)


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            async with asyncio.timeout(30):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@asynccontextmanager
async def staged(url: str, folder: Path, detector: Path, **more: Any) -> AsyncIterator[Stage]:
    """A cluster without workers yet."""
    (folder / "alerts").mkdir()
    settings = {
        "alerts": {"database": url, "folder": str(folder / "alerts"), "incident_gap_seconds": 600.0},
        "engine": {"model": str(detector), "engine": "torch", "threads": 1},
        "server": {"listen": "127.0.0.1:0", "admission": "off"},
        "checks": {"enabled": False},
        "cluster": {"lease_seconds": 4.0},
        **more,
    }
    file = folder / "cluster.toml"
    file.write_text(toml(settings))
    config = read_config(file)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(LeaseStore.open(url, terms_of(config.cluster)))
        yield Stage(config, file, store, stack)


@asynccontextmanager
async def door_of(stage: Stage) -> AsyncIterator[tuple[FrontDoor, aiohttp.ClientSession]]:
    """A front door of the cluster, and a client."""
    async with front_door(stage.config) as door, aiohttp.ClientSession(door.url) as http:
        yield door, http


def held(*streams: str) -> Callable[[list[WorkerEntry], dict[str, StreamLease]], bool]:
    """Whether somebody holds each of these streams."""
    return lambda _, leases: all(name in leases and leases[name].owner for name in streams)


async def judged(http: aiohttp.ClientSession, stream: str, within: float = 40.0) -> dict[str, Any]:
    """The stream's document once a frame of it was judged."""
    async with asyncio.timeout(within):
        while True:
            async with http.get(f"/api/v1/streams/{stream}") as answer:
                told: dict[str, Any] = await answer.json()
            if answer.status == 200 and told["last_verdict"] is not None and told["state"] == "up":
                return told
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_a_paused_worker_loses_its_stream_and_its_late_events_are_refused(
    shared_url: str, tmp_path: Path, detector: Path, half_fake: Path
) -> None:
    async with staged(shared_url, tmp_path, detector) as stage, door_of(stage) as (_, http):
        await stage.start("one", "other")
        body = {"name": "gate", "source": str(half_fake)}
        async with http.post("/api/v1/streams", json=body) as answer:
            assert answer.status == 201, await answer.text()
        async with http.post("/api/v1/streams", json=body) as answer:
            assert answer.status == 409
        await stage.until(held("gate"))
        await judged(http, "gate")
        first = await stage.holder("gate")
        async with await Database.open(shared_url) as database:
            history = History(database)
            async with asyncio.timeout(40):
                while True:
                    found, _ = await history.events(limit=50, kind=EventKind.FAKE_OPENED)
                    if found:
                        break
                    await asyncio.sleep(0.1)
            os.kill(first.card.pid, signal.SIGSTOP)
            before = (await stage.store.leases(["gate"]))[0].epoch
            await stage.until(lambda _, leases: (leases["gate"].owner or first.row.id) != first.row.id)
            second = await stage.holder("gate")
            await judged(http, "gate")
            os.kill(first.card.pid, signal.SIGCONT)
            refused = 0.0
            async with asyncio.timeout(20), aiohttp.ClientSession(first.card.url) as direct:
                # It finds out by its next heartbeat, closes the stream, and what it says of that comes too late.
                while not refused:
                    async with direct.get("/metrics") as metrics:
                        lines = (await metrics.text()).splitlines()
                    name = "streamguard_cluster_events_refused_total"
                    refused = float(next(line for line in lines if line.startswith(name)).split()[1])
                    await asyncio.sleep(0.1)
            lease = (await stage.store.leases(["gate"]))[0]
            assert (lease.owner, lease.epoch > before) == (second.row.id, True)
            found, _ = await history.events(limit=200, stream="gate")
            # One person, one incident, whoever held the stream.
            assert len({each.incident for each in found if each.incident}) == 1
        async with http.delete("/api/v1/streams/gate") as answer:
            assert answer.status == 204
        await stage.until(lambda _, leases: not leases)


@pytest.mark.slow
async def test_a_killed_worker_a_drained_one_and_the_front_door(
    shared_url: str, tmp_path: Path, detector: Path, real: Path
) -> None:
    streams = [{"name": name, "source": str(real)} for name in ("a", "b", "c")]
    async with staged(shared_url, tmp_path, detector, streams=streams) as stage, door_of(stage) as (_, http):
        await stage.roster.settle(stage.config.streams)
        async with http.get("/health/ready") as answer:
            assert answer.status == 503
        await stage.start("one", "other")
        await stage.until(held("a", "b", "c"))
        owners = {each.owner for each in await stage.store.leases()}
        assert len(owners) == 2
        async with http.get("/api/v1/streams") as answer:
            told = (await answer.json())["streams"]
        assert [each["name"] for each in told] == ["a", "b", "c"]
        async with http.get("/health/ready") as answer:
            assert answer.status == 200
        # Of the file: not to be changed over the API.
        async with http.delete("/api/v1/streams/a") as answer:
            assert answer.status == 409
        victim = await stage.holder("a")
        async with http.post(
            "/whep/a", data=b"v=0", headers={"Content-Type": "application/sdp"}, allow_redirects=False
        ) as answer:
            assert answer.status == 307
            assert answer.headers["Location"] == f"{victim.card.url}/whep/a"
        async with http.post("/whep/none", data=b"v=0", allow_redirects=False) as answer:
            assert answer.status == 404
        async with http.post("/whip/new", data=b"v=0", headers={"Origin": "http://x"}) as answer:
            # Passed on for a browser; the worker says what is wrong with it.
            assert answer.status == 415
        async with (
            aiohttp.ClientSession(victim.card.url) as direct,
            direct.post("/api/v1/streams", json=streams[0]) as answer,
        ):
            assert answer.status == 409
        os.kill(victim.card.pid, signal.SIGKILL)
        survivor = next(owner for owner in owners if owner != victim.row.id)
        await stage.until(lambda _, leases: {each.owner for each in leases.values()} == {survivor})
        for name in ("a", "b", "c"):
            await judged(http, name)
        await stage.start("third", version="99.0.0")
        await stage.store.order([survivor or ""], "drain")
        await stage.until(lambda _, leases: survivor not in {each.owner for each in leases.values()})
        await stage.until(held("a", "b", "c"))
        for name in ("a", "b", "c"):
            await judged(http, name)
        for path in (
            "/metrics",
            "/api/v1/cluster",
            "/api/v1/cluster/targets",
            "/api/v1/events",
            "/api/v1/incidents",
            "/",
        ):
            async with http.get(path) as answer:
                assert answer.status == 200, path
                # One of another version has taken over.
                assert path != "/metrics" or "streamguard_cluster_versions 2" in await answer.text()


async def test_a_node_without_the_detector_tells_why_and_gets_nothing(
    shared_url: str, tmp_path: Path, detector: Path
) -> None:
    streams = [{"name": "a", "source": "rtsp://cam/a"}]
    async with staged(shared_url, tmp_path, detector, streams=streams, engine={"model": "nonsense"}) as stage:
        await stage.roster.settle(stage.config.streams)
        stop = asyncio.Event()
        working = asyncio.create_task(work(stage.config, WorkerPlace("blind", "127.0.0.1", "d"), stop))
        try:
            await stage.until(
                lambda workers, _: any("no detector of that name" in e.card.detail for e in workers), 60.0
            )
            found = (await stage.store.workers())[0]
            assert (found.row.able, worker_state(found)) == (False, "unable")
            await asyncio.sleep(0)
            assert [each.owner for each in await stage.store.leases()] == [None]
        finally:
            stop.set()
            await working
        assert await stage.store.workers() == []


def test_a_clock_that_is_an_hour_off_does_no_harm() -> None:
    clock, now = SharedClock(), time.time()
    asked = time.monotonic()
    clock.read(now - 3600.0, asked, asked)
    with time_kept_by(clock):
        assert abs(wall_clock() - (now - 3600.0)) < 5.0
    assert abs(clock.skew - 3600.0) < 5.0
    # An answer that took long sets nothing anew.
    clock.read(now - 3600.0 + 1.0, asked, asked + 4.0)
    assert abs(clock() - (now - 3600.0)) < 5.0


def test_a_worker_listens_where_it_may() -> None:
    config = config_of(alerts={"database": "postgresql://u@h/d"})
    assert worker_config(config, WorkerPlace("n", "127.0.0.1", "d", 1)).server.listen == "127.0.0.1:0"
    with pytest.raises(ConfigError, match="needs a token"):
        worker_config(config, WorkerPlace("n", "192.0.2.1", "d"))


def test_each_worker_has_a_name_of_its_own_at_a_broker() -> None:
    config = config_of(
        alerts={"database": "postgresql://u@h/d"}, mqtt={"host": "broker.example", "name": "guard" + "d" * 59}
    )
    places = [WorkerPlace(f"{'n' * 60}.{number}.example", "127.0.0.1", "d", number) for number in (0, 1)]
    found = [worker_config(config, place).server.mqtt for place in places]
    names = {each.name for each in found if each is not None}
    assert len(names) == 2
    assert all(MqttSettings(host="h", name=name).name.startswith("guard") for name in names)
    assert worker_config(config_of(alerts={"database": "postgresql://u@h/d"}), places[0]).server.mqtt is None


async def test_streams_of_the_file_and_of_the_api_do_not_mix(shared_url: str, tmp_path: Path, detector: Path) -> None:
    streams = [{"name": "a", "source": "rtsp://bob:s3cret@cam/a"}, {"name": "b", "source": "rtsp://cam/b"}]
    async with staged(shared_url, tmp_path, detector, streams=streams) as stage:
        wanted = stage.config.streams
        await stage.roster.settle(wanted)
        await stage.roster.settle(wanted)
        found = await stage.roster.find()
        assert {name: (each.settings, each.revision) for name, each in found.items()} == {
            "a": (wanted[0], 0),
            "b": (wanted[1], 0),
        }
        changed = wanted[0].model_copy(update={"priority": 3})
        await stage.roster.settle([changed])
        assert {each.stream: (each.priority, each.ending) for each in await stage.store.leases()} == {"a": (3, False)}
        with pytest.raises(NameInUse):
            await stage.roster.add(wanted[0], "api")
        await stage.roster.add(wanted[1], "api")
        with pytest.raises(NameInUse, match="over the API"):
            await stage.roster.settle(wanted)
        async with stage.store.database.read() as connection:
            rows = str((await connection.exec_driver_sql("SELECT * FROM stream_leases")).all())
        assert "s3cret" not in rows
