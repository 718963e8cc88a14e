"""Subscriptions: what is taken, what is refused and how it is told; and the schedule's arithmetic."""

from __future__ import annotations

import base64
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.alerts import Database, Rule, Sealer, Status, Subscriptions, new_secret
from streamguard.alerts.keys import Secret
from streamguard.alerts.schedule import LONGEST_RETRY_AFTER, WAITS, read_retry_after, wait_after
from streamguard.errors import ConfigError, ForbiddenTarget, SubscriptionError, UnknownSubscription
from streamguard.types import EventKind
from tests.alerts.tools import LOOPBACK, Clock

URL = "https://localhost:8443/hook?token=abc"


@pytest.fixture
async def subscriptions(database: Database, sealer: Sealer, clock: Clock) -> Subscriptions:
    return Subscriptions(database, sealer, LOOPBACK, clock=clock)


async def test_a_life(subscriptions: Subscriptions, clock: Clock) -> None:
    created = await subscriptions.create(URL, name="ours", rule=Rule(least_score=0.5))
    one = created.subscription
    assert created.secret.startswith("whsec_")
    assert (one.name, one.url, one.format, one.status) == ("ours", URL, "streamguard", Status.ACTIVE)
    assert one.rule.least_score == 0.5
    clock.pass_(5)
    changed = await subscriptions.change(one.id, name="theirs", format="cloudevents", rule=Rule(streams=("a",)))
    assert (changed.name, changed.format, changed.rule.streams, changed.url) == ("theirs", "cloudevents", ("a",), URL)
    assert changed.changed == one.created + 5
    assert (await subscriptions.pause(one.id, "holidays")).reason == "holidays"
    assert (await subscriptions.resume(one.id)).status is Status.ACTIVE
    assert (await subscriptions.disable(one.id)).status is Status.DISABLED
    assert [two.id for two in await subscriptions.list()] == [one.id]
    await subscriptions.delete(one.id)
    assert await subscriptions.list() == []


@pytest.mark.parametrize("work", ["get", "pause", "resume", "disable", "rotate", "delete", "change"])
async def test_an_unknown_one(subscriptions: Subscriptions, work: str) -> None:
    with pytest.raises(UnknownSubscription, match="none of that id"):
        await getattr(subscriptions, work)("sub_\0none")


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"format": "xml"}, "`xml` is none"),
        ({"name": "x" * 257}, "257 characters"),
        ({"secret": "short"}, "does not begin with whsec_"),
        ({"secret": "whsec_" + base64.b64encode(b"x" * 23).decode()}, "holds 23 bytes"),
        ({"secret": "whsec_" + base64.b64encode(b"x" * 65).decode()}, "holds 65 bytes"),
        ({"secret": "whsec_not base64!"}, "not base64"),
        ({"format": "ms-graph", "rule": Rule(kinds=(EventKind.STREAM_DOWN,))}, "ms-graph has no words for stream.down"),
    ],
)
async def test_what_is_refused(subscriptions: Subscriptions, wrong: dict[str, object], cause: str) -> None:
    with pytest.raises(SubscriptionError) as caught:
        await subscriptions.create(URL, **wrong)  # type: ignore[arg-type]  # wrong on purpose
    assert cause in str(caught.value)
    assert caught.value.remedy
    assert str(wrong.get("secret", "---")) not in str(caught.value)
    assert await subscriptions.list() == []


async def test_a_change_is_checked_like_a_creation(subscriptions: Subscriptions) -> None:
    created = await subscriptions.create(URL)
    with pytest.raises(ForbiddenTarget):
        await subscriptions.change(created.subscription.id, url="https://10.0.0.1/")
    with pytest.raises(SubscriptionError):
        await subscriptions.change(created.subscription.id, format="xml")
    with pytest.raises(SubscriptionError, match="not in 0 to 30 days"):
        await subscriptions.rotate(created.subscription.id, overlap=-1)
    assert (await subscriptions.get(created.subscription.id)) == created.subscription


async def test_there_is_an_end(subscriptions: Subscriptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamguard.alerts.subscriptions.MOST_SUBSCRIPTIONS", 2)
    for _ in range(2):
        await subscriptions.create(URL)
    with pytest.raises(SubscriptionError, match="there are 2 already"):
        await subscriptions.create(URL)


async def test_many_rotations_keep_few_secrets(
    subscriptions: Subscriptions, database: Database, sealer: Sealer, clock: Clock
) -> None:
    created = await subscriptions.create(URL)
    for _ in range(6):
        await subscriptions.rotate(created.subscription.id)
    async with database.read() as connection:
        from streamguard.alerts.tables import subscriptions as table

        kept = sealer.unseal((await connection.execute(table.select())).one().secrets)
    assert len(kept) == 4
    assert [one.until is None for one in kept] == [True, False, False, False]


def test_a_sealed_secret() -> None:
    sealer, secrets = Sealer(Sealer.new_key()), (Secret(new_secret()), Secret(new_secret(), 5.0))
    sealed = sealer.seal(secrets)
    assert sealer.unseal(sealed) == secrets
    assert sealer.seal(secrets) != sealed
    assert all(one.text not in repr(secrets) for one in secrets)
    with pytest.raises(ConfigError, match="sealed by another key"):
        Sealer(Sealer.new_key()).unseal(sealed)
    with pytest.raises(ConfigError, match="sealed by another key"):
        sealer.unseal(sealed[:-5] + "AAAA=")


@given(st.integers(1, 9), st.floats(0, 1), st.none() | st.floats(0, 1e6))
def test_the_waits(tries: int, chance: float, asked: float | None) -> None:
    wait = wait_after(tries, lambda: chance, asked)
    assert wait is not None
    plain = WAITS[tries - 1]
    assert wait >= 0.9 * plain - 1e-6
    assert wait <= max(1.1 * plain + 1e-6, min(asked or 0.0, LONGEST_RETRY_AFTER))
    assert wait >= min(asked or 0.0, LONGEST_RETRY_AFTER)


def test_the_last_try() -> None:
    assert wait_after(10, lambda: 0.5) is None
    assert WAITS == (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)


@pytest.mark.parametrize(
    ("text", "wait"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("999999999999", LONGEST_RETRY_AFTER),
        (formatdate(1.8e9 + 90, usegmt=True), 90.0),
        (formatdate(1.8e9 - 90, usegmt=True), 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after(text: str | None, wait: float | None) -> None:
    assert read_retry_after(text, 1.8e9) == wait


@given(st.text(max_size=60))
def test_retry_after_of_anything(text: str) -> None:
    wait = read_retry_after(text, 1.8e9)
    assert wait is None or 0.0 <= wait <= LONGEST_RETRY_AFTER
