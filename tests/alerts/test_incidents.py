"""Incidents in both databases: written with their events, closed when left open, searched, marked, kept and erased."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from streamguard.alerts import Alerts, Database, History, Incident, Mark, Outbox, Rule, Sample, Search
from streamguard.alerts.incident_rows import MOST_SAMPLES, thinned
from streamguard.alerts.tables import events, incidents
from streamguard.clock import utc
from streamguard.errors import DatabaseLocked, UnknownIncident
from streamguard.types import Closing
from tests.alerts.tools import Clock, House, event

CLEARED, LOST, BROKE = Closing.CLEARED, Closing.LOST, Closing.STREAM_BROKE
BOX = (0.1, 0.2, 0.3, 0.4)


@pytest.fixture
def history(database: Database, clock: Clock) -> History:
    """What is read of the database."""
    return History(database, clock=clock)


async def everything(history: History) -> list[Incident]:
    """All incidents, the newest first."""
    return [each async for each in history.every(Search())]


async def test_its_row_follows_its_events(outbox: Outbox, history: History, clock: Clock) -> None:
    now = clock()
    opened = event("fake.opened", now, incident="i", score=0.7, share=0.6, time=2.0, box=BOX)
    await outbox.record([event("stream.up", now), opened])
    one = await history.incident("i")
    assert (one.stream, one.opened, one.closed, one.cause, one.openings) == ("door", utc(now), None, None, 1)
    assert (one.score, one.share, one.opened_time, one.box) == (0.7, 0.6, 2.0, BOX)
    await outbox.record([event("fake.updated", now + 60, incident="i", score=0.9, share=0.5, time=62.0)])
    await outbox.record([event("fake.closed", now + 70, incident="i", score=0.1, share=0.1, time=72.0, cause=LOST)])
    one = await history.incident("i")
    assert (one.closed, one.cause, one.score, one.share) == (utc(now + 70), LOST, 0.9, 0.6)
    assert (one.opened_time, one.time, one.box) == (2.0, 72.0, BOX)
    # Taken up again, by another track of another connection.
    again = event("fake.opened", now + 90, incident="i", epoch=1, track=5)
    # What is recorded twice counts once.
    await outbox.record([again])
    await outbox.record([again])
    one = await history.incident("i")
    assert (one.closed, one.cause, one.openings, one.epoch, one.track) == (None, None, 2, 1, 5)
    assert [each.kind for each in await history.events_of("i")] == [
        "fake.opened",
        "fake.updated",
        "fake.closed",
        "fake.opened",
    ]
    assert len(await everything(history)) == 1


async def test_what_a_killed_server_left_open_ends_when_its_stream_is_back(home: House, history: History) -> None:
    await home.subscribe()
    now = home.clock()
    opened = event("fake.opened", now, incident="i")
    await home.tell(event("stream.up", now), opened, event("fake.opened", now, incident="j", stream="hall"))
    await home.tell(event("stream.up", now + 5, epoch=1))
    told = [one.document["data"] for one in home.receiver.accepted() if one.document["data"]["incident"] == "i"]
    assert [(each["cause"], each["track"]) for each in told] == [(None, 1), ("stream_broke", 1)]
    assert (await history.incident("i")).cause is BROKE
    assert [one.id for one in (await history.incidents(Search(state="open"), limit=9))[0]] == ["j"]
    # Once: it is closed now.
    await home.tell(event("stream.up", now + 9, epoch=2))
    assert len(await history.events_of("i")) == 2


async def test_one_that_nobody_hears_of_is_closed(home: House, history: History) -> None:
    await home.subscribe()
    now = home.clock()
    await home.tell(event("fake.opened", now - 900, incident="old"), event("fake.opened", now, incident="new"))
    (closed,) = await home.outbox.close_stale(now - 600)
    assert (closed.incident, closed.cause) == ("old", BROKE)
    await home.deliverer.pump()
    assert [one.document["type"] for one in home.receiver.accepted()] == ["fake.opened", "fake.opened", "fake.closed"]
    assert (await history.incident("old")).closed is not None
    assert (await history.incident("new")).closed is None
    assert await home.outbox.close_stale(now - 600) == []


async def test_one_that_is_closed_is_not_closed_again(home: House, history: History) -> None:
    await home.subscribe()
    now = home.clock()
    await home.tell(event("fake.opened", now - 900, incident="i"))
    (first,) = await home.outbox.close_stale(now - 600)
    late = event("fake.closed", now, incident="i")
    await home.tell(late)
    assert [one.id for one in await history.events_of("i")][1:] == [first.id]
    # In one transaction as well, and it may open again.
    again, end, twice = (event(kind, now + 1, incident="i") for kind in ("fake.opened", "fake.closed", "fake.closed"))
    await home.tell(late, again, end, twice)
    assert [one.id for one in await history.events_of("i")][1:] == [first.id, again.id, end.id]
    assert [one.document["type"] for one in home.receiver.accepted()] == ["fake.opened", "fake.closed"] * 2


async def test_rules_count_by_incident(home: House) -> None:
    """A face that is lost and found under another number is one: its alert is not raised again in the cool-down."""
    await home.subscribe(rule=Rule(cool_down_seconds=600.0))
    now = home.clock()
    for n in range(5):
        at = now + 20 * n
        await home.tell(
            event("fake.opened", at, incident="i", track=n),
            event("fake.closed", at + 10, incident="i", track=n, cause=LOST),
        )
    await home.tell(event("fake.opened", now + 100, incident="j", track=9))
    told = [(one.document["type"], one.document["data"]["incident"]) for one in home.receiver.accepted()]
    assert told == [("fake.opened", "i"), ("fake.closed", "i"), ("fake.opened", "j")]


async def test_scores_are_kept_over_openings_and_thinned(outbox: Outbox, history: History, clock: Clock) -> None:
    now = clock()
    await outbox.record([event("fake.opened", now, incident="i")])

    def run(start: float, count: int) -> tuple[Sample, ...]:
        return tuple(Sample(start + n + 0.123, 0, float(n), 0.5, 2, 1) for n in range(count))

    await history.save_samples({"i": run(now, 10), "gone": run(now, 10)})
    await history.save_samples({"i": run(now, 20)})
    assert len(await history.samples("i")) == 20
    await history.save_samples({"i": run(now + 100, 5)})
    await history.save_samples({"i": run(now + 100, 6)})
    kept = await history.samples("i")
    assert [round(one.at - now) for one in kept] == [*range(20), *range(100, 106)]
    one = await history.incident("i")
    assert (one.judged, one.fake, one.updated) == (52, 26, utc(now + 105.123))
    await history.save_samples({"i": run(now + 1000, 5000)})
    kept = await history.samples("i")
    assert len(kept) <= MOST_SAMPLES
    assert sum(one.judged for one in kept) == 2 * 5026
    assert [one.at for one in kept] == sorted(one.at for one in kept)
    assert await history.samples("gone") == ()


def test_thinning_keeps_frames_and_means() -> None:
    samples = [Sample(float(n), 0, float(n), n / 1000, 1 + n % 3, n % 2) for n in range(1000)]
    few = thinned(samples, 100)
    assert len(few) <= 100
    assert sum(one.judged for one in few) == sum(one.judged for one in samples)
    assert sum(one.fake for one in few) == sum(one.fake for one in samples)
    mean = sum(one.score * one.judged for one in samples)
    assert sum(one.score * one.judged for one in few) == pytest.approx(mean)
    assert (few[0].at, few[0].time) == (0.0, 0.0)


async def test_what_is_old_is_forgotten_whole(home: House, history: History) -> None:
    now = home.clock()
    await home.outbox.record(
        [
            event("stream.up", now - 100),
            event("fake.opened", now - 90, incident="over"),
            event("fake.closed", now - 80, incident="over", cause=CLEARED),
            event("fake.opened", now - 90, incident="open"),
            event("fake.opened", now - 90, incident="late"),
            event("fake.closed", now - 10, incident="late", cause=LOST),
        ]
    )
    await history.save_samples({"over": (Sample(now - 85, 0, 1.0, 0.5, 1, 1),)})
    await home.outbox.purge(now - 50)
    assert {one.id for one in await everything(history)} == {"open", "late"}
    assert len(await history.events_of("late")) == 2
    assert await history.events_of("over") == []
    assert await history.samples("over") == ()
    with pytest.raises(UnknownIncident, match="no longer kept"):
        await history.incident("over")


async def test_erasing_a_stream(home: House, history: History) -> None:
    await home.subscribe(rule=Rule(hold_seconds=500.0))
    now = home.clock()
    await home.tell(
        event("fake.opened", now, incident="i", evidence=("https://x/manifest.json",)),
        event("fake.closed", now + 5, incident="i", cause=CLEARED),
        event("fake.opened", now + 6, incident="open"),
        event("fake.opened", now, incident="theirs", stream="hall", evidence=("https://x/manifest.json",)),
    )
    await history.mark("i", {"mark": "confirmed", "note": "me"}, "somebody")
    await history.forget_evidence("door")
    assert [len(each.evidence) for each in (*await history.events_of("i"), *await history.events_of("theirs"))] == [
        0,
        0,
        1,
    ]
    assert await history.erase("door") == 1
    assert {one.id for one in await everything(history)} == {"open", "theirs"}
    assert history.marks == {Mark.CONFIRMED: 0, Mark.FALSE_ALARM: 0}
    # Its closing waited to be told; nobody can tell it now, and nothing else waits for it.
    home.clock.pass_(600)
    await home.outbox.tick()
    await home.deliverer.pump()


async def test_marks(outbox: Outbox, history: History, clock: Clock) -> None:
    await outbox.record([event("fake.opened", clock(), incident=id) for id in ("a", "b", "c")])
    one = await history.mark("a", {"mark": "false_alarm", "note": "a\0poster" + 3000 * "x"}, "token")
    assert (one.mark, one.marked_by, one.marked_at, len(one.note)) == (Mark.FALSE_ALARM, "token", utc(clock()), 2000)
    await history.mark("b", {"mark": "confirmed"}, None)
    assert history.marks == {Mark.CONFIRMED: 1, Mark.FALSE_ALARM: 1}
    assert [each.id for each in (await history.incidents(Search(mark="none"), limit=9))[0]] == ["c"]
    assert [each.id for each in (await history.incidents(Search(mark=Mark.CONFIRMED), limit=9))[0]] == ["b"]
    assert (await history.mark("a", {"mark": None}, None)).note.startswith("a?poster")
    with pytest.raises(UnknownIncident):
        await history.mark("none", {"mark": "confirmed"}, None)


async def test_tables_of_the_version_before_are_brought_up_to_date(
    database_url: str, database: Database, clock: Clock
) -> None:
    async with database.write() as connection:

        def back(connection: sa.Connection) -> None:
            config = Config()
            config.set_main_option("script_location", "streamguard:alerts/migrations")
            config.attributes["connection"] = connection
            command.downgrade(config, "0002")

        await connection.run_sync(back)
        old = {"id": "e", "at": clock(), "stream": "door", "kind": "stream.up", "document": "{}", "held_until": 0.0}
        await connection.execute(
            sa.text("INSERT INTO events VALUES (:id, :at, :stream, :kind, :document, :held_until)"), old
        )
    async with await Database.open(database_url) as opened, opened.read() as connection:
        assert (await connection.execute(sa.select(events.c.id, events.c.incident))).all() == [("e", None)]
        assert (await connection.execute(sa.select(incidents))).all() == []


async def test_a_locked_database_is_waited_for_and_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "alerts.db"
    async with await Database.open(f"sqlite:///{path}"):
        pass
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseLocked, match="another process holds the database"):
        await Database.open(f"sqlite:///{path}", busy=0.01, patience=0.0)
    waiting = asyncio.create_task(Database.open(f"sqlite:///{path}", busy=0.01, patience=60.0))
    with caplog.at_level(logging.WARNING):
        while not caplog.records:  # noqa: ASYNC110 - only the log tells
            await asyncio.sleep(0.01)
    assert "waiting for the database" in caplog.text
    holder.execute("COMMIT")
    holder.close()
    await (await waiting).close()


async def test_in_memory_the_newest_are_kept(clock: Clock) -> None:
    async with Alerts.open(None, None, clock=clock) as alerts:
        for n in range(10):
            alerts.submit(event("fake.opened", clock() + n, incident=f"i{n}"))
            if n != 3:
                alerts.submit(event("fake.closed", clock() + n + 0.5, incident=f"i{n}", cause=CLEARED))
        await alerts.settle()
        await alerts.history.trim(4)
        assert {one.id for one in await everything(alerts.history)} == {"i9", "i8", "i7", "i6", "i3"}
        found, following = await alerts.history.events(limit=9)
        assert (len(found), following) == (4, None)
        # Reads and writes of one connection take turns.
        await asyncio.gather(*(alerts.history.count_marks() for _ in range(9)), alerts.history.trim(1))
