"""Leases in a real PostgreSQL, and the fence of the outbox."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from ulid import ULID

from streamguard.alerts import Alerts, Database, Fence, Outbox, Sample
from streamguard.alerts.tables import events, stream_leases
from streamguard.clock import time_kept_by, wall_clock
from streamguard.cluster.leases import StreamLease, WorkerRow
from streamguard.cluster.store import BeatAnswer, LeaseStore, WorkerCard
from streamguard.errors import ConfigError, NameInUse, OutboxError
from streamguard.types import Event, EventKind
from tests.cluster.conftest import QUICK

CARD = WorkerCard("node", "http://127.0.0.1:1", "0.1.0")


async def joined(store: LeaseStore, name: str) -> WorkerRow:
    """A worker that has entered."""
    row = WorkerRow(name, f"{name}/0", name, 0, 0.0, 10.0, 10)
    return replace(row, life=await store.join(row, CARD))


async def planned(store: LeaseStore, until: Callable[[list[StreamLease]], bool], *alive: WorkerRow) -> None:
    """Let plans be made, while these workers live, until the leases are so."""
    async with asyncio.timeout(20):
        while not until(await store.leases()):
            # Where another transaction stands in the way, one tries again.
            with contextlib.suppress(OutboxError):
                for each in alive:
                    await store.beat(each, CARD, {})
                await store.plan()
            await asyncio.sleep(0.02)


async def put(store: LeaseStore, *streams: str) -> None:
    """Streams that are wanted."""
    rows = [
        {
            "stream": name, "priority": 1, "published": False, "ending": False, "target": None, "owner": None,
            "epoch": 0, "changed": 0.0, "sealed": None, "origin": "api", "revision": 0, "created": 0.0,
        }
        for name in streams
    ]  # fmt: skip
    async with store.database.write() as connection:
        await connection.execute(stream_leases.insert(), rows)


def opened(stream: str, **more: object) -> Event:
    """A face is held for fake."""
    event = Event(str(ULID()), EventKind.FAKE_OPENED, stream, 0, datetime.now(UTC), 1, 1.0, 0.9, 0.8, incident="one")
    return replace(event, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("url", [None, "sqlite:///alerts.db"])
async def test_sqlite_is_refused_with_the_reason(url: str | None) -> None:
    with pytest.raises(ConfigError, match=r"a cluster needs PostgreSQL.*one machine"):
        async with LeaseStore.open(url, QUICK):
            pass


async def test_streams_are_taken_and_pass_on_when_a_worker_is_silent(store: LeaseStore) -> None:
    one, other = await joined(store, "one"), await joined(store, "other")
    await put(store, "a", "b", "c", "d")
    await planned(store, lambda leases: all(each.owner for each in leases), one, other)
    first = await store.leases()
    assert {each.owner for each in first} == {"one", "other"}
    epochs = {each.stream: each.epoch for each in first}
    await planned(store, lambda leases: {each.owner for each in leases} == {"one"}, one)
    for each in await store.leases():
        moved = each.owner != next(lease.owner for lease in first if lease.stream == each.stream)
        assert (each.epoch > epochs[each.stream]) is moved
    told = {entry.row.id: entry.row.lost for entry in await store.workers()}
    assert told == {"one": False, "other": True}
    # It wakes up: it is in again, and holds nothing.
    answer = await store.beat(other, CARD, {})
    assert answer.leases == ()
    assert not answer.replaced


async def test_a_later_life_in_the_same_seat_takes_over_at_once(store: LeaseStore) -> None:
    one = await joined(store, "one")
    await put(store, "a")
    await planned(store, lambda leases: leases[0].owner == "one", one)
    again = replace(one, id="again")
    again = replace(again, life=await store.join(again, CARD))
    began = asyncio.get_running_loop().time()
    await planned(store, lambda leases: leases[0].owner == "again", again)
    assert asyncio.get_running_loop().time() - began < QUICK.lost
    assert (await store.beat(one, CARD, {})).replaced


async def test_what_is_given_up_is_free_and_what_was_removed_is_forgotten(store: LeaseStore) -> None:
    one = await joined(store, "one")
    await put(store, "a", "b")
    await planned(store, lambda leases: all(each.owner for each in leases), one)
    async with store.database.write() as connection:
        await connection.execute(
            stream_leases.update().where(stream_leases.c.stream == "a").values(ending=True, target=None)
        )
    held = {each.stream: each.epoch for each in (await store.beat(one, CARD, {})).leases}
    # Of an epoch before: it counts for nothing.
    answer: BeatAnswer = await store.beat(one, CARD, {"a": held["a"] - 1, "b": held["b"] - 1})
    assert {each.stream: each.epoch for each in answer.leases} == held
    await store.beat(one, CARD, held)
    assert [(each.stream, each.owner, each.target) for each in await store.leases()] == [("b", None, "one")]
    await store.beat(one, CARD, {})
    assert (await store.leases())[0].epoch > held["b"]


async def test_a_name_is_published_once(store: LeaseStore) -> None:
    one = await joined(store, "one")
    await joined(store, "other")
    lease = await store.claim("one", "studio")
    with pytest.raises(NameInUse):
        await store.claim("other", "studio")
    answer = await store.beat(one, CARD, {"studio": lease.epoch})
    assert answer.leases == ()
    assert await store.leases() == []


async def test_late_events_and_scores_are_refused_in_the_very_transaction(store: LeaseStore) -> None:
    outbox = Outbox(store.database)
    lease = await store.claim("one", "gate")
    mine = Fence("gate", "one", lease.epoch)
    kept, late = opened("gate"), opened("gate", kind=EventKind.FAKE_UPDATED)
    fences = {kept.id: mine, late.id: replace(mine, epoch=lease.epoch - 1)}
    recorded = await outbox.record([late, kept], fences=fences)
    assert recorded.events == 1
    assert recorded.refused == {late.id}
    assert await outbox.event(late.id) is None
    for wrong in (replace(mine, owner="other"), replace(mine, stream="door")):
        event = opened("gate")
        assert (await outbox.record([event], fences={event.id: wrong})).refused == {event.id}
    async with Alerts.open(None, None) as alone:
        # Where there is no cluster there is no fence.
        await alone.record(opened("gate"))
        assert alone.refused == 0


async def test_a_service_drops_what_was_refused_and_goes_on(shared_url: str) -> None:
    async with LeaseStore.open(shared_url, QUICK) as store, Alerts.open(shared_url, None) as alerts:
        lease = await store.claim("one", "gate")
        old, new = Fence("gate", "one", lease.epoch - 1), Fence("gate", "one", lease.epoch)
        first, second = opened("gate"), opened("gate")
        alerts.submit(first, 0.0, old)
        alerts.submit(second, 5.0, new)
        await alerts.settle()
        assert alerts.refused == 1
        assert await alerts.history.event(first.id) is None
        assert await alerts.history.event(second.id) is not None
        sample = Sample(second.at.timestamp(), 0, 1.0, 0.9, 1, 1)
        await alerts.history.save_samples({"one": (sample,)}, {"one": old})
        assert await alerts.history.samples("one") == ()
        await alerts.history.save_samples({"one": (sample,)}, {"one": new})
        assert len(await alerts.history.samples("one")) == 1


async def test_a_worker_that_stands_still_in_a_transaction_holds_up_nobody(store: LeaseStore) -> None:
    one, other = await joined(store, "one"), await joined(store, "other")
    await put(store, "a")
    await planned(store, lambda leases: leases[0].owner == "one", one)
    fence = Fence("a", "one", (await store.leases())[0].epoch)
    event = opened("a")

    async def slow() -> None:
        # What a process does that is paused between the fence and the commit.
        async with store.database.write() as connection:
            held = sa.select(stream_leases.c.stream).where(stream_leases.c.stream == "a").with_for_update(read=True)
            await connection.execute(held)
            await planned(store, lambda leases: leases[0].owner == "other", other)
            values = {"id": event.id, "at": 0.0, "stream": "a", "kind": "fake.opened", "document": "{}"}
            await connection.execute(events.insert().values(values))

    with pytest.raises(OutboxError):
        await slow()
    assert await Outbox(store.database).event(event.id) is None
    recorded = await Outbox(store.database).record([event], fences={event.id: fence})
    assert recorded.refused == {event.id}


async def test_a_worker_goes_by_the_databases_clock(store: LeaseStore) -> None:
    now = await store.now()
    assert abs(now - wall_clock()) < 5
    with time_kept_by(lambda: now - 3600):
        assert abs(wall_clock() - (now - 3600)) < 1
    assert datetime.now(UTC) - datetime.fromtimestamp(wall_clock(), UTC) < timedelta(seconds=5)


async def test_two_who_close_what_was_left_open_close_it_once(shared_url: str) -> None:
    async with await Database.open(shared_url) as one, await Database.open(shared_url) as other:
        outbox = Outbox(one)
        for number in range(20):
            await outbox.record([opened("gate", incident=f"i{number}", track=number)])
        later = wall_clock() + 100
        closed = await asyncio.gather(*(Outbox(each).close_stale(later) for each in (one, other)))
        assert len(closed[0]) + len(closed[1]) == 20


async def test_a_late_event_is_refused_by_all_who_commit_it_at_once(shared_url: str) -> None:
    async with LeaseStore.open(shared_url, QUICK) as store, Alerts.open(shared_url, None) as alerts:
        lease = await store.claim("one", "gate")
        late = [opened("gate") for _ in range(20)]
        for event in late:
            alerts.submit(event, 0.0, Fence("gate", "one", lease.epoch - 1))
        await asyncio.gather(*(alerts.settle() for _ in range(12)))
        assert [await alerts.history.event(event.id) for event in late] == [None] * len(late)
