"""Killed at random moments while events flow: every event arrives, in order per face, again only with its old id."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from streamguard.alerts import Database, Sealer, Subscriptions, key_of
from tests.alerts.tools import LOOPBACK
from tests.support.alert_worker import KINDS
from tests.support.receiver import Receiver, receiver
from tests.support.training_data import ROOT, environment

TOLD = [str(kind) for kind in KINDS]


@dataclass
class Figures:
    """What a run brought; `linked`: openings that had their links in time, the others went without."""

    kills: int
    events: int
    arrived: int
    duplicates: int
    linked: int
    in_order: int
    faces: int


async def run_killed(url: str, folder: Path, *, faces: int, kills: int, pause: float, life: float) -> Figures:
    """Run the worker, kill it so often after up to `life` seconds each time, and let the last one finish."""
    key = folder / "alerts.key"
    async with receiver() as receiving:
        async with await Database.open(url) as database:
            subscriptions = Subscriptions(database, Sealer(key_of(key)), LOOPBACK)
            created = await subscriptions.create(receiving.url())
        receiving.secrets["/"] = created.secret
        receiving.ca.cert_pem.write_to_path(str(folder / "ca.pem"))
        settings = {"url": url, "key": str(key), "ca": str(folder / "ca.pem"), "faces": faces, "pause": pause}
        chance = random.Random(kills)
        for _ in range(kills):
            before = len(receiving.requests)
            async with _worker(settings) as worker:
                # Half of the lives are cut from their first delivery on, the others anywhere, also while starting.
                if chance.random() < 0.5:
                    with contextlib.suppress(TimeoutError):
                        await receiving.until(partial(_more_than, receiving, before), 20.0)
                    await asyncio.sleep(chance.uniform(0.0, life / 4))
                else:
                    await asyncio.sleep(chance.uniform(0.0, life))
                worker.send_signal(signal.SIGKILL)
                assert await worker.wait() == -signal.SIGKILL
        async with _worker(settings) as worker:
            async with asyncio.timeout(240):
                assert await worker.wait() == 0
        return _figures(receiving, kills, faces)


def _more_than(receiving: Receiver, before: int) -> bool:
    return len(receiving.requests) > before


@contextlib.asynccontextmanager
async def _worker(settings: dict[str, object]) -> AsyncIterator[asyncio.subprocess.Process]:
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.alert_worker",
        json.dumps(settings),
        cwd=ROOT,
        env=environment(),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield worker
    finally:
        if worker.returncode is None:
            worker.kill()
            await worker.wait()


def _figures(receiving: Receiver, kills: int, faces: int) -> Figures:
    assert all(one.document is not None for one in receiving.requests), "a signature did not verify"
    ids = receiving.ids()
    bodies = {(one.webhook_id, one.body) for one in receiving.accepted()}
    assert len(bodies) == len(ids), "a duplicate differs from what it repeats"
    events = {one.document["data"]["event"] for one in receiving.accepted()}
    assert len(events) == len(ids), "one event came under two ids"
    told = receiving.faces()
    linked = {one.webhook_id for one in receiving.accepted() if one.document["data"]["evidence"]}
    return Figures(
        kills=kills,
        events=len(KINDS) * faces,
        arrived=len(ids),
        duplicates=sum(ids.values()) - len(ids),
        linked=len(linked),
        in_order=sum(kinds == TOLD for kinds in told.values()),
        faces=len(told),
    )


def _check(figures: Figures) -> None:
    print(f"\n{figures}")
    assert figures.arrived == figures.events
    assert 0 < figures.linked <= figures.faces
    assert figures.in_order == figures.faces == figures.events // len(KINDS)


async def test_a_few_kills(database_url: str, tmp_path: Path) -> None:
    _check(await run_killed(database_url, tmp_path, faces=10, kills=3, pause=0.02, life=2.0))


@pytest.mark.long
async def test_fifty_kills_while_a_thousand_events_flow(database_url: str, tmp_path: Path) -> None:
    _check(await run_killed(database_url, tmp_path, faces=250, kills=50, pause=0.05, life=2.5))
