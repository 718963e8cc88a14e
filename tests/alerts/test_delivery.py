"""Deliveries against a real TLS receiver: signatures, the schedule, and everything that can go wrong on the way."""

from __future__ import annotations

import socket
from email.utils import formatdate
from typing import Any

import pytest
import trustme

from streamguard.alerts import Backlog, Database, DeliveryStatus, Limits, Sealer, Status, TargetPolicy, WebhookSender
from streamguard.alerts.schedule import WAITS
from streamguard.clock import wall_clock
from streamguard.errors import ForbiddenTarget, SubscriptionError
from tests.alerts.tools import LOOPBACK, Clock, House, event, house
from tests.support.hosts import refused_port
from tests.support.receiver import (
    Receiver,
    answering,
    endless,
    first,
    hang,
    receiver,
    reset_in_the_middle,
)


async def test_a_message_arrives_signed_once(home: House) -> None:
    created = await home.subscribe(name="ours")
    opened = event("fake.opened", home.clock())
    await home.tell(opened)
    (one,) = home.receiver.requests
    assert one.document["type"] == "fake.opened"
    assert one.document["data"]["event"] == opened.id
    assert one.headers["content-type"] == "application/json"
    assert one.webhook_id == f"msg_{opened.id}_{created.subscription.id}"
    (logged,) = await home.deliveries.list()
    assert (logged.status, logged.attempts, logged.code) == (DeliveryStatus.DELIVERED, 1, 200)
    await home.deliverer.pump()
    assert len(home.receiver.requests) == 1


async def test_the_retry_schedule_to_the_dead_letter(home: House) -> None:
    await home.subscribe()
    home.receiver.behaviour["/"] = answering(500)
    home.receiver.verify_times = False
    await home.tell(event("fake.opened", home.clock()))
    for tries, wait in enumerate(WAITS, start=1):
        assert len(home.receiver.requests) == tries
        (logged,) = await home.deliveries.list()
        assert (logged.status, logged.attempts, logged.code) == (DeliveryStatus.PENDING, tries, 500)
        home.clock.pass_(wait - 0.01)
        await home.deliverer.pump()
        assert len(home.receiver.requests) == tries, "before its time"
        home.clock.pass_(0.02)
        await home.deliverer.pump()
    (logged,) = await home.deliveries.list()
    assert (logged.status, logged.attempts) == (DeliveryStatus.DEAD, 10)
    home.clock.pass_(10 * 86400)
    await home.deliverer.pump()
    assert len(home.receiver.requests) == 10
    assert len({one.webhook_id for one in home.receiver.requests}) == 1
    assert len({one.body for one in home.receiver.requests}) == 1
    stamps = [int(one.headers["webhook-timestamp"]) for one in home.receiver.requests]
    assert stamps == sorted(set(stamps))
    assert len({one.headers["webhook-signature"] for one in home.receiver.requests}) == 10


@pytest.mark.parametrize(
    ("fault", "code", "told"),
    [
        (answering(500), 500, ""),
        (answering(302, location="https://elsewhere.example/"), 302, ""),
        (answering(301, location="http://127.0.0.1/"), 301, ""),
        (hang, None, "no whole answer within"),
        (reset_in_the_middle, None, "no answer"),
    ],
    ids=["500", "302", "301", "hang", "reset"],
)
async def test_a_fault_is_tried_again_with_the_same_id(
    database: Database, receiving: Receiver, sealer: Sealer, fault: Any, code: int | None, told: str
) -> None:
    async with house(database, receiving, Clock(wall_clock()), sealer, limit=0.5) as home:
        await home.subscribe()
        receiving.behaviour["/"] = first(fault)
        await home.tell(event("fake.opened", home.clock()))
        (logged,) = await home.deliveries.list()
        assert (logged.status, logged.attempts, logged.code) == (DeliveryStatus.PENDING, 1, code)
        assert told in logged.answer
        home.clock.pass_(5.01)
        await home.deliverer.pump()
        (logged,) = await home.deliveries.list()
        assert (logged.status, logged.attempts, logged.code) == (DeliveryStatus.DELIVERED, 2, 204)
        assert len(receiving.requests) == 2
        assert len({one.webhook_id for one in receiving.requests}) == 1


async def test_an_answer_without_end_is_not_read_to_its_end(home: House) -> None:
    await home.subscribe()
    home.receiver.behaviour["/"] = endless
    await home.tell(event("fake.opened", home.clock()))
    (logged,) = await home.deliveries.list()
    assert (logged.status, logged.answer) == (DeliveryStatus.DELIVERED, "x" * 200)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("dated", [False, True], ids=["seconds", "date"])
async def test_retry_after_is_honoured_for_the_whole_endpoint(home: House, status: int, dated: bool) -> None:
    await home.subscribe()
    asked = formatdate(home.clock() + 600, usegmt=True) if dated else "600"
    home.receiver.behaviour["/"] = first(answering(status, Retry_After=asked))
    await home.tell(event("fake.opened", home.clock()))
    await home.tell(event("fake.opened", home.clock(), track=2))
    home.clock.pass_(590)
    await home.deliverer.pump()
    assert len(home.receiver.requests) == 1, "the second face waits with the first"
    home.clock.pass_(11)
    await home.deliverer.pump()
    assert len(home.receiver.requests) == 3
    assert {one.status for one in await home.deliveries.list()} == {DeliveryStatus.DELIVERED}


async def test_410_disables_and_cancels(home: House) -> None:
    created = await home.subscribe()
    home.receiver.behaviour["/"] = answering(410)
    now = home.clock()
    await home.tell(event("fake.opened", now), event("fake.closed", now))
    told = await home.subscriptions.get(created.subscription.id)
    assert (told.status, told.reason) == (Status.DISABLED, "the endpoint answered 410 Gone")
    assert [one.status for one in await home.deliveries.list()] == [DeliveryStatus.DEAD, DeliveryStatus.CANCELLED]
    await home.tell(event("fake.opened", now, track=2))
    assert len(home.receiver.requests) == 1
    del home.receiver.behaviour["/"]
    await home.subscriptions.resume(created.subscription.id)
    assert await home.deliveries.replay_range(created.subscription.id, now - 1, now + 1) == 3
    await home.deliverer.pump()
    assert home.receiver.faces() == {("door", 0, 1): ["fake.opened", "fake.closed"], ("door", 0, 2): ["fake.opened"]}


async def test_opened_comes_before_closed_and_other_faces_do_not_wait(home: House) -> None:
    await home.subscribe()
    home.receiver.behaviour["/"] = first(answering(500))
    now = home.clock()
    await home.tell(event("fake.opened", now))
    await home.tell(event("fake.closed", now), event("fake.opened", now, track=2))
    assert [one.document["data"]["track"] for one in home.receiver.requests] == [1, 2]
    home.clock.pass_(6)
    await home.deliverer.pump()
    kinds = [(one.document["data"]["track"], one.document["type"]) for one in home.receiver.accepted()]
    assert kinds == [(2, "fake.opened"), (1, "fake.opened"), (1, "fake.closed")]


async def test_a_rotated_secret_overlaps(home: House) -> None:
    created = await home.subscribe()
    rotated = await home.subscriptions.rotate(created.subscription.id, overlap=3600)
    assert rotated.secret != created.secret
    await home.tell(event("fake.opened", home.clock()))
    home.receiver.secrets["/"] = rotated.secret
    await home.tell(event("fake.opened", home.clock(), track=2))
    assert len(home.receiver.accepted()) == 2, "either secret verifies while both hold"
    assert all(len(one.headers["webhook-signature"].split()) == 2 for one in home.receiver.requests)
    home.clock.pass_(3601)
    await home.tell(event("fake.opened", home.clock(), track=3))
    assert len(home.receiver.requests[-1].headers["webhook-signature"].split()) == 1


async def test_a_wrong_certificate(database: Database, sealer: Sealer) -> None:
    async with receiver("another.example") as receiving, house(database, receiving, Clock(1.8e9), sealer) as home:
        await home.subscribe()
        await home.tell(event("fake.opened", home.clock()))
        (logged,) = await home.deliveries.list()
        assert (logged.status, logged.code) == (DeliveryStatus.PENDING, None)
        assert logged.answer.startswith("certificate refused")
        assert receiving.requests == []


async def test_an_unknown_authority(database: Database, sealer: Sealer) -> None:
    async with receiver() as receiving:
        receiving.ca, trusted = trustme.CA(), receiving.ca
        async with house(database, receiving, Clock(1.8e9), sealer) as home:
            await home.subscribe()
            await home.tell(event("fake.opened", home.clock()))
            (logged,) = await home.deliveries.list()
            assert logged.answer.startswith("certificate refused")
            assert receiving.requests == []
        assert trusted is not receiving.ca


async def test_dns_that_turns_to_a_private_address(database: Database, receiving: Receiver, sealer: Sealer) -> None:
    """The name is public when it is subscribed, and private when it is sent to."""
    answers = ["93.184.215.14"]

    async def lookup(host: str, port: int, family: int) -> list[tuple[Any, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (answers[0], port))]

    policy = TargetPolicy(lookup=lookup)
    async with house(database, receiving, Clock(1.8e9), sealer, policy=policy) as home:
        await home.subscribe()
        answers[0] = "127.0.0.1"
        await home.tell(event("fake.opened", home.clock()))
        (logged,) = await home.deliveries.list()
        assert "private, local or reserved" in logged.answer
        assert receiving.requests == []


async def test_an_address_in_the_url_is_checked_when_sent(receiving: Receiver) -> None:
    async with WebhookSender(TargetPolicy(), tls=receiving.trust()) as sender:
        answer = await sender.post(receiving.url("/", "127.0.0.1"), "{}", {})
    assert answer.code is None
    assert "private, local or reserved" in answer.text
    assert receiving.requests == []


async def test_the_connection_goes_to_the_address_that_was_checked(receiving: Receiver) -> None:
    asked = []

    async def lookup(host: str, port: int, family: int) -> list[tuple[Any, ...]]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    policy = TargetPolicy(allow=LOOPBACK.allow, lookup=lookup)
    async with (
        receiver("hooks.example", ca=receiving.ca) as other,
        WebhookSender(policy, tls=receiving.trust()) as sender,
    ):
        answer = await sender.post(other.url("/", "hooks.example"), "{}", {})
        assert answer.code == 401
        assert asked == ["hooks.example"]
        # The same address under a name that the certificate does not bear.
        answer = await sender.post(other.url("/", "wrong.example"), "{}", {})
        assert answer.text.startswith("certificate refused")


async def test_nobody_listens(database: Database, receiving: Receiver, sealer: Sealer) -> None:
    async with house(database, receiving, Clock(1.8e9), sealer) as home:
        await home.subscriptions.create(f"https://localhost:{refused_port()}/")
        await home.tell(event("fake.opened", home.clock()))
        (logged,) = await home.deliveries.list()
        assert (logged.status, logged.code) == (DeliveryStatus.PENDING, None)
        assert logged.answer.startswith("no answer")


@pytest.mark.parametrize("jump", [7200.0, -7200.0, -86400.0 * 30])
async def test_a_clock_that_jumps_keeps_nothing_back(home: House, jump: float) -> None:
    await home.subscribe()
    home.receiver.verify_times = False
    home.receiver.behaviour["/"] = first(answering(500), 2)
    await home.tell(event("fake.opened", home.clock()))
    home.clock.pass_(jump)
    for _ in range(2):
        home.clock.pass_(301)
        await home.deliverer.pump()
    (logged,) = await home.deliveries.list()
    assert (logged.status, logged.attempts) == (DeliveryStatus.DELIVERED, 3)


async def test_a_dead_endpoint_slows_no_other(database: Database, receiving: Receiver, sealer: Sealer) -> None:
    """A hundred faces for an endpoint that hangs; the healthy one has all of its own while they hang."""
    limits = Limits(total=8, per_endpoint=4, failing=2)
    async with house(database, receiving, wall_clock, sealer, limits=limits, limit=600.0) as home:
        await home.subscribe("/dead")
        await home.subscribe("/alive")
        receiving.behaviour["/dead"] = hang
        await home.outbox.record([event("fake.opened", home.clock(), track=n) for n in range(100)])
        async with home.deliverer:
            await receiving.until(lambda: len(receiving.accepted("/alive")) == 100)
        assert receiving.accepted("/dead") == []
        assert sum(one.path == "/dead" for one in receiving.requests) == 4


async def test_a_failing_endpoint_gets_one_try_at_a_time(home: House) -> None:
    await home.subscribe()
    home.receiver.behaviour["/"] = answering(500)
    now = home.clock()
    await home.tell(event("fake.opened", now))
    await home.outbox.record([event("fake.opened", now, track=n) for n in range(2, 12)])
    assert list(home.deliverer._plan(["x", (await home.subscriptions.list())[0].id]).values()) == [32, 1]


async def test_replay_of_one_keeps_its_id(home: House) -> None:
    await home.subscribe()
    await home.tell(event("fake.opened", home.clock()))
    (logged,) = await home.deliveries.list()
    again = await home.deliveries.replay(logged.webhook_id)
    assert (again.status, again.attempts) == (DeliveryStatus.PENDING, 0)
    await home.deliverer.pump()
    assert home.receiver.ids() == {logged.webhook_id: 2}
    with pytest.raises(SubscriptionError, match="none of that id"):
        await home.deliveries.replay("msg_none")


async def test_a_replay_is_timed_from_when_it_was_asked_for(home: House) -> None:
    """Not from the day it was made: what happened last week must not look like a week's delay."""
    await home.subscribe()
    home.receiver.verify_times = False
    home.receiver.behaviour["/"] = answering(204)
    await home.tell(event("fake.opened", home.clock()))
    (sent,) = await home.deliveries.list()
    home.clock.pass_(7 * 86400)
    await home.deliveries.replay(sent.webhook_id)
    home.clock.pass_(3)
    await home.deliverer.pump()
    assert len(home.receiver.requests) == 2
    assert home.deliverer.latencies.seconds == pytest.approx(3.0)


async def test_what_waits_is_known(home: House) -> None:
    paused = await home.subscribe("/paused")
    await home.subscribe("/bad")
    await home.subscriptions.pause(paused.subscription.id)
    home.receiver.behaviour["/bad"] = answering(500)
    await home.tell(event("fake.opened", home.clock()))
    home.clock.pass_(2.5)
    await home.tell(event("fake.opened", home.clock(), track=2))
    home.clock.pass_(2.0)
    await home.deliverer.pump()
    began = home.clock() - 4.5
    assert home.deliverer.backlog == [
        Backlog(Status.ACTIVE, 1, 2, began),
        Backlog(Status.PAUSED, 1, 2, began),
        Backlog(Status.DISABLED, 0),
    ]


async def test_replay_of_a_range_for_a_later_subscriber(home: House) -> None:
    now = home.clock()
    await home.tell(*(event("fake.opened", now + n, track=n) for n in range(5)))
    created = await home.subscribe()
    with pytest.raises(SubscriptionError, match="not after its start"):
        await home.deliveries.replay_range(created.subscription.id, now, now)
    assert await home.deliveries.replay_range(created.subscription.id, now + 1, now + 4) == 3
    await home.deliverer.pump()
    # Three faces: each has its own order, and they overtake each other.
    assert sorted(one.document["data"]["track"] for one in home.receiver.accepted()) == [1, 2, 3]


async def test_a_test_message(home: House) -> None:
    created = await home.subscribe()
    await home.deliveries.test(created.subscription.id)
    await home.deliverer.pump()
    (one,) = home.receiver.accepted()
    assert one.document["type"] == "webhook.test"


async def test_a_paused_subscription_gets_everything_later(home: House) -> None:
    created = await home.subscribe()
    await home.subscriptions.pause(created.subscription.id)
    now = home.clock()
    await home.tell(event("fake.opened", now), event("fake.closed", now))
    assert home.receiver.requests == []
    await home.subscriptions.resume(created.subscription.id)
    await home.deliverer.pump()
    assert home.receiver.faces() == {("door", 0, 1): ["fake.opened", "fake.closed"]}


async def test_secrets_are_sealed_and_never_shown(home: House, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    created = await home.subscribe()
    await home.tell(event("fake.opened", home.clock()))
    bare = created.secret.removeprefix("whsec_")
    async with home.database.read() as connection:
        from streamguard.alerts.tables import subscriptions

        rows = (await connection.execute(subscriptions.select())).all()
    assert bare not in str(rows)
    shown = [repr(created), repr(await home.subscriptions.list()), repr(await home.deliveries.list()), caplog.text]
    assert all(bare not in text for text in shown)


async def test_the_secret_of_another_key_is_told_in_the_log(home: House, receiving: Receiver) -> None:
    await home.subscribe()
    stranger = Sealer(Sealer.new_key())
    async with house(home.database, receiving, home.clock, stranger) as other:
        await other.tell(event("fake.opened", home.clock()))
        (logged,) = await other.deliveries.list()
    assert "sealed by another key" in logged.answer
    assert receiving.requests == []


async def test_a_private_target_is_refused_when_subscribed(home: House) -> None:
    policy = TargetPolicy()
    with pytest.raises(ForbiddenTarget):
        await policy.check("https://localhost/hook")
