"""Rights of people whom a provider or a proxy signs on: over streams, in the audit log, and by which settings."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pydantic import ValidationError

from streamguard.config import Config
from tests.alerts.tools import event
from tests.server.conftest import ServeWith
from tests.server.test_auth import bearer
from tests.server.test_webhooks_api import problem
from tests.support.openid_provider import GRANTS, Provider, settings_of
from tests.support.settings import config_of


async def test_streams_incidents_and_events_of_others_are_not_seen(serve_with: ServeWith, provider: Provider) -> None:
    token = {"token": "0123456789-night", "name": "night", "scopes": ["view"], "streams": ["studio-*"]}
    admin = {"token": "0123456789-admin", "scopes": ["admin"]}
    async with serve_with(openid=settings_of(provider), grants=GRANTS, tokens=[token, admin]) as (server, http):
        assert server.hub.desk is not None
        opened = {
            name: event("fake.opened", time.time(), stream=name, incident=f"01J0000000000000000000{number:04}")
            for number, name in enumerate(("news-1", "studio-1", "door"))
        }
        for each in opened.values():
            await server.hub.desk.alerts.record(each)
        desk = bearer(provider.token(groups=["desk"]))
        assert (await (await http.get("/api/v1/access", headers=desk)).json())["scopes"] == ["review", "view"]
        for headers, seen in ((desk, "news-1"), (bearer("0123456789-night"), "studio-1")):
            for path, key in (
                ("events?limit=1", "events"),
                ("incidents?limit=1", "incidents"),
                ("incidents.json", "incidents"),
            ):
                told = await (await http.get(f"/api/v1/{path}", headers=headers)).json()
                assert [each["stream"] for each in told[key]] == [seen], path
            table = await (await http.get("/api/v1/incidents.csv", headers=headers)).text()
            assert [name for name in opened if name in table] == [seen]
            for name, each in opened.items():
                right = 200 if name == seen else 403
                assert (await http.get(f"/api/v1/incidents/{each.incident}", headers=headers)).status == right
                assert (await http.get(f"/api/v1/incidents/{each.incident}/report", headers=headers)).status == right
                clip = await http.get(f"/api/v1/incidents/{each.incident}/clips/{each.id}", headers=headers)
                assert clip.status == (404 if name == seen else 403)
                picture = await http.get(f"/api/v1/events/{each.id}/snapshot", headers=headers)
                assert picture.status == (404 if name == seen else 403)
        marked = {
            name: (
                await http.patch(f"/api/v1/incidents/{each.incident}", json={"mark": "confirmed"}, headers=desk)
            ).status
            for name, each in opened.items()
        }
        assert marked == {"news-1": 200, "studio-1": 403, "door": 403}
        # What is of no stream, or of all, needs the scope over all.
        for path in ("/metrics", "/api/v1/audit", "/api/v1/webhooks"):
            await problem(await http.get(path, headers=desk), 403)
        await problem(await http.post("/whip/news-1", headers=desk), 403)
        publisher = bearer(provider.token(scope="streamguard.publish"))
        await problem(await http.post("/whip/news-1", data=b"x", headers=publisher), 403)
        refused = await http.post("/whip/studio-1", data=b"x", headers=publisher)
        assert refused.status == 415, "let in, and then told that this is no offer"
        for path in ("streams/door", "streams/door/events", "streams/door/snapshot"):
            assert (await http.get(f"/api/v1/{path}", headers=desk)).status in {403, 404}


async def test_the_audit_log_and_marks_name_the_user(serve_with: ServeWith, provider: Provider) -> None:
    async with serve_with(openid=settings_of(provider), grants=GRANTS) as (server, http):
        await problem(await http.get("/api/v1/streams"), 401)
        assert server.hub.desk is not None
        opened = event("fake.opened", time.time(), stream="news-1", incident="01J00000000000000000000001")
        await server.hub.desk.alerts.record(opened)
        desk, chief = bearer(provider.token(groups=["desk"])), bearer(provider.token(sub="boss", groups=["chiefs"]))
        path = f"/api/v1/incidents/{opened.incident}"
        marked = await (await http.patch(path, json={"mark": "confirmed"}, headers=desk)).json()
        assert marked["marked_by"] == "openid:anna"
        log = await (await http.get("/api/v1/audit?who=openid:anna", headers=chief)).json()
        assert [(each["who"], each["action"]) for each in log["entries"]] == [("openid:anna", "markIncident")]
        expired = await http.get("/api/v1/streams", headers=bearer(provider.token(exp=time.time() - 100)))
        await problem(expired, 401, "it has expired")
        assert 'error="invalid_token"' in expired.headers["WWW-Authenticate"]
        told = await (await http.get("/metrics", headers=chief)).text()
        assert 'streamguard_sign_ons_total{by="openid",result="refused"} 1.0' in told
        assert "streamguard_openid_keys_age_seconds" in told


async def test_a_provider_out_of_reach_is_no_wrong_token(serve_with: ServeWith, provider: Provider) -> None:
    token = {"token": "0123456789-admin", "scopes": ["admin"]}
    async with serve_with(openid=settings_of(provider), grants=GRANTS, tokens=[token]) as (_, http):
        provider.answer = 500
        for _ in range(15):
            refused = await http.get("/api/v1/streams", headers=bearer(provider.token()))
            await problem(refused, 503, "cannot be fetched")
            assert refused.headers["Retry-After"]
        assert (await http.get("/api/v1/streams", headers=bearer("0123456789-admin"))).status == 200


PROXY = {"networks": ["127.0.0.1/32"]}
DESK = {"X-Forwarded-User": "anna", "X-Forwarded-Groups": "staff, desk"}


async def test_a_proxy_s_word(serve_with: ServeWith) -> None:
    async with serve_with(proxy_sign_on=PROXY, grants=GRANTS) as (_, http):
        assert (await (await http.get("/api/v1/access", headers=DESK)).json())["scopes"] == ["review", "view"]
        await problem(await http.get("/api/v1/access"), 401)
        await problem(await http.get("/api/v1/access", headers={"X-Forwarded-User": ""}), 401)
        await problem(await http.get("/api/v1/access", headers={"X-Forwarded-User": "x" * 200}), 401, "names nobody")
        nobody = await http.get("/api/v1/access", headers={"X-Forwarded-User": "anna"})
        assert (await nobody.json())["scopes"] == []
        for name in DESK:
            twice = [*DESK.items(), (name, "chiefs")]
            await problem(await http.get("/api/v1/access", headers=twice), 401, "there twice")
        chief = {"X-Forwarded-User": "boss", "X-Forwarded-Groups": "chiefs"}
        assert (await http.post("/api/v1/webhooks/x/pause", headers=chief)).status == 404
        for sent in (
            {"Origin": "https://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ):
            foreign = await http.post("/api/v1/webhooks/x/pause", headers={**chief, **sent})
            await problem(foreign, 403, "Another web page")
        log = await (await http.get("/api/v1/audit", headers=chief)).json()
        assert log["entries"] == []


async def test_header_fields_from_elsewhere_count_for_nothing(serve_with: ServeWith) -> None:
    async with serve_with(proxy_sign_on={"networks": ["10.0.0.7/32"]}, grants=GRANTS) as (_, http):
        await problem(await http.get("/api/v1/access", headers=DESK), 401)
        told = {**DESK, "X-Forwarded-For": "10.0.0.7", "X-Real-IP": "10.0.0.7", "Forwarded": "for=10.0.0.7"}
        await problem(await http.get("/api/v1/access", headers=told), 401)


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"openid": {"issuer": "http://id.example", "audience": ["x"]}, "grants": GRANTS}, "write https"),
        ({"openid": {"issuer": "id.example", "audience": ["x"]}, "grants": GRANTS}, "https://host/path"),
        ({"openid": {"issuer": "https://id.example", "audience": []}, "grants": GRANTS}, "at least 1 item"),
        ({"openid": {"issuer": "https://i.x", "audience": ["x"], "algorithms": ["none"]}, "grants": GRANTS}, "RS256"),
        ({"openid": {"issuer": "https://i.x", "audience": ["x"], "algorithms": ["HS256"]}, "grants": GRANTS}, "RS256"),
        ({"openid": {"issuer": "https://id.example", "audience": ["x"]}}, "may do anything"),
        ({"proxy_sign_on": PROXY}, "may do anything"),
        ({"proxy_sign_on": {"networks": []}, "grants": GRANTS}, "at least 1 item"),
        ({"grants": GRANTS}, "there is neither"),
        ({"proxy_sign_on": PROXY, "grants": [{"scopes": ["view"]}]}, "either a group or a scope"),
        ({"proxy_sign_on": PROXY, "grants": [{"group": "a", "scope": "b", "scopes": ["view"]}]}, "either a group"),
        ({"proxy_sign_on": PROXY, "grants": [{"group": "a", "scopes": ["admin"], "streams": ["x"]}]}, "whole server"),
        ({"tokens": [{"token": "x" * 16, "scopes": ["admin"], "streams": ["x"]}]}, "whole server"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], cause: str) -> None:
    with pytest.raises(ValidationError, match=cause):
        config_of(**settings)


def test_signed_on_people_are_enough_to_listen_elsewhere() -> None:
    made = config_of(host="0.0.0.0", proxy_sign_on={"networks": ["10.0.0.7"]}, grants=GRANTS)
    assert isinstance(made, Config)
    assert made.server.guarded
    assert not made.server.local_sources
