"""Alerts that wait for their evidence: committed first, given their links later, sent in any case."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import sqlalchemy as sa

from streamguard.alerts import Alerts, Database, Rule
from streamguard.alerts.owner import this_owner
from streamguard.alerts.queue import Queue
from streamguard.clock import wall_clock
from streamguard.errors import OutboxError
from tests.alerts.tools import LOOPBACK, House, event
from tests.support.receiver import Receiver, answering, first

HOLD = 7.0
LINKS = ("https://guard.example/evidence/a/b/manifest.json?expires=1&signature=2",)


async def test_what_waits_is_sent_with_its_links(home: House) -> None:
    await home.subscribe()
    opened = event("fake.opened", home.clock())
    await home.outbox.record([opened], hold={opened.id: HOLD})
    await home.deliverer.pump()
    assert not home.receiver.requests
    assert await home.outbox.attach(opened.id, LINKS) == 1
    await home.deliverer.pump()
    (one,) = home.receiver.accepted()
    assert one.document["data"]["evidence"] == list(LINKS)
    kept = await home.outbox.event(opened.id)
    assert kept is not None
    assert kept.evidence == LINKS
    assert await home.outbox.attach(opened.id, ()) == 0
    assert await home.outbox.attach("none", LINKS) == 0


async def test_without_links_it_is_sent_all_the_same(home: House) -> None:
    await home.subscribe()
    opened = event("fake.opened", home.clock())
    await home.outbox.record([opened], hold={opened.id: HOLD})
    home.clock.pass_(HOLD - 1)
    await home.deliverer.pump()
    assert not home.receiver.requests
    home.clock.pass_(1)
    await home.deliverer.pump()
    (one,) = home.receiver.accepted()
    assert one.document["data"]["evidence"] == []


async def test_a_failure_to_make_evidence_ends_the_wait(home: House) -> None:
    await home.subscribe()
    opened = event("fake.opened", home.clock())
    await home.outbox.record([opened], hold={opened.id: HOLD})
    assert await home.outbox.attach(opened.id, ()) == 1
    await home.deliverer.pump()
    assert len(home.receiver.accepted()) == 1


async def test_links_that_come_late_change_nothing_that_was_sent(home: House) -> None:
    await home.subscribe()
    home.receiver.behaviour["/"] = first(answering(500))
    opened = event("fake.opened", home.clock())
    await home.outbox.record([opened], hold={opened.id: HOLD})
    home.clock.pass_(HOLD)
    await home.deliverer.pump()
    assert await home.outbox.attach(opened.id, LINKS) == 0
    home.clock.pass_(60)
    await home.deliverer.pump()
    before, after = home.receiver.requests
    assert (before.webhook_id, before.body) == (after.webhook_id, after.body)


async def test_what_a_killed_process_may_have_sent_is_not_changed(home: House, database: Database) -> None:
    await home.subscribe()
    opened = event("fake.opened", home.clock())
    await home.outbox.record([opened], hold={opened.id: HOLD})
    home.clock.pass_(HOLD)
    gone = Queue(database, this_owner(), lease=60.0)
    (claim,) = await gone.turn([], home.clock(), lambda waiting: dict.fromkeys(waiting, 1))
    assert await home.outbox.attach(opened.id, LINKS) == 0
    # Taken back, as from a dead owner; nobody knows whether the message went out.
    await gone.release()
    assert await home.outbox.attach(opened.id, LINKS) == 0
    await home.deliverer.pump()
    assert home.receiver.accepted()[0].body.decode() == claim.body


async def test_a_face_keeps_its_order_and_no_other_waits(home: House) -> None:
    await home.subscribe()
    now = home.clock()
    opened = event("fake.opened", now)
    await home.outbox.record([opened], hold={opened.id: HOLD})
    await home.tell(event("fake.closed", now), event("fake.opened", now, track=2))
    assert home.receiver.faces() == {("door", 0, 2): ["fake.opened"]}
    await home.outbox.attach(opened.id, LINKS)
    await home.deliverer.pump()
    assert home.receiver.faces()["door", 0, 1] == ["fake.opened", "fake.closed"]


async def test_a_rule_that_tells_later_tells_the_links(home: House) -> None:
    """M of N seconds pass before the alert is raised: at first there is nothing that could wait."""
    await home.subscribe(rule=Rule(for_seconds=3))
    opened = event("fake.opened", home.clock())
    await home.outbox.record([opened], hold={opened.id: HOLD})
    home.clock.pass_(4)
    await home.deliverer.pump()
    assert not home.receiver.requests
    await home.outbox.attach(opened.id, LINKS)
    await home.deliverer.pump()
    assert home.receiver.accepted()[0].document["data"]["evidence"] == list(LINKS)


async def test_a_message_with_links_says_the_same_otherwise(home: House) -> None:
    """Told as an opening, and as flapping, though the event is an update; in two formats."""
    rule = Rule(least_score=0.9, flap_count=2, flap_seconds=300, update_seconds=60)
    for path, name in (("/", "streamguard"), ("/clouds", "cloudevents")):
        await home.subscribe(path, rule=rule, format=name)
    now = home.clock()
    await home.tell(event("fake.opened", now), event("fake.closed", now + 1))
    await home.tell(event("fake.opened", now + 2, score=0.1))
    raised = event("fake.updated", now + 3)
    await home.outbox.record([raised], hold={raised.id: HOLD})
    plain = [json.loads(one.body) for one in await bodies(home, raised.id)]
    await home.outbox.attach(raised.id, LINKS)
    linked = [json.loads(one.body) for one in await bodies(home, raised.id)]
    for before, after in zip(plain, linked, strict=True):
        data = before["data"].get("data", before["data"])
        assert (data["flapping"], data["evidence"]) == (True, [])
        data["evidence"] = list(LINKS)
        assert before == after


async def bodies(home: House, id: str) -> list[sa.Row[tuple[str]]]:
    """The messages about an event, as they lie in the database."""
    from streamguard.alerts.tables import deliveries

    async with home.database.read() as connection:
        query = sa.select(deliveries.c.body).where(deliveries.c.event == id).order_by(deliveries.c.seq)
        return list((await connection.execute(query)).all())


async def test_links_for_an_event_that_is_not_committed_yet(
    tmp_path: Path, receiving: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is full when the fake opens, and has room again a moment later."""
    url = f"sqlite:///{tmp_path / 'alerts.db'}"
    async with Alerts.open(url, tmp_path / "key", targets=LOOPBACK, tls=receiving.trust()) as alerts:
        receiving.secrets["/"] = (await alerts.subscriptions.create(receiving.url())).secret
        record = alerts.outbox.record

        async def full(*_: object, **__: object) -> None:
            raise OutboxError("outbox", "the disk is full", "make room")

        monkeypatch.setattr(alerts.outbox, "record", full)
        opened = event("fake.opened", wall_clock())
        alerts.submit(opened, HOLD)
        with pytest.raises(OutboxError, match="full"):
            await alerts.attach(opened.id, LINKS)
        monkeypatch.setattr(alerts.outbox, "record", record)
        await alerts.attach(opened.id, LINKS)
        await receiving.until(lambda: bool(receiving.accepted()))
    assert receiving.accepted()[0].document["data"]["evidence"] == list(LINKS)
