"""Notices of a running server: the example tells somebody by mail, and no answer of the API tells the URL."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from streamguard.config import read_config
from streamguard.config.reading import load_config
from streamguard.config.reference import rows
from streamguard.errors import ConfigError, InvalidConfig
from streamguard.server.configured_rules import subscription_id
from streamguard.server.preflight import preflight
from tests.alerts.tools import event
from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.server.test_reload import reloadable, reloaded
from tests.server.test_webhooks_api import WEBHOOKS, problem
from tests.support.mail_server import mail_server
from tests.support.training_data import ROOT

EXAMPLE = ROOT / "examples" / "notices" / "notices.toml"
DESK = subscription_id("desk")
JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"


async def test_the_example_tells_the_desk_by_mail(serve_with: ServeWith) -> None:
    (rule,) = read_config(EXAMPLE).rules
    async with mail_server() as mails:
        url = rule.url.get_secret_value().replace("8025", str(mails.port))
        given = [{"name": "desk", "url": url, "kinds": ["fake.opened", "fake.closed"]}]
        alerts = {"notice_pictures": True}
        async with serve_with(rules=given, alerts=alerts, evidence={"enabled": True}) as (server, http):
            sent = await http.post(f"{WEBHOOKS}/{DESK}/test")
            assert sent.status == 202
            desk = server.hub.desk
            assert desk is not None
            assert desk.evidence is not None
            opened = event("fake.opened", time.time(), incident="01J00000000000000000000001")
            links = await asyncio.to_thread(desk.evidence.store.save, opened, {"snapshot-mask.jpg": JPEG}, "config")
            await desk.alerts.record(replace(opened, evidence=links))
            await until(lambda: len(mails.mails) >= 2, 60)
            listed = await (await http.get(WEBHOOKS)).text()
            assert "desk@news.example" not in listed
            assert str(mails.port) not in listed
            (webhook,) = json.loads(listed)["webhooks"]
            assert (webhook["url"], webhook["format"]) == ("mailto://***", "notice")
            await problem(await http.post(f"{WEBHOOKS}/{DESK}/rotate", json={}), 422, "no secret")
            changed = await http.patch(f"{WEBHOOKS}/{DESK}", json={"url": "https://news.example/"})
            await problem(changed, 422, "neither moved")
            await problem(await http.post(WEBHOOKS, json={"url": url}), 422, "no https URL")
    told = {str(mail["Subject"]): mail for mail in mails.mails}
    assert "Test from streamguard" in told
    (alert,) = [mail for subject, mail in told.items() if subject != "Test from streamguard"]
    text, picture = alert.get_payload()
    plain = text.get_payload(decode=True).decode()
    assert f"{server.url}/#/incident/01J00000000000000000000001" in plain
    assert links[-1] in plain
    assert picture.get_payload(decode=True) == JPEG


async def test_a_reload_moves_a_notice_and_makes_it_a_webhook(detector: Path, tmp_path: Path) -> None:
    token = {"token": "0123456789-admin", "scopes": ["admin"]}
    async with mail_server() as one, mail_server() as two:

        def rule(port: int) -> dict[str, str]:
            return {"name": "desk", "url": f"mailto://127.0.0.1:{port}?from=guard@news.example&to=desk@news.example"}

        async with reloadable(detector, tmp_path, tokens=[token], rules=[rule(one.port)]) as (_, http, file):
            assert await reloaded(http) == {}
            file.write(rules=[rule(two.port)])
            assert await reloaded(http) == {"rules_changed": ["desk"]}
            await http.post(f"{WEBHOOKS}/{DESK}/test")
            await until(lambda: len(two.mails) == 1)
            assert not one.mails
            webhook = {"name": "desk", "url": "https://news.example/", "secret": "whsec_" + "A" * 32}
            file.write(rules=[webhook])
            await reloaded(http)
            told = await (await http.get(f"{WEBHOOKS}/{DESK}")).json()
            assert (told["format"], told["url"]) == ("streamguard", "https://news.example/")


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ('url = "nope://hunter2/x"', "does not know such a URL"),
        ('url = "ntfy://127.0.0.1/hunter2/two"', "names 2 recipients"),
        ('url = "json://hunter2.example/"\nsecret = "whsec_' + "A" * 32 + '"', "a notice is not signed"),
        ('url = "json://hunter2.example/"\nformat = "ms-graph"', "`notice` is for URLs of Apprise"),
        ('url = "https://hunter2.example/"\nformat = "notice"', "`notice` is for URLs of Apprise"),
        ('url = "https://hunter2.example/"', "a webhook needs one"),
    ],
)
def test_a_wrong_rule_is_told_without_its_url(tmp_path: Path, line: str, cause: str) -> None:
    path = tmp_path / "guard.toml"
    path.write_text(f'[[rules]]\nname = "desk"\n{line}\n')
    with pytest.raises(ConfigError, match=cause) as caught:
        read_config(path)
    assert "hunter2" not in str(caught.value)
    assert not isinstance(caught.value, InvalidConfig) or len(caught.value.problems) == 1


async def test_check_takes_the_example_and_show_hides_the_address(tmp_path: Path) -> None:
    loaded = load_config(EXAMPLE)
    assert await preflight(loaded) == []
    told = {row.key: row.value for row in rows(loaded)}
    assert told["rules.desk.url"] == "mailto://***"
    assert told["rules.desk.format"] == "notice"
