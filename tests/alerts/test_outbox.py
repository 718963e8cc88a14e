"""The outbox's contract, on SQLite and PostgreSQL: kept or not at all, never twice, whatever fails."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa

from streamguard.alerts import Alerts, Database, DeliveryStatus, Outbox, Rule, Sealer, TargetPolicy, key_of
from streamguard.alerts.owner import is_gone, this_owner
from streamguard.alerts.queue import Queue
from streamguard.alerts.tables import deliveries, events, gates
from streamguard.clock import wall_clock
from streamguard.errors import ConfigError, OutboxError
from streamguard.types import EventKind
from tests.alerts.tools import LOOPBACK, House, event, house
from tests.support.receiver import Receiver


async def count(database: Database, table: sa.Table) -> int:
    """Rows of a table."""
    async with database.read() as connection:
        return int(await connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0)


async def kinds(home: House) -> list[str]:
    """What the log says was to be told, in order."""
    return [one.kind for one in await home.deliveries.list()]


async def test_an_event_recorded_twice_is_one(home: House) -> None:
    await home.subscribe()
    opened = event("fake.opened", home.clock())
    first = await home.outbox.record([opened, opened])
    assert (first.events, first.deliveries) == (1, 1)
    again = await home.outbox.record([opened])
    assert (again.events, again.deliveries) == (0, 0)
    assert await home.outbox.event(opened.id) == opened
    assert await home.outbox.event("none") is None


async def test_all_or_nothing(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The transaction fails at its last step: neither event, nor state, nor delivery is kept."""
    await home.subscribe(rule=Rule(for_seconds=5))
    happened = [event("fake.opened", home.clock()), event("fake.closed", home.clock() + 9, track=2)]

    async def fail(_: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("streamguard.alerts.outbox._Work._deliver", fail)
        with pytest.raises(OutboxError, match="the disk is full") as caught:
            await home.outbox.record(happened)
        assert caught.value.retryable
    for table in (events, gates, deliveries):
        assert await count(home.database, table) == 0
    assert (await home.outbox.record(happened)).events == 2


async def test_m_of_n_seconds_survive_a_restart(home: House, database: Database) -> None:
    await home.subscribe(rule=Rule(for_seconds=5, within_seconds=10, hold_seconds=20))
    now = home.clock()
    await home.outbox.record([event("fake.opened", now)])
    home.clock.pass_(4.9)
    assert (await Outbox(database, clock=home.clock).tick()).deliveries == 0
    home.clock.pass_(0.2)
    assert (await Outbox(database, clock=home.clock).tick()).deliveries == 1
    await home.outbox.record([event("fake.closed", now + 6)])
    assert await kinds(home) == ["fake.opened"]
    home.clock.pass_(20)
    assert (await home.outbox.tick()).deliveries == 1
    assert await kinds(home) == ["fake.opened", "fake.closed"]
    home.clock.pass_(86400)
    await home.outbox.tick()
    assert await count(database, gates) == 0, "nothing is remembered of a face that is gone"


async def test_faces_that_a_killed_guard_left_open_are_closed(home: House) -> None:
    await home.subscribe()
    now = home.clock()
    await home.outbox.record([event("fake.opened", now), event("fake.opened", now, track=2)])
    await home.outbox.record([event("fake.closed", now, track=2)])
    await home.tell(event("stream.up", now + 60), event("fake.opened", now + 61))
    told = home.receiver.faces()
    assert told["door", 0, 1] == ["fake.opened", "fake.closed", "fake.opened"]
    assert told["door", 0, 2] == ["fake.opened", "fake.closed"]
    closing = next(one for one in home.receiver.accepted() if "interrupted" in one.document["data"]["detail"])
    assert await home.outbox.event(closing.document["data"]["event"]) is not None


async def test_each_subscription_has_its_own_rule(home: House) -> None:
    await home.subscribe("/all", rule=Rule(kinds=tuple(EventKind)))
    await home.subscribe("/hall", rule=Rule(streams=("hall",)))
    await home.subscribe("/closings", rule=Rule(kinds=(EventKind.FAKE_CLOSED,)))
    now = home.clock()
    await home.tell(
        event("stream.up", now),
        event("fake.opened", now),
        event("fake.closed", now),
        event("fake.opened", now, stream="hall"),
    )
    assert len(home.receiver.accepted("/all")) == 4
    assert [one.document["data"]["stream"] for one in home.receiver.accepted("/hall")] == ["hall"]
    assert [one.document["type"] for one in home.receiver.accepted("/closings")] == ["fake.closed"]


async def test_names_that_databases_dislike(home: House) -> None:
    await home.subscribe()
    odd = event("fake.opened", home.clock(), stream="a\0b\ud800c'; DROP TABLE events; --", detail="\0" * 5)
    await home.tell(odd)
    (one,) = home.receiver.accepted()
    assert one.document["data"]["stream"] == "a?b?c'; DROP TABLE events; --"
    assert await home.outbox.event(odd.id) == odd


async def test_two_servers_deliver_each_event_once(
    database_url: str, database: Database, receiving: Receiver, sealer: Sealer
) -> None:
    async with house(database, receiving, wall_clock, sealer) as one:
        await one.subscribe()
        async with await Database.open(database_url) as second, house(second, receiving, wall_clock, sealer) as other:
            async with one.deliverer, other.deliverer:
                for n in range(0, 200, 20):
                    made = [event("fake.opened", wall_clock(), track=n + m) for m in range(20)]
                    await (one if n % 40 else other).outbox.record(made)
                    one.deliverer.wake()
                    other.deliverer.wake()
                await receiving.until(lambda: len(receiving.ids()) == 200)
            assert set(receiving.ids().values()) == {1}
            shares = [sum(house.deliverer.counts.values()) for house in (one, other)]
            assert sum(shares) == 200
            assert min(shares) > 0, "one of the two did it all"


async def test_a_claim_is_nobody_elses_until_its_lease_ends(home: House) -> None:
    await home.subscribe()
    now = home.clock()
    await home.outbox.record([event("fake.opened", now), event("fake.closed", now)])
    ours, theirs = (Queue(home.database, f"elsewhere:{n}", lease=60.0) for n in range(2))
    plan = dict.fromkeys([(await home.subscriptions.list())[0].id], 10)
    assert len(await ours.turn([], now, lambda _: plan)) == 1, "the closing waits for the opening"
    assert await theirs.turn([], now + 59, lambda _: plan) == []
    await theirs.mend(now)
    assert await theirs.turn([], now + 59, lambda _: plan) == [], "an owner elsewhere is not known to be gone"
    assert len(await theirs.turn([], now + 61, lambda _: plan)) == 1
    await theirs.release()
    assert len(await ours.turn([], now + 62, lambda _: plan)) == 1


async def test_what_a_dead_process_held_is_taken_back_at_once(home: House) -> None:
    await home.subscribe()
    boot, _, rest = this_owner().partition(":")
    pid, started, _ = rest.split(":")
    gone = f"{boot}:{pid}:{int(started) - 1}:x"
    assert is_gone(gone)
    assert not is_gone(this_owner())
    assert not is_gone(f"elsewhere:{pid}:1:x")
    await home.outbox.record([event("fake.opened", home.clock())])
    plan = dict.fromkeys([(await home.subscriptions.list())[0].id], 10)
    assert len(await Queue(home.database, gone, lease=60.0).turn([], home.clock(), lambda _: plan)) == 1
    await home.deliverer.pump()
    assert len(home.receiver.accepted()) == 1


async def test_old_things_are_forgotten(home: House) -> None:
    await home.subscribe()
    now = home.clock()
    await home.tell(event("fake.opened", now), event("fake.closed", now))
    home.receiver.behaviour["/"] = _refuse
    await home.tell(event("fake.opened", now, track=2))
    home.clock.pass_(86400)
    await home.outbox.tick()
    await home.outbox.purge(now + 1)
    left = await home.deliveries.list()
    assert [one.status for one in left] == [DeliveryStatus.PENDING], "what is not delivered is never forgotten"


async def _refuse(_: object) -> None:
    raise ConnectionResetError


async def test_shutdown_sends_what_was_committed_next_time(tmp_path: Path, receiving: Receiver) -> None:
    url, key = f"sqlite:///{tmp_path / 'alerts.db'}", tmp_path / "key"
    async with Alerts.open(url, key, targets=LOOPBACK, tls=receiving.trust()) as alerts:
        created = await alerts.subscriptions.create(receiving.url())
        receiving.secrets["/"] = created.secret
        await alerts.subscriptions.pause(created.subscription.id)
        alerts.submit(event("fake.opened", wall_clock()))
    async with Alerts.open(url, key, targets=LOOPBACK, tls=receiving.trust()) as alerts:
        assert receiving.requests == []
        await alerts.subscriptions.resume(created.subscription.id)
        await receiving.until(lambda: len(receiving.accepted()) == 1)


async def test_opening_at_once_from_many_sides(database_url: str) -> None:
    """The tables are made once, however many start together."""
    opened = await asyncio.gather(*(Database.open(database_url) for _ in range(4)))
    for one in opened:
        assert await count(one, events) == 0
        await one.close()


async def test_the_tables_are_those_of_the_migrations(database: Database) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from streamguard.alerts.tables import metadata

    async with database.read() as connection:
        found = await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata))
    assert found == []


@pytest.mark.parametrize(("revision", "age"), [("0001", "an older"), ("9999", "a newer")])
async def test_the_tables_of_another_version_are_refused(database_url: str, revision: str, age: str) -> None:
    async with await Database.open(database_url) as made, made.write() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = :it"), {"it": revision})
    with pytest.raises(OutboxError, match=f"{age} version .*{revision}.* give another database"):
        await Database.open(database_url)


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("nonsense", "no database URL"),
        ("mysql://host/name", "mysql is not supported"),
        ("sqlite://", "outlives the process"),
        ("sqlite:////nowhere/at/all/x.db", "its folder does not exist"),
    ],
)
async def test_wrong_database_urls(url: str, cause: str) -> None:
    with pytest.raises(ConfigError, match=cause):
        await Database.open(url)


async def test_a_database_out_of_reach_does_not_show_its_password(tmp_path: Path) -> None:
    with pytest.raises(OutboxError) as caught:
        await Database.open(f"postgresql://guard:s3cret@/alerts?host={tmp_path}")
    assert "cannot be reached" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(OutboxError, match="damaged"):
        await Database.open(f"sqlite:///{broken}")


async def test_the_key_file(tmp_path: Path) -> None:
    path = tmp_path / "alerts.key"
    key = key_of(path)
    assert key_of(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["alerts.key"]
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="others than its owner"):
        key_of(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(ConfigError, match="not 32 bytes"):
        async with Alerts.open(f"sqlite:///{tmp_path / 'alerts.db'}", path, targets=TargetPolicy()):
            pass
    with pytest.raises(ConfigError, match="cannot be used"):
        key_of(tmp_path / "none" / "key")
