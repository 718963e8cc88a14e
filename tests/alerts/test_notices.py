"""Notices to people: a real mail server and real HTTP receivers that fail, and each notice arrives once."""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from streamguard.alerts import (
    Database,
    DeliveryStatus,
    NoticeOptions,
    Notifier,
    Rule,
    Sealer,
    check_notice,
)
from streamguard.alerts import notices as module
from streamguard.alerts.formats import render_payload
from streamguard.alerts.notice_text import notice_of
from streamguard.alerts.notices import HEADER, shown_notice
from streamguard.clock import wall_clock
from streamguard.errors import SubscriptionError
from streamguard.types import EventKind
from tests.alerts.tools import Clock, House, event, house
from tests.server.peers import until
from tests.support.hosts import refused_port
from tests.support.mail_server import MailServer, mail_server
from tests.support.receiver import Receiver

SITE = "https://guard.example"
FAULTS = ("busy", "gone", "rcpt", "data", "broken")
JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"


@pytest.fixture
async def mails() -> AsyncIterator[MailServer]:
    """A mail server."""
    async with mail_server() as one:
        yield one


@asynccontextmanager
async def noticing(home: House, options: NoticeOptions | None = None) -> AsyncIterator[House]:
    """The house, sending to people too."""
    async with Notifier(options or NoticeOptions(SITE)) as notifier:
        home.deliverer.notifier = notifier
        yield home
        await home.deliverer.close()


@asynccontextmanager
async def hook(*answers: int) -> AsyncIterator[tuple[int, list[web.Request], list[Any]]]:
    """A receiver of JSON over HTTP that gives these answers, then 200; its port, requests and documents."""
    requests: list[web.Request] = []
    documents: list[Any] = []
    left = list(answers)

    async def take(request: web.Request) -> web.Response:
        requests.append(request)
        documents.append(await request.json())
        return web.Response(status=left.pop(0) if left else 200, headers={"Retry-After": "5"})

    app = web.Application(client_max_size=2**24)
    app.router.add_post("/{rest:.*}", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield runner.addresses[0][1], requests, documents
    finally:
        await runner.cleanup()


def mailto(port: int, **more: str) -> str:
    """A URL that sends mail to one person."""
    query = "".join(f"&{key}={value}" for key, value in more.items())
    return f"mailto://127.0.0.1:{port}?from=guard@news.example&to=desk@news.example{query}"


async def test_a_notice_says_what_happened_and_leads_to_the_incident(home: House, mails: MailServer) -> None:
    async with noticing(home, NoticeOptions(SITE, lambda link: JPEG if link.startswith(SITE) else None)):
        made = await home.subscriptions.create(mailto(mails.port), format="notice", name="desk")
        assert (made.secret, made.subscription.url) == ("", "mailto://***")
        picture = f"{SITE}/evidence/a/b/snapshot-mask.jpg?expires=1&signature=x"
        opened = event("fake.opened", home.clock(), incident="01JINCIDENT", evidence=(f"{SITE}/m.json", picture))
        await home.tell(opened)
    (mail,) = mails.mails
    assert mail[HEADER] == f"msg_{opened.id}_{made.subscription.id}"
    text, attached = mail.get_payload()
    assert attached.get_payload(decode=True) == JPEG
    assert attached.get_filename() == "alert.jpg"
    plain = text.get_payload(decode=True).decode()
    for part in ("“door”" if "“" in plain else "door", "0.90", "80%", f"{SITE}/#/incident/01JINCIDENT", picture):
        assert part in plain, plain
    (logged,) = await home.deliveries.list()
    assert (logged.status, logged.attempts) == (DeliveryStatus.DELIVERED, 1)


@pytest.mark.slow
async def test_a_thousand_notices_through_a_flaky_mail_server_arrive_once_each(
    tmp_path: Path, receiving: Receiver, sealer: Sealer, mails: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # smtplib's caller reads all of the system's authorities for each mail, which takes longer than the mail.
    authority = tmp_path / "authority.pem"
    receiving.ca.cert_pem.write_to_path(str(authority))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    chance = random.Random(7)
    mails.next_fault = lambda _: chance.choice(FAULTS) if chance.random() < 0.25 else ""
    async with (
        await Database.open(f"sqlite:///{tmp_path / 'alerts.db'}") as database,
        house(database, receiving, Clock(wall_clock()), sealer) as home,
        noticing(home),
    ):
        made = await home.subscriptions.create(mailto(mails.port), format="notice")
        told = [event("fake.opened", home.clock(), track=track) for track in range(1000)]
        for start in range(0, len(told), 100):
            await home.outbox.record(told[start : start + 100])
        for _ in range(200):
            await home.deliverer.pump()
            if len(mails.mails) >= len(told):
                break
            home.clock.pass_(3 * 3600)
        assert len(mails.ids()) == len(set(mails.ids())) == 1000
        assert set(mails.ids()) == {f"msg_{each.id}_{made.subscription.id}" for each in told}
        assert mails.connections > 1100, "it was flaky"
        failed = home.deliverer.counts
        assert sum(failed.values()) == mails.connections


async def test_an_answer_that_is_lost_is_the_one_way_to_come_twice(home: House, mails: MailServer) -> None:
    left = ["lost answer"]
    mails.next_fault = lambda _: left.pop() if left else ""
    async with noticing(home):
        await home.subscriptions.create(mailto(mails.port), format="notice")
        await home.tell(event("fake.opened", home.clock()))
        home.clock.pass_(6)
        await home.deliverer.pump()
    first, second = mails.mails
    assert first[HEADER] == second[HEADER]


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("rcpt", "the mail server answered 451"),
        ("data", "the mail server answered 451"),
        ("busy", "the mail server answered 421"),
        ("gone", "not reached, or the connection broke off"),
    ],
)
async def test_why_a_mail_failed_is_told_in_our_words(home: House, mails: MailServer, fault: str, told: str) -> None:
    mails.next_fault = lambda _: fault
    async with noticing(home):
        await home.subscriptions.create(mailto(mails.port), format="notice")
        await home.tell(event("fake.opened", home.clock()))
    (logged,) = await home.deliveries.list()
    assert (logged.status, logged.code, logged.answer) == (DeliveryStatus.PENDING, None, told)


async def test_429_leaves_the_whole_service_alone_for_a_minute(home: House) -> None:
    async with hook(429) as (port, requests, documents), noticing(home):
        await home.subscriptions.create(f"json://127.0.0.1:{port}/hook", format="notice")
        await home.tell(event("fake.opened", home.clock()))
        await home.tell(event("fake.opened", home.clock(), track=2))
        (first, _) = await home.deliveries.list()
        assert (first.code, first.answer) == (429, "the service answered 429")
        home.clock.pass_(59)
        await home.deliverer.pump()
        assert len(requests) == 1, "the second face waits with the first"
        home.clock.pass_(2)
        await home.deliverer.pump()
        assert len(requests) == 3
        ids = [request.headers[HEADER] for request in requests]
        assert len(set(ids)) == 2
        assert ids.count(ids[0]) == 2, "the refused one came again, with its id"
        assert documents[0]["title"] == "Fake face in “door”"


async def test_410_ends_it(home: House) -> None:
    async with hook(410) as (port, _, _), noticing(home):
        made = await home.subscriptions.create(f"json://127.0.0.1:{port}/", format="notice")
        await home.tell(event("fake.opened", home.clock()))
        assert (await home.subscriptions.get(made.subscription.id)).status == "disabled"


async def test_what_a_service_takes_too_late_is_not_sent_again(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LONGEST", 0.3)
    free, came = asyncio.Event(), []

    async def slow(request: web.Request) -> web.Response:
        came.append(request.headers[HEADER])
        await free.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/", slow)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with noticing(home):
            await home.subscriptions.create(f"json://127.0.0.1:{runner.addresses[0][1]}/", format="notice")
            await home.tell(event("fake.opened", home.clock()))
            (logged,) = await home.deliveries.list()
            assert logged.answer == "no whole answer within 0.3 s"
            free.set()
            await until(lambda: bool(home.deliverer.notifier and home.deliverer.notifier._late))
            home.clock.pass_(6)
            await home.deliverer.pump()
            (logged,) = await home.deliveries.list()
            assert (logged.status, logged.attempts, len(came)) == (DeliveryStatus.DELIVERED, 2, 1)
    finally:
        await runner.cleanup()


class Lines(logging.Handler):
    """What the root logger writes. Not `caplog`, which listens to loggers by themselves too."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the line."""
        # The mail server of the test writes what it hears, and says.
        if record.name != "mail.log":
            self.lines.append(f"{record.name} {record.getMessage()}")


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """All that reaches the root logger, from the least level on; urllib3's as `set_up_logs` leaves it, at warnings."""
    root, handler, before = logging.getLogger(), Lines(), logging.getLogger().level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(before)
    logging.getLogger("urllib3").setLevel(logging.NOTSET)


async def test_no_part_of_the_url_is_logged_listed_or_kept(home: House, mails: MailServer, lines: list[str]) -> None:
    secrets = ("hunter2", "T0KEN-IN-THE-PATH", "T0KEN-IN-THE-QUERY")
    mails.next_fault = lambda _: "rcpt"
    logging.getLogger("probe").debug("it is heard")
    async with hook(500) as (port, requests, _), noticing(home):
        closed = refused_port()
        for url in (
            mailto(mails.port, name="hunter2"),
            f"json://guard:hunter2@127.0.0.1:{port}/T0KEN-IN-THE-PATH?-key=T0KEN-IN-THE-QUERY",
            f"json://guard:hunter2@127.0.0.1:{closed}/T0KEN-IN-THE-PATH?-key=T0KEN-IN-THE-QUERY",
        ):
            await home.subscriptions.create(url, format="notice")
        await home.tell(event("fake.opened", home.clock()))
        assert "T0KEN-IN-THE-PATH" in requests[0].path
        told = [str(each) for each in (*await home.subscriptions.list(), *await home.deliveries.list())]
    assert len(told) == 6
    assert "probe it is heard" in lines
    for secret in secrets:
        assert secret not in "".join(told) + "\n".join(lines)


async def test_a_notice_stays_one(home: House, mails: MailServer) -> None:
    async with noticing(home):
        made = await home.subscriptions.create(mailto(mails.port), format="notice")
        id = made.subscription.id
        hooked = await home.subscribe()
        for change in ({"url": "https://news.example/"}, {"format": "streamguard"}):
            with pytest.raises(SubscriptionError, match="neither moved nor made a webhook"):
                await home.subscriptions.change(id, **change)
        with pytest.raises(SubscriptionError, match="nor the other way"):
            await home.subscriptions.change(hooked.subscription.id, format="notice")
        with pytest.raises(SubscriptionError, match="has no secret"):
            await home.subscriptions.rotate(id)
        await home.subscriptions.change(id, name="night desk", rule=Rule(streams=("door*",)))
        await home.subscriptions.change(id, url=mailto(mails.port, name="new"), format="notice")
        await home.deliveries.test(id)
        await home.deliverer.pump()
    (mail,) = mails.mails
    assert mail["Subject"] == "Test from streamguard"


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("nope://x", "does not know such a URL"),
        ("mailto://", "does not know such a URL"),
        ("json://", "does not know such a URL"),
        ("tgram://hunter2/x", "does not know such a URL"),
        ("ntfy://127.0.0.1/one/two", "names 2 recipients"),
        ("mailto://guard:hunter2@news.example?to=a@news.example,b@news.example", "names 2 recipients"),
        ("mailto://guard:hunter2@news.example?to=a@news.example&cc=b@news.example", "names 2 recipients"),
        ("mailto://guard:hunter2@news.example?to=a@news.example&bcc=b@news.example&retry=3", "names 2 recipients"),
        ("", "does not know such a URL"),
        ("\x00://\n", "does not know such a URL"),
    ],
)
def test_a_url_that_will_not_do_is_refused_without_being_told(url: str, cause: str) -> None:
    with pytest.raises(SubscriptionError, match=cause) as caught:
        check_notice(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.remedy


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    module._apprise.cache_clear()
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(SubscriptionError, match=r"streamguard\[notices\]"):
        check_notice("json://127.0.0.1/")


def test_a_url_is_shown_as_its_scheme() -> None:
    assert shown_notice("slack://T1JJ3T3L2/A1BRTD4JD/x") == "slack://***"
    assert shown_notice("no scheme at all") == "://***"


@pytest.mark.parametrize("kind", list(EventKind))
def test_every_kind_has_words(kind: EventKind) -> None:
    import json

    payload = render_payload("notice", event(kind.value, wall_clock(), detail="why"))
    assert payload is not None
    notice = notice_of(json.loads(payload.body), "")
    assert "door" in notice.title
    assert "why" in notice.text
    assert "may be wrong" in notice.text
    assert "$" not in notice.title + notice.text


def test_only_cleared_is_an_all_clear() -> None:
    import json

    from streamguard.types import Closing

    closed = event("fake.closed", wall_clock())
    for cause in Closing:
        payload = render_payload("notice", replace(closed, cause=cause))
        assert payload is not None
        notice = notice_of(json.loads(payload.body), SITE)
        assert ("not cleared" in notice.title) == (cause is not Closing.CLEARED)
        assert ("no all-clear" in notice.text) == (cause is not Closing.CLEARED)


def test_words_from_outside_are_no_template() -> None:
    import json

    payload = render_payload("notice", event("fake.opened", wall_clock(), stream="$notice ${x} <b>\n2"))
    assert payload is not None
    notice = notice_of(json.loads(payload.body), "")
    assert notice.title == "Fake face in “$notice ${x} <b> 2”"
