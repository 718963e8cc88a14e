"""When the outbox cannot be written: locked, full, or at fault; nothing that was accepted is lost silently."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from streamguard.alerts import Alerts, Database, DeliveryStatus, Outbox, Sealer
from streamguard.alerts.queue import Queue
from streamguard.clock import wall_clock
from streamguard.errors import OutboxError
from streamguard.types import Event
from tests.alerts.tools import LOOPBACK, Clock, event, house
from tests.support.receiver import Receiver


async def test_a_locked_database(tmp_path: Path, receiving: Receiver, sealer: Sealer) -> None:
    """Another process holds the lock: typed, retryable, and everything goes on when it lets go."""
    path = tmp_path / "alerts.db"
    async with (
        await Database.open(f"sqlite:///{path}", busy=0.05) as database,
        house(database, receiving, wall_clock, sealer) as home,
    ):
        await home.subscribe()
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutboxError, match="another process holds the database"):
            await home.outbox.record([event("fake.opened", wall_clock())])
        async with home.deliverer:
            holder.execute("ROLLBACK")
            holder.close()
            await home.outbox.record([event("fake.opened", wall_clock())])
            home.deliverer.wake()
            await receiving.until(lambda: len(receiving.accepted()) == 1)


async def test_the_lock_comes_between_answer_and_settling(tmp_path: Path, receiving: Receiver, sealer: Sealer) -> None:
    """Answered, and then the database is locked: settled later, not sent again."""
    path = tmp_path / "alerts.db"
    async with (
        await Database.open(f"sqlite:///{path}", busy=0.05) as database,
        house(database, receiving, wall_clock, sealer) as home,
    ):
        await home.subscribe()
        holder = sqlite3.connect(path, isolation_level=None)

        async def lock(_: object) -> object:
            from aiohttp import web

            holder.execute("BEGIN IMMEDIATE")
            return web.Response(status=204)

        receiving.behaviour["/"] = lock  # type: ignore[assignment]  # any answerer will do
        await home.outbox.record([event("fake.opened", wall_clock())])
        with pytest.raises(OutboxError):
            await home.deliverer.pump()
        holder.execute("ROLLBACK")
        holder.close()
        await home.deliverer.pump()
        assert [one.status for one in await home.deliveries.list()] == [DeliveryStatus.DELIVERED]
        assert len(receiving.requests) == 1


async def test_a_full_disk(tmp_path: Path, receiving: Receiver, sealer: Sealer) -> None:
    """SQLite refuses to grow; once there is room again the same events are kept."""
    async with (
        await Database.open(f"sqlite:///{tmp_path / 'alerts.db'}") as database,
        house(database, receiving, Clock(wall_clock()), sealer) as home,
    ):
        await home.subscribe()
        happened = [event("fake.opened", home.clock(), track=n, detail="x" * 900) for n in range(200)]
        async with database.write() as connection:
            pages = await connection.scalar(sa.text("PRAGMA page_count"))
            await connection.execute(sa.text(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(OutboxError, match="the disk is full"):
            await home.outbox.record(happened)
        assert await home.deliveries.list() == []
        async with database.write() as connection:
            await connection.execute(sa.text("PRAGMA max_page_count = 1000000"))
        await home.tell(*happened)
        assert len(home.receiver.ids()) == 200


async def test_events_wait_in_memory_while_the_disk_is_full(
    tmp_path: Path, receiving: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service takes events in meanwhile, and none is lost or told twice once there is room."""
    url, key = f"sqlite:///{tmp_path / 'alerts.db'}", tmp_path / "key"
    failures = [3]
    real = Outbox.record

    async def record(self: Outbox, happened: list[Event], **more: Any) -> object:
        if failures[0]:
            failures[0] -= 1
            raise OutboxError("alerts.db", "the disk is full", "make room")
        return await real(self, happened, **more)

    monkeypatch.setattr(Outbox, "record", record)
    async with Alerts.open(url, key, targets=LOOPBACK, tls=receiving.trust()) as alerts:
        created = await alerts.subscriptions.create(receiving.url())
        receiving.secrets["/"] = created.secret
        for n in range(50):
            alerts.submit(event("fake.opened", wall_clock(), track=n))
        await receiving.until(lambda: len(receiving.ids()) == 50)
        assert alerts.dropped == 0
    assert set(receiving.ids().values()) == {1}


async def test_what_is_given_up_when_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def never(*_: object, **__: object) -> None:
        raise OutboxError("alerts.db", "the disk is full", "make room")

    monkeypatch.setattr("streamguard.alerts.service.MOST_WAITING", 3)
    async with Alerts.open(f"sqlite:///{tmp_path / 'alerts.db'}", tmp_path / "key") as alerts:
        monkeypatch.setattr(Outbox, "record", never)
        for kind in ("fake.opened", "fake.updated", "fake.closed", "fake.opened"):
            alerts.submit(event(kind, wall_clock()))
        assert alerts.dropped == 1
        assert "event given up: id=" in caplog.text
        assert "kind=fake.updated" in caplog.text
    assert alerts.dropped == 4
    assert "events could not be kept: count=3" in caplog.text


async def test_an_event_that_cannot_be_kept_holds_up_no_other(
    tmp_path: Path, receiving: Receiver, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = Outbox.record

    async def record(self: Outbox, happened: list[Event], **more: Any) -> object:
        if any(one.track == 3 for one in happened):
            raise ValueError("a fault of ours")
        return await real(self, happened, **more)

    monkeypatch.setattr(Outbox, "record", record)
    url, key = f"sqlite:///{tmp_path / 'alerts.db'}", tmp_path / "key"
    async with Alerts.open(url, key, targets=LOOPBACK, tls=receiving.trust()) as alerts:
        receiving.secrets["/"] = (await alerts.subscriptions.create(receiving.url())).secret
        for n in range(6):
            alerts.submit(event("fake.opened", wall_clock(), track=n))
        await receiving.until(lambda: len(receiving.ids()) == 5)
        assert alerts.dropped == 1
    assert "could not be kept" in caplog.text


async def test_deliveries_go_on_after_a_fault_of_ours(
    database: Database, receiving: Receiver, sealer: Sealer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = Queue.turn, [1]

    async def turn(self: Queue, *arguments: object) -> object:
        if failures[0]:
            failures[0] -= 1
            raise ZeroDivisionError
        return await real(self, *arguments)  # type: ignore[arg-type]  # passed on

    monkeypatch.setattr(Queue, "turn", turn)
    async with house(database, receiving, wall_clock, sealer) as home:
        await home.subscribe()
        await home.outbox.record([event("fake.opened", wall_clock())])
        async with home.deliverer:
            await receiving.until(lambda: len(receiving.accepted()) == 1)
