"""Killed while incidents open and close: none is lost, none doubled, and the history is what the webhooks told."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from streamguard.alerts import Database, History, Rule, Sealer, Search, Subscriptions, key_of
from streamguard.types import Closing
from tests.alerts.tools import LOOPBACK
from tests.support.incident_worker import TRACKS
from tests.support.receiver import Receiver, receiver
from tests.support.training_data import ROOT, environment

UPDATED = "fake.updated"


@dataclass
class Life:
    """What a run brought: `kept`: ids of the events that the workers said were committed, in order."""

    kept: list[str] = field(default_factory=list)
    kills: int = 0
    chance: random.Random = field(default_factory=random.Random)

    async def kill(self, process: int, within: float) -> None:
        """Kill it within so many seconds."""
        await asyncio.sleep(self.chance.uniform(0.0, within))
        os.kill(process, signal.SIGKILL)
        self.kills += 1


@asynccontextmanager
async def worker() -> AsyncIterator[asyncio.subprocess.Process]:
    """What lives are asked of."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.incident_worker"),
        cwd=ROOT,
        env=environment(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        await process.wait()


async def lived(asked: asyncio.subprocess.Process, settings: dict[str, object], life: Life, kill_after: int) -> None:
    """Live once, and be killed a moment after so many lines of events; -1: while it starts; 0: never."""
    assert asked.stdin is not None
    assert asked.stdout is not None
    asked.stdin.write(json.dumps(settings).encode() + b"\n")
    lines = 0
    async with asyncio.timeout(240):
        process = json.loads(await asked.stdout.readline())["process"]
        if kill_after < 0:
            await life.kill(process, 0.3)
        async for line in asked.stdout:
            told = json.loads(line)
            if isinstance(told, dict):
                assert told["ended"] == (-signal.SIGKILL if kill_after else 0)
                return
            life.kept += told
            lines += 1
            if lines == kill_after:
                await life.kill(process, 0.05)


async def run_killed(url: str, folder: Path, kills: int) -> None:
    """Kill workers at so many moments, let the last one finish, and compare."""
    key, life = folder / "alerts.key", Life(chance=random.Random(kills))
    async with receiver() as hears:
        async with await Database.open(url) as database:
            created = await Subscriptions(database, Sealer(key_of(key)), LOOPBACK).create(
                # Every event is told.
                hears.url(),
                rule=Rule(flap_seconds=0.0),
            )
        hears.secrets["/"] = created.secret
        hears.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        settings = {"url": url, "key": str(key), "ca": str(folder / "ca.pem"), "steps": 0, "pause": 0.01}
        async with worker() as asked:
            for _ in range(kills):
                await lived(asked, settings, life, life.chance.choice([-1, 1, 2, 4, 8, 12]))
            await lived(asked, {**settings, "steps": 20}, life, 0)
        assert life.kills == kills
        async with await Database.open(url) as database:
            await compare(History(database), hears, life)


async def compare(history: History, hears: Receiver, life: Life) -> None:
    """The history holds all that was committed, once; and the webhooks told the very same."""
    told: dict[str, list[tuple[str, str, str | None]]] = {}
    seen: set[str] = set()
    for one in hears.accepted():
        assert one.document is not None
        data = one.document["data"]
        if data["event"] not in seen:
            seen.add(data["event"])
            told.setdefault(data["incident"], []).append((data["event"], one.document["type"], data["cause"]))
    found = [each async for each in history.every(Search())]
    assert {each.id for each in found} == told.keys()
    kept = []
    for incident in found:
        events = await history.events_of(incident.id)
        both = [(each.id, each.kind.value, each.cause and each.cause.value) for each in events]
        # Updates are told once a minute.
        assert [one for one in both if one[1] != UPDATED] == [one for one in told[incident.id] if one[1] != UPDATED]
        assert {one[0] for one in told[incident.id]} <= {one[0] for one in both}
        kept += [each.id for each in events]
        states = [each.kind.value for each in events if each.kind.value != UPDATED]
        assert states == ["fake.opened", "fake.closed"] * incident.openings, "opened twice, or closed twice"
        assert incident.closed is not None
        assert incident.cause in set(Closing) - {Closing.SUPERSEDED}
    # Three faces, each of them one person to us, killed or not.
    assert len(found) == len(TRACKS)
    print(f"\n{len(found)} incidents, {len(kept)} events, {life.kills} kills")
    assert len(kept) == len(set(kept))
    streams, _ = await history.events(limit=10_000)
    assert set(life.kept) <= {each.id for each in streams}, "an event that was committed is lost"


async def test_a_few_kills(database_url: str, tmp_path: Path) -> None:
    await run_killed(database_url, tmp_path, kills=3)


@pytest.mark.long
async def test_fifty_kills(database_url: str, tmp_path: Path) -> None:
    await run_killed(database_url, tmp_path, kills=50)
