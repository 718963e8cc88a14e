"""Workers killed and paused by lot while incidents flow: what was told is stored, and what is stored is delivered."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from streamguard.alerts import (
    Alerts,
    Database,
    Deliveries,
    DeliveryStatus,
    History,
    Rule,
    Sealer,
    Search,
    Subscriptions,
    key_of,
)
from streamguard.cluster.roster import Roster
from streamguard.config import StreamSettings
from tests.alerts.tools import LOOPBACK
from tests.support.receiver import Receiver, receiver
from tests.support.training_data import ROOT, environment

SEATS = ("one", "two", "three")
STREAMS = ("a", "b", "c", "d", "e", "f")
UPDATED = "fake.updated"


class Lives:
    """One seat's lives, one after the other.

    Attributes:
        process: of the present one; 0 between two.
        kept: ids of events that were committed, as all of them said.
    """

    def __init__(self, settings: dict[str, object]) -> None:
        self._settings = settings
        self.process = 0
        self.kept: list[str] = []

    async def run(self, asked: asyncio.subprocess.Process) -> None:
        """Live again after each end."""
        assert asked.stdin is not None
        assert asked.stdout is not None
        while True:
            asked.stdin.write(json.dumps(self._settings).encode() + b"\n")
            self.process = json.loads(await asked.stdout.readline())["process"]
            async for line in asked.stdout:
                told = json.loads(line)
                if isinstance(told, dict):
                    break
                self.kept += told
            self.process = 0

    def kill(self, number: signal.Signals) -> bool:
        """Send the present life a signal; whether there is one."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process, number)
                return True
        return False


@asynccontextmanager
async def living(settings: dict[str, object]) -> AsyncIterator[list[Lives]]:
    """A seat each for `SEATS`."""
    async with AsyncExitStack() as stack:
        every, tasks = [], []
        for seat in SEATS:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.support.cluster_story"),
                cwd=ROOT,
                env=environment(),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
            )
            lives = Lives({**settings, "seat": seat})
            every.append(lives)
            tasks.append(asyncio.create_task(lives.run(process), name=seat))
            stack.push_async_callback(process.wait)
            stack.callback(process.kill)
        try:
            yield every
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for lives in every:
                lives.kill(signal.SIGKILL)


async def run_killed(url: str, folder: Path, *, faults: int, incidents: int) -> None:
    """Let so many faults happen while at least so many incidents open, then compare."""
    key, chance = folder / "alerts.key", random.Random(faults)
    async with receiver() as hears, await Database.open(url) as database:
        sealer = Sealer(key_of(key))
        rule = Rule(flap_seconds=0.0)
        created = await Subscriptions(database, sealer, LOOPBACK).create(hears.url(), rule=rule)
        hears.secrets["/"] = created.secret
        hears.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        roster, history = Roster(database, sealer), History(database)
        for name in STREAMS:
            await roster.add(StreamSettings.model_validate({"name": name, "source": f"rtsp://camera/{name}"}), "api")
        settings: dict[str, object] = {"url": url, "key": str(key), "ca": str(folder / "ca.pem"), "pause": 0.05}
        done = Counter[str]()
        async with living(settings) as every, asyncio.timeout(1500):
            while done.total() < faults or await opened(history) < incidents:
                before = await opened(history)
                while await opened(history) < before + 5:  # noqa: ASYNC110 - only the database knows
                    await asyncio.sleep(0.1)
                if done.total() >= faults:
                    continue
                victim = chance.choice(every)
                if chance.random() < 0.3 and victim.kill(signal.SIGSTOP):
                    process = victim.process
                    # Longer than its leases hold.
                    await asyncio.sleep(2.0)
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(process, signal.SIGCONT)
                    done["paused"] += 1
                elif victim.kill(signal.SIGKILL):
                    done["killed"] += 1
            kept = [id for lives in every for id in lives.kept]
            for name in STREAMS:
                await roster.remove(name)
            while await roster_left(database):  # noqa: ASYNC110 - only the database knows
                await asyncio.sleep(0.1)
        await finish(url, key, folder, hears)
        await compare(history, hears, kept)
        print(f"\n{await opened(history)} incidents, {dict(done)}")


async def opened(history: History) -> int:
    """Incidents until now."""
    return len([each async for each in history.every(Search())])


async def roster_left(database: Database) -> int:
    """Streams that somebody still holds."""
    async with database.read() as connection:
        return int((await connection.exec_driver_sql("SELECT count(*) FROM stream_leases")).scalar() or 0)


async def finish(url: str, key: Path, folder: Path, hears: Receiver) -> None:
    """Deliver what the workers left, and close what a killed one left open."""
    async with Alerts.open(url, key, targets=LOOPBACK, tls=hears.trust()) as alerts:
        await alerts.outbox.close_stale(float("inf"))
        alerts.deliverer.wake()
        async with await Database.open(url) as database, asyncio.timeout(180):
            log = Deliveries(database)
            while True:
                if not await log.list(status=DeliveryStatus.PENDING, limit=1):
                    return
                await asyncio.sleep(0.2)


async def compare(history: History, hears: Receiver, kept: list[str]) -> None:
    """Told = stored = delivered."""
    told = {one.document["data"]["event"] for one in hears.accepted() if one.document is not None}
    stored: list[str] = []
    async for incident in history.every(Search()):
        events = await history.events_of(incident.id)
        stored += [each.id for each in events]
        states = [each.kind.value for each in events if each.kind.value != UPDATED]
        assert states == ["fake.opened", "fake.closed"] * incident.openings, "opened twice, or closed twice"
        assert {each.id for each in events if each.kind.value != UPDATED} <= told, "an alert is lost"
    everything, _ = await history.events(limit=100_000)
    ids = {each.id for each in everything}
    assert len(stored) == len(set(stored))
    assert set(kept) <= ids, "an event that was committed is lost"
    assert told <= ids, "something was told that is not stored"


async def test_a_few_faults(shared_url: str, tmp_path: Path) -> None:
    await run_killed(shared_url, tmp_path, faults=4, incidents=30)


@pytest.mark.long
async def test_fifty_faults_while_five_hundred_incidents_flow(shared_url: str, tmp_path: Path) -> None:
    await run_killed(shared_url, tmp_path, faults=50, incidents=500)
