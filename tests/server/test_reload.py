"""The configuration is read again while the server runs: what did not change plays on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from streamguard.config import Config, read_config
from streamguard.errors import ConfigError, OutboxError
from streamguard.pipeline.guard import Guard
from streamguard.server.app import Server, serving
from streamguard.server.configured_rules import subscription_id
from tests.server.peers import until
from tests.server.test_webhooks_api import LOOPBACK, problem
from tests.support.receiver import Receiver, receiver
from tests.support.settings import config_of, sections, toml

RELOAD = "/api/v1/config/reload"
SECRET = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + "OtherOtherOtherOtherOtherOther12"
TOKENS = [{"token": "0123456789-the-old-one", "scopes": ["admin"]}]


class File:
    """The server's file, and what is in it."""

    def __init__(self, path: Path, **settings: Any) -> None:
        self.path, self.settings = path, settings
        self.write()

    def write(self, **changes: Any) -> None:
        """Write it with other settings."""
        self.settings |= changes
        self.path.write_text(toml(sections(**self.settings)))

    def read(self) -> Config:
        """As the server reads it."""
        return read_config(self.path)


@asynccontextmanager
async def reloadable(
    detector: Path, folder: Path, **settings: Any
) -> AsyncIterator[tuple[Server, aiohttp.ClientSession, File]]:
    """A server with a file, and a client with its first token."""
    file = File(folder / "streamguard.toml", port=0, model=str(detector), engine="torch", **settings)
    token = settings.get("tokens", [{"token": "none"}])[0]["token"]
    config = file.read()
    async with (
        Guard.open(str(detector), "torch") as guard,
        serving(config, guard, file.read) as server,
        aiohttp.ClientSession(server.url, headers={"Authorization": f"Bearer {token}"}) as http,
    ):
        yield server, http, file


async def reloaded(http: aiohttp.ClientSession) -> dict[str, list[str]]:
    """What was changed; nothing else is told."""
    response = await http.post(RELOAD)
    assert response.status == 200, await response.text()
    return {key: value for key, value in (await response.json()).items() if value}


def entry(name: str, source: Path, **more: Any) -> dict[str, Any]:
    """A stream of the file."""
    return {"name": name, "source": str(source), **more}


async def test_streams_come_change_and_go(detector: Path, half_fake: Path, real: Path, tmp_path: Path) -> None:
    kept, door = entry("kept", real), entry("door", real)
    async with reloadable(detector, tmp_path, streams=[kept, door]) as (server, http, file):
        assert await reloaded(http) == {}
        await until(lambda: server.hub.find("kept").counts.judged and server.hub.find("door").counts.judged)
        stream, counts = server.hub.find("kept"), server.hub.find("kept").counts
        file.write(streams=[entry("new", half_fake), kept, {**door, "stall_seconds": 5}])
        assert await reloaded(http) == {"streams_added": ["new"], "streams_changed": ["door"]}
        assert server.hub.find("kept") is stream
        assert stream.counts.received >= counts.received
        # Started over, viewers and all: the same stream in its next epoch.
        await until(lambda: server.hub.find("door").newest is not None and server.hub.find("new").newest is not None)
        newest, old = server.hub.find("door").newest, stream.newest
        assert newest is not None
        assert old is not None
        assert (newest.frame.epoch, old.frame.epoch) == (1, 0)
        file.write(streams=[kept])
        assert await reloaded(http) == {"streams_removed": ["new", "door"]}
        assert server.hub.streams() == [stream]


async def test_another_order_or_a_new_rule_restarts_nothing(detector: Path, real: Path, tmp_path: Path) -> None:
    rule = {"name": "all", "url": "https://hook.invalid/", "secret": SECRET}
    first, second = entry("a", real), entry("b", real)
    async with reloadable(detector, tmp_path, streams=[first, second], rules=[rule]) as (server, http, file):
        before = server.hub.streams()
        await until(lambda: all(stream.counts.judged for stream in before))
        slower = {**second, "sampling": {"judged_per_second": 2, "detect_every": 3}, "priority": 4}
        file.write(streams=[slower, {**first, "rules": ["all"]}], rules=[{**rule, "least_score": 0.5}])
        assert await reloaded(http) == {"streams_changed": ["b", "a"], "rules_changed": ["all"]}
        watch = server.hub.find("b").request.watch
        assert (watch.judged_per_second, watch.detect_every, watch.priority) == (2, 3, 4)
        assert server.hub.streams() == before
        assert all(stream.newest is not None and stream.newest.frame.epoch == 0 for stream in before)
        assert server.hub.desk is not None
        made = await server.hub.desk.alerts.subscriptions.get(subscription_id("all"))
        assert (made.rule.streams, made.rule.least_score) == (("a",), 0.5)


async def test_tokens_are_swapped_and_what_needs_a_restart_is_told(detector: Path, tmp_path: Path) -> None:
    async with reloadable(detector, tmp_path, tokens=TOKENS) as (server, http, file):
        new = {"token": "0123456789-the-new-one", "scopes": ["admin"]}
        file.write(tokens=[new], port=1, max_streams=5, threads=1)
        told = await reloaded(http)
        assert told == {
            "changed": ["server.tokens", "server.max_streams"],
            "needs_restart": ["server.listen", "engine.threads"],
        }
        await problem(await http.post(RELOAD), 401)
        let_in = {"Authorization": f"Bearer {new['token']}"}
        response = await http.post(RELOAD, headers=let_in)
        # What is not done yet is told again.
        assert (await response.json())["needs_restart"] == ["server.listen", "engine.threads"]
        assert (await http.get(f"{server.url}/health/live")).status == 200
        file.write(tokens=[], port=0)
        response = await http.post(RELOAD, headers=let_in)
        assert (await response.json())["needs_restart"] == ["server.tokens", "engine.threads"]
        await problem(await http.post(RELOAD, headers={"Authorization": ""}), 401)


async def test_a_secret_in_a_file_of_its_own_is_read_again(detector: Path, tmp_path: Path) -> None:
    secret = tmp_path / "token"
    secret.write_text("0123456789-the-first\n")
    tokens = [*TOKENS, {"token_file": str(secret), "scopes": ["view"]}]
    async with reloadable(detector, tmp_path, tokens=tokens) as (_, http, _file):
        first, second = ({"Authorization": f"Bearer 0123456789-the-{word}"} for word in ("first", "second"))
        assert (await http.get("/api/v1/streams", headers=first)).status == 200
        secret.write_text("0123456789-the-second\n")
        assert await reloaded(http) == {"changed": ["server.tokens"]}
        assert (await http.get("/api/v1/streams", headers=second)).status == 200
        await problem(await http.get("/api/v1/streams", headers=first), 401)


async def test_a_name_that_somebody_else_has_taken_is_left_to_him(detector: Path, real: Path, tmp_path: Path) -> None:
    async with reloadable(detector, tmp_path, streams=[entry("a", real)]) as (server, http, file):
        assert (await http.delete("/api/v1/streams/a")).status == 204
        assert (await http.post("/api/v1/streams", json={"source": str(real), "name": "a"})).status == 201
        theirs = server.hub.find("a")
        file.write(streams=[entry("a", real, priority=2)])
        await problem(await http.post(RELOAD), 422, "streams.a", "already")
        file.write(streams=[])
        assert await reloaded(http) == {"streams_removed": ["a"]}
        assert server.hub.streams() == [theirs]
        # One that was removed over the API comes back once its entry changes.
        await http.delete("/api/v1/streams/a")
        file.write(streams=[entry("a", real)])
        assert await reloaded(http) == {"streams_added": ["a"]}
        assert server.hub.find("a").kind == "pulled"


async def test_what_was_lost_comes_back(detector: Path, real: Path, tmp_path: Path) -> None:
    rule = {"name": "all", "url": "https://hook.invalid/", "secret": SECRET}
    played, broken, gone, plays = (entry(name, real) for name in ("played", "broken", "gone", "plays"))
    streams = [{**played, "loop": False}, broken, gone, plays]
    async with reloadable(detector, tmp_path, streams=streams, rules=[rule]) as (server, http, file):
        assert server.hub.desk is not None
        subscriptions, untouched = server.hub.desk.alerts.subscriptions, server.hub.find("plays")
        await subscriptions.delete(subscription_id("all"))
        assert (await http.delete("/api/v1/streams/gone")).status == 204
        missing = {"source": str(tmp_path / "none.mp4")}
        assert (await http.patch("/api/v1/streams/broken", json=missing)).status == 200
        await until(lambda: (server.hub.find("broken").state, server.hub.find("played").state) == ("failed", "ended"))
        assert await reloaded(http) == {"streams_restored": ["played", "broken", "gone"]}
        back = [server.hub.find(name) for name in ("played", "broken", "gone")]
        await until(lambda: all(stream.counts.judged for stream in back))
        assert server.hub.find("plays") is untouched
        assert await subscriptions.get(subscription_id("all"))
        # Of one whose rules alone are different, too.
        await http.delete("/api/v1/streams/gone")
        file.write(streams=[*streams[:2], {**gone, "rules": ["all"]}, plays])
        assert (await reloaded(http))["streams_changed"] == ["gone"]
        await until(lambda: server.hub.find("gone").counts.judged)
        # A name that somebody else has taken is his.
        await http.delete("/api/v1/streams/gone")
        await http.post("/api/v1/streams", json={"source": str(real), "name": "gone"})
        theirs = server.hub.find("gone")
        assert "gone" not in (await reloaded(http)).get("streams_restored", [])
        assert server.hub.find("gone") is theirs


async def test_only_an_admin_may(detector: Path, tmp_path: Path) -> None:
    tokens = [*TOKENS, {"token": "0123456789-may-only-look", "scopes": ["view", "publish"]}]
    async with reloadable(detector, tmp_path, tokens=tokens) as (_, http, _file):
        headers = {"Authorization": "Bearer 0123456789-may-only-look"}
        await problem(await http.post(RELOAD, headers=headers), 403, "admin")


async def test_without_a_file_there_is_nothing_to_read(detector: Path) -> None:
    async with (
        Guard.open(str(detector), "torch") as guard,
        serving(config_of(port=0), guard) as server,
        aiohttp.ClientSession(server.url) as http,
    ):
        await problem(await http.post(RELOAD), 409, "--config")
        with pytest.raises(ConfigError, match="without a file"):
            await server.reload()


Change = Callable[[Path], dict[str, Any]]
WRONG: dict[str, tuple[Change, tuple[str, ...]]] = {
    "value": (lambda real: {"max_streams": 0, "prot": 1}, ("server.max_streams", "server.prot")),
    "name": (lambda real: {"streams": [entry("api", real)]}, ("streams.api", "already")),
    "room": (
        lambda real: {"streams": [entry("b", real)], "max_streams": 1},
        ("server.max_streams", "2 streams with those of the API"),
    ),
    "model": (lambda real: {"streams": [entry("b", real, model="no-such-model")]}, ("no-such-model",)),
    "target": (
        lambda real: {"rules": [{"name": "r", "url": "https://192.168.1.1/", "secret": SECRET}], "streams": []},
        ("rules.r.url", "192.168.1.1"),
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_file_changes_nothing(case: str, detector: Path, real: Path, tmp_path: Path) -> None:
    change, parts = WRONG[case]
    async with reloadable(detector, tmp_path, streams=[entry("a", real)]) as (server, http, file):
        assert (await http.post("/api/v1/streams", json={"source": str(real), "name": "api"})).status == 201
        before = server.hub.streams()
        right = dict(file.settings)
        file.write(**change(real))
        await problem(await http.post(RELOAD), 422, *parts)
        assert server.hub.streams() == before
        assert server.hub.desk is not None
        assert await server.hub.desk.alerts.subscriptions.list() == []
        file.settings = right
        file.write()
        assert await reloaded(http) == {}


async def test_a_database_that_fails_is_told_and_tried_again(
    detector: Path, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reloadable(detector, tmp_path) as (server, http, file):
        assert server.hub.desk is not None
        subscriptions = server.hub.desk.alerts.subscriptions

        async def full() -> Any:
            raise OutboxError("alerts.db", "the disk is full", "free some space")

        rule = {"name": "r", "url": "https://hook.invalid/", "secret": SECRET}
        file.write(rules=[rule], streams=[entry("a", real)])
        with monkeypatch.context() as broken:
            broken.setattr(subscriptions, "list", full)
            await problem(await http.post(RELOAD), 503, "disk is full")
        assert server.hub.streams() == []
        assert await reloaded(http) == {"streams_added": ["a"], "rules_added": ["r"]}


async def test_a_stream_with_a_detector_of_its_own(detector: Path, half_fake: Path, tmp_path: Path) -> None:
    other = entry("other", half_fake, model="unet_lite0", sampling={"judged_per_second": 5})
    streams = [entry("green", half_fake), other]
    async with reloadable(detector, tmp_path, streams=streams) as (server, http, file):
        await until(lambda: server.hub.find("other").counts.judged and server.hub.find("green").counts.judged)
        file.write(streams=[streams[0], {**streams[1], "model": None}])
        assert await reloaded(http) == {"streams_changed": ["other"]}
        await until(lambda: server.hub.find("other").counts.judged)
        assert server.hub.find("green").state == "up"


async def test_outputs_follow_the_file(detector: Path, real: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.m3u8", tmp_path / "second.m3u8"
    sent = entry("a", real, outputs=[str(first)])
    async with reloadable(detector, tmp_path, streams=[sent]) as (server, http, file):
        await until(first.exists)
        viewed = server.hub.find("a")
        file.write(streams=[{**sent, "outputs": [str(second)]}])
        assert await reloaded(http) == {"streams_changed": ["a"]}
        assert server.hub.find("a") is viewed
        # Ended in good order: players of the first one know that no more comes.
        assert "#EXT-X-ENDLIST" in first.read_text()
        await until(second.exists)
        file.write(streams=[{**sent, "outputs": []}])
        assert await reloaded(http) == {"streams_changed": ["a"]}
        assert "#EXT-X-ENDLIST" in second.read_text()


@asynccontextmanager
async def told_by_rules(
    detector: Path, folder: Path, **settings: Any
) -> AsyncIterator[tuple[Server, aiohttp.ClientSession, File, Receiver]]:
    """A server whose rules may lead to the receiver."""
    async with receiver() as hears:
        authority = folder / "authority.pem"
        hears.ca.cert_pem.write_to_path(str(authority))
        hears.secrets |= {"/": SECRET, "/new": OTHER}
        alerts = {"allow_networks": LOOPBACK, "ca_file": str(authority)}
        rule = {"name": "desk", "url": hears.url(), "secret": SECRET}
        async with reloadable(detector, folder, alerts=alerts, rules=[rule], **settings) as (server, http, file):
            yield server, http, file, hears


async def test_a_rule_tells_and_follows_the_file(detector: Path, half_fake: Path, tmp_path: Path) -> None:
    async with told_by_rules(detector, tmp_path, streams=[entry("clip", half_fake)]) as (server, http, file, hears):
        assert server.hub.desk is not None
        subscriptions = server.hub.desk.alerts.subscriptions
        await hears.until(lambda: bool(hears.accepted()))
        assert list(hears.faces()) == [("clip", 0, 1)]
        mine = await subscriptions.create("https://hook.invalid/")
        moved = {"name": "desk", "url": hears.url("/new"), "secret": OTHER}
        file.write(rules=[moved])
        assert await reloaded(http) == {"rules_changed": ["desk"]}
        # Told by the new secret at the new address, without a restart.
        await hears.until(lambda: bool(hears.accepted("/new")))
        file.write(rules=[])
        assert await reloaded(http) == {"rules_removed": ["desk"]}
        assert [each.id for each in await subscriptions.list()] == [mine.subscription.id]


async def test_rules_are_settled_at_each_start(detector: Path, tmp_path: Path) -> None:
    rules = [{"name": name, "url": "https://hook.invalid/", "secret": SECRET} for name in ("a", "b")]
    for now, names in ((rules, ["a", "b"]), (rules, ["a", "b"]), (rules[1:], ["b"])):
        async with reloadable(detector, tmp_path, rules=now) as (server, _http, _file):
            assert server.hub.desk is not None
            found = await server.hub.desk.alerts.subscriptions.list()
            assert {each.id for each in found} == {subscription_id(name) for name in names}
