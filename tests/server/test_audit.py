"""The audit log through the whole server: who, from where, what; for admins; and never a secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.server.conftest import ServeWith
from tests.server.peers import Peer, PortraitTrack, until
from tests.server.test_auth import ADMIN, SEND, VIEW, bearer
from tests.server.test_evidence import EVIDENCE, opened_alert
from tests.server.test_protocol import problem
from tests.server.test_webhooks_api import alerting
from tests.support.settings import config_of

TOKENS = [
    {"name": "desk", "token": ADMIN, "scopes": ["admin"]},
    {"token": VIEW, "scopes": ["view"]},
    {"name": "studio", "token": SEND, "scopes": ["publish"]},
]
AUDIT = "/api/v1/audit"


async def listed(http: aiohttp.ClientSession, **query: Any) -> list[dict[str, Any]]:
    """The log, oldest first."""
    answer = await http.get(AUDIT, params=query, headers=bearer(ADMIN))
    assert answer.status == 200, await answer.text()
    entries: list[dict[str, Any]] = (await answer.json())["entries"]
    return entries[::-1]


async def test_who_did_what(
    serve_with: ServeWith, tmp_path: Path, half_fake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "streamguard.audit")
    settings = {"evidence": EVIDENCE, "tokens": TOKENS, "allow_local_sources": True, "trusted_proxies": ["127.0.0.1"]}
    async with alerting(serve_with, tmp_path, **settings) as (_, http, hears):
        desk = {**bearer(ADMIN), "X-Forwarded-For": "2001:db8::7"}
        made = await http.post("/api/v1/webhooks", json={"url": hears.url("/")}, headers=desk)
        webhook = await made.json()
        hears.secrets["/"] = webhook["secret"]
        new = {"source": str(half_fake), "name": "clip"}
        assert (await http.post("/api/v1/streams", json=new, headers=desk)).status == 201
        link = next(each for each in (await opened_alert(hears))["evidence"] if "clip.mp4" in each)
        for part in ("bytes=0-99", "bytes=100-199"):
            assert (await http.get(link, headers={"Range": part})).status == 206
        # What was refused is not done.
        await problem(await http.get(f"{link}x"), 403)
        await problem(await http.delete("/api/v1/streams/clip", headers=bearer(VIEW)), 403)
        assert (await http.delete("/api/v1/streams/clip/evidence", headers=desk)).status == 200
        async with Peer(http) as peer:
            published = await peer.post("/whip/cam", await peer.offer(send=PortraitTrack()), **bearer(SEND))
            assert published.status == 201
            assert (await http.delete(published.headers["Location"], headers=bearer(SEND))).status == 200
        entries = await listed(http)
        assert [(each["who"], each["action"]) for each in entries] == [
            ("desk", "addWebhook"),
            ("desk", "addStream"),
            (None, "evidence"),
            ("desk", "eraseEvidence"),
            ("studio", "publish"),
        ]
        assert entries[0]["target"] == f"/api/v1/webhooks/{webhook['webhook']['id']}"
        assert entries[1]["target"] == "/api/v1/streams/clip"
        assert entries[2]["target"] in link
        proxied, direct = "2001:db8::7", "127.0.0.1"
        assert [each["address"] for each in entries] == [proxied, proxied, direct, proxied, direct]
        assert [each["action"] for each in await listed(http, who="studio")] == ["publish"]
        assert await listed(http, action="evidence", until=entries[0]["at"]) == []
        for token in (VIEW, SEND):
            await problem(await http.get(AUDIT, headers=bearer(token)), 403)
        await problem(await http.get(AUDIT), 401)
    told = [line for line in caplog.messages if line.startswith("audit")]
    assert len(told) == len(entries)
    secrets = [link.partition("?")[2], published.headers["Location"], webhook["secret"], ADMIN, SEND]
    assert not [secret for secret in secrets if secret in f"{told}{entries}"]


async def test_it_outlives_a_restart_and_works_without_alerts(
    serve_with: ServeWith, tmp_path: Path, real: Path
) -> None:
    new = {"source": str(real), "name": "clip"}
    settings: dict[str, Any] = {"tokens": TOKENS, "allow_local_sources": True}
    for _ in range(2):
        async with serve_with(alerts={"folder": tmp_path / "kept"}, **settings) as (
            _,
            http,
        ):
            assert (await http.post("/api/v1/streams", json=new, headers=bearer(ADMIN))).status == 201
            assert (await http.delete("/api/v1/streams/clip", headers=bearer(ADMIN))).status == 204
            count = len(await listed(http))
    assert count == 4
    async with serve_with(alerts={"enabled": False}, **settings) as (server, http):
        assert (await http.post("/api/v1/streams", json=new, headers=bearer(ADMIN))).status == 201
        await until(lambda: server.hub.find("clip").newest)
        assert [each["action"] for each in await listed(http)] == ["addStream"]


def test_two_tokens_of_one_name_are_refused() -> None:
    tokens = [{"name": "desk", "token": token, "scopes": ["view"]} for token in (ADMIN, VIEW)]
    with pytest.raises(ValueError, match="the same name, `desk`"):
        config_of(tokens=tokens)
