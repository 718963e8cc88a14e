"""Webhooks over REST: made, changed, tested, replayed; and what is refused."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamguard.errors import ConfigError
from streamguard.pipeline.guard import Guard
from streamguard.server.alert_runtime import own_addresses
from streamguard.server.app import Server, serving
from streamguard.types import EventKind
from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.support.receiver import Receiver, answering, receiver
from tests.support.settings import config_of

WEBHOOKS = "/api/v1/webhooks"
LOOPBACK = ["127.0.0.0/8", "::1/128"]


@asynccontextmanager
async def alerting(
    serve_with: ServeWith, folder: Path, **settings: Any
) -> AsyncIterator[tuple[Server, aiohttp.ClientSession, Receiver]]:
    """A server that may send to the receiver."""
    async with receiver() as hears:
        authority = folder / "authority.pem"
        hears.ca.cert_pem.write_to_path(authority)
        alerts = {"allow_networks": LOOPBACK, "ca_file": authority, **settings.pop("alerts", {})}
        async with serve_with(alerts=alerts, **settings) as (server, http):
            yield server, http, hears


async def subscribed(http: aiohttp.ClientSession, hears: Receiver, path: str = "/", **more: Any) -> Any:
    """A subscription of the receiver's path, which knows the secret from then on."""
    response = await http.post(WEBHOOKS, json={"url": hears.url(path), **more})
    assert response.status == 201, await response.text()
    made = await response.json()
    hears.secrets[path] = made["secret"]
    assert response.headers["Location"] == f"{WEBHOOKS}/{made['webhook']['id']}"
    return made["webhook"]


async def problem(response: aiohttp.ClientResponse, status: int, *parts: str) -> None:
    """The answer is a problem of that status that says all of this, and how to mend it."""
    assert response.content_type == "application/problem+json"
    told = await response.json()
    assert (response.status, told["status"]) == (status, status), told
    assert told["remedy"], told
    for part in parts:
        assert part in f"{told['detail']} {told['remedy']}", told


async def test_a_fake_becomes_a_signed_message(serve_with: ServeWith, tmp_path: Path, half_fake: Path) -> None:
    async with alerting(serve_with, tmp_path) as (_, http, hears):
        webhook = await subscribed(http, hears, name="desk")
        await http.post("/api/v1/streams", json={"source": str(half_fake), "name": "clip", "loop": False})
        await hears.until(lambda: len(hears.accepted()) >= 2)
        assert hears.faces() == {("clip", 0, 1): ["fake.opened", "fake.closed"]}
        assert hears.accepted()[0].document["data"]["evidence"] == []
        log = await (await http.get(f"{WEBHOOKS}/{webhook['id']}/deliveries")).json()
        assert [each["kind"] for each in log["deliveries"]] == ["fake.closed", "fake.opened"]
        assert log["next"] is None


async def test_a_stream_that_is_removed_closes_what_it_opened(
    serve_with: ServeWith, tmp_path: Path, half_fake: Path
) -> None:
    async with alerting(serve_with, tmp_path, evidence={"enabled": True}) as (_, http, hears):
        await subscribed(http, hears)
        await http.post("/api/v1/streams", json={"source": str(half_fake), "name": "clip"})
        await hears.until(lambda: bool(hears.accepted()))
        await http.delete("/api/v1/streams/clip")
        await hears.until(lambda: len(hears.accepted()) >= 2)
        assert hears.faces() == {("clip", 0, 1): ["fake.opened", "fake.closed"]}


async def test_what_was_not_sent_goes_out_after_a_restart(detector: Path, tmp_path: Path, half_fake: Path) -> None:
    async with receiver() as hears:
        authority = tmp_path / "authority.pem"
        hears.ca.cert_pem.write_to_path(authority)
        alerts = {"allow_networks": LOOPBACK, "ca_file": authority, "folder": tmp_path / "kept"}
        settings = config_of(port=0, alerts=alerts)
        async with Guard.open(str(detector), "torch") as guard:
            async with serving(settings, guard) as server, aiohttp.ClientSession(server.url) as http:
                webhook = await subscribed(http, hears)
                await http.post(f"{WEBHOOKS}/{webhook['id']}/pause")
                await http.post("/api/v1/streams", json={"source": str(half_fake), "name": "clip"})
                await until(lambda: server.events.counts[EventKind.FAKE_OPENED])
            assert not hears.requests
            async with serving(settings, guard) as server, aiohttp.ClientSession(server.url) as http:
                again = await (await http.get(f"{WEBHOOKS}/{webhook['id']}")).json()
                assert again["status"] == "paused"
                await http.post(f"{WEBHOOKS}/{webhook['id']}/resume")
                await hears.until(lambda: bool(hears.accepted()))
    assert hears.accepted()[0].document["type"] == "fake.opened"


async def test_listed_changed_paused_rotated_deleted(serve_with: ServeWith, tmp_path: Path) -> None:
    async with alerting(serve_with, tmp_path) as (_, http, hears):
        webhook = await subscribed(http, hears, name="desk", rule={"streams": ["door*"], "for_seconds": 2})
        assert (webhook["status"], webhook["format"], webhook["rule"]["within_seconds"]) == ("active", "streamguard", 2)
        one = f"{WEBHOOKS}/{webhook['id']}"
        assert (await (await http.get(WEBHOOKS)).json())["webhooks"] == [webhook]
        assert await (await http.get(one)).json() == webhook
        changed = await (await http.patch(one, json={"name": "night", "format": "cloudevents"})).json()
        assert (changed["name"], changed["format"], changed["rule"]) == ("night", "cloudevents", webhook["rule"])
        assert (await (await http.post(f"{one}/pause")).json())["status"] == "paused"
        assert (await (await http.post(f"{one}/resume")).json())["status"] == "active"
        old = hears.secrets["/"]
        rotated = await (await http.post(f"{one}/rotate", json={"overlap_seconds": 60})).json()
        assert rotated["secret"] not in ("", old)
        assert "secret" not in (await (await http.get(one)).text())
        # Both sign for a while: the receiver has not learned the new one yet.
        await http.post(f"{one}/test")
        await hears.until(lambda: bool(hears.accepted()))
        assert len(hears.accepted()[0].headers["webhook-signature"].split()) == 2
        assert (await http.delete(one)).status == 204
        await problem(await http.get(one), 404, webhook["id"])
        assert (await (await http.get(WEBHOOKS)).json())["webhooks"] == []


async def test_the_log_has_pages_and_is_sent_again(serve_with: ServeWith, tmp_path: Path) -> None:
    async with alerting(serve_with, tmp_path) as (_, http, hears):
        webhook = await subscribed(http, hears)
        one = f"{WEBHOOKS}/{webhook['id']}"
        began = datetime.now(UTC)
        sent = [(await (await http.post(f"{one}/test")).json())["id"] for _ in range(5)]
        await hears.until(lambda: len(hears.accepted()) == 5)
        seen: list[str] = []
        cursor: int | None = 2**63 - 1
        while cursor is not None:
            page = await (await http.get(f"{one}/deliveries?limit=2&cursor={cursor}")).json()
            seen += [each["id"] for each in page["deliveries"]]
            cursor = page["next"]
        assert seen == sent[::-1]
        log: list[Any] = []

        async def delivered() -> list[Any]:
            found = await (await http.get(f"{one}/deliveries?status=delivered")).json()
            return list(found["deliveries"])

        while len(log := await delivered()) < 5:
            pass
        assert {(each["code"], each["attempts"], each["kind"]) for each in log} == {(200, 1, "webhook.test")}
        again = await http.post(f"{one}/deliveries/{sent[0]}/replay")
        assert (again.status, (await again.json())["id"]) == (202, sent[0])
        await hears.until(lambda: hears.ids()[sent[0]] == 2)
        other = await subscribed(http, hears, "/other")
        await problem(await http.post(f"{WEBHOOKS}/{other['id']}/deliveries/{sent[0]}/replay"), 404, sent[0])
        while len(await delivered()) < 5:
            pass
        span = {"since": (began - timedelta(minutes=1)).isoformat(), "until": datetime.now(UTC).isoformat()}
        replayed = await http.post(f"{one}/replay", json=span)
        assert (replayed.status, await replayed.json()) == (202, {"deliveries": 5})
        await hears.until(lambda: len(hears.accepted()) == 11)
        backwards = {"since": span["until"], "until": span["since"]}
        await problem(await http.post(f"{one}/replay", json=backwards), 422, "its end is not after its start")


async def test_an_endpoint_that_is_gone_is_disabled(serve_with: ServeWith, tmp_path: Path) -> None:
    async with alerting(serve_with, tmp_path) as (_, http, hears):
        webhook = await subscribed(http, hears)
        hears.behaviour["/"] = answering(410)
        one = f"{WEBHOOKS}/{webhook['id']}"
        await http.post(f"{one}/test")
        while (found := await (await http.get(one)).json())["status"] != "disabled":
            pass
        assert found["reason"]
        await problem(await http.post(f"{one}/test"), 422, "disabled", "Resume it first.")


SHORT = "whsec_" + base64.b64encode(b"x" * 23).decode()
BAD: list[tuple[dict[str, Any], int, str]] = [
    ({}, 422, "body.url"),
    ({"url": "https://example.com/", "sekret": "x"}, 422, "body.sekret"),
    ({"url": "https://example.com/", "rule": {"stream": "x"}}, 422, "body.rule.stream"),
    ({"url": "https://example.com/", "rule": {"least_score": 2}}, 422, "body.rule.least_score"),
    ({"url": "https://example.com/", "rule": {"kinds": ["x"]}}, 422, "body.rule.kinds"),
    ({"url": "https://example.com/", "rule": {"quiet": [{"start": "25:00", "end": "1:00"}]}}, 422, "HH:MM"),
    ({"url": "https://example.com/", "format": "xml"}, 422, "body.format"),
    ({"url": "https://example.com/", "format": "ms-graph", "rule": {"kinds": ["stream.up"]}}, 422, "ms-graph"),
    ({"url": "nonsense"}, 422, "no https URL"),
    ({"url": "ftp://example.com/"}, 422, "no https URL"),
    ({"url": "http://example.com/"}, 422, "not encrypted"),
    ({"url": "https://bob:pw@example.com/"}, 422, "user name or password"),
    ({"url": "https://example.com/#x"}, 422, "fragment"),
    ({"url": "https://" + "a" * 2100}, 422, "body.url"),
    ({"url": "https://10.1.2.3/"}, 403, "private"),
    ({"url": "https://169.254.169.254/latest"}, 403, "private"),
    ({"url": "https://[::ffff:10.0.0.1]/"}, 403, "private"),
    ({"url": "https://example.com/", "secret": SHORT}, 422, "it holds 23 bytes"),
    ({"url": "https://example.com/", "secret": "hunter2"}, 422, "whsec_"),
    ({"url": "https://example.com/", "name": "n" * 257}, 422, "body.name"),
]


@pytest.mark.parametrize(("body", "status", "part"), BAD)
async def test_bad_subscriptions(http: aiohttp.ClientSession, body: dict[str, Any], status: int, part: str) -> None:
    response = await http.post(WEBHOOKS, json=body)
    await problem(response, status, part)
    assert "hunter2" not in await response.text()
    assert "pw@" not in await response.text()


async def test_bodies_that_are_none(http: aiohttp.ClientSession) -> None:
    await problem(await http.post(WEBHOOKS, data=b"{", headers={"Content-Type": "application/json"}), 422)
    await problem(await http.post(WEBHOOKS, data=b"x"), 415, "application/json")
    await problem(await http.post(WEBHOOKS, json={"url": "https://a.example", "name": "x" * 70_000}), 413, "65536")
    await problem(await http.get(f"{WEBHOOKS}/sub_none/deliveries"), 404, "sub_none")
    await problem(await http.get(f"{WEBHOOKS}/x/deliveries?limit=0"), 422, "query.limit")
    await problem(await http.post(f"{WEBHOOKS}/x/replay", json={"since": "2026-01-01T00:00:00"}), 422)


async def test_no_subscription_to_itself(serve_with: ServeWith, tmp_path: Path) -> None:
    async with serve_with(alerts={"allow_networks": LOOPBACK, "allow_http": True}) as (server, http):
        port = server.url.rpartition(":")[2]
        for host in ("127.0.0.1", "localhost", "LOCALHOST.", "[::1]"):
            response = await http.post(WEBHOOKS, json={"url": f"http://{host}:{port}/hook"})
            await problem(response, 403, "this very server")
        response = await http.post(WEBHOOKS, json={"url": f"http://127.0.0.1:{int(port) ^ 1}/hook"})
        assert response.status == 201
        one = response.headers["Location"]
        await problem(await http.patch(one, json={"url": f"http://localhost:{port}/"}), 403, "this very server")


def test_the_addresses_of_a_server() -> None:
    own = own_addresses("http://0.0.0.0:8080", "https://guard.example/streams", ["Door.example"])
    assert {("localhost", 8080), ("127.0.0.1", 8080), ("door.example", 8080), ("guard.example", 443)} <= own
    assert ("127.0.0.1", 80) not in own_addresses("http://192.0.2.7:80", "http://192.0.2.7:80", [])


async def test_only_admins(serve_with: ServeWith) -> None:
    tokens = [{"token": f"{scope}-0123456789abcdef", "scopes": [scope]} for scope in ("admin", "view", "publish")]
    async with serve_with(tokens=tokens) as (_, http):
        assert (await http.get(WEBHOOKS)).status == 401
        for scope, status in (("admin", 200), ("view", 403), ("publish", 403)):
            headers = {"Authorization": f"Bearer {scope}-0123456789abcdef"}
            assert (await http.get(WEBHOOKS, headers=headers)).status == status
            assert (await http.delete("/api/v1/streams/x/evidence", headers=headers)).status == status


async def test_alerts_switched_off(serve_with: ServeWith, tmp_path: Path) -> None:
    async with serve_with(alerts={"enabled": False, "folder": tmp_path / "none"}) as (_, http):
        await problem(await http.get(WEBHOOKS), 503, "alerts.enabled")
        assert not (tmp_path / "none").exists()


async def test_a_place_that_cannot_be_used(detector: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    async with Guard.open(str(detector), "torch") as guard:
        for alerts, part in (
            ({"folder": tmp_path / "file" / "x"}, "alerts.enabled = false"),
            ({"ca_file": tmp_path / "file"}, "PEM"),
        ):
            with pytest.raises(ConfigError, match="(?i)" + part):
                async with serving(config_of(port=0, alerts=alerts), guard):
                    pass
