"""Streams at a real MQTT broker, as Home Assistant finds them; and one that is away, refuses, or has our double."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamguard.clock import wall_clock
from streamguard.config.mqtt import MqttSettings
from streamguard.errors import ConfigError
from streamguard.server.mqtt import bridge
from streamguard.server.mqtt.topics import Topics, entity_id, server_documents, stream_documents
from streamguard.types import Closing
from tests.alerts.tools import event
from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.support.hosts import refused_port
from tests.support.mqtt_broker import PROGRAM, Watcher, broker, watching
from tests.support.settings import config_of, sections, toml
from tests.support.training_data import environment

BASE, NODE = "streamguard/streamguard", "streamguard_streamguard"
FAKE = f"homeassistant/binary_sensor/{NODE}/door_fake/config"
STATE = f"{BASE}/streams/door/state"
JPEG = b"\xff\xd8\xff\xe0 a picture \xff\xd9"
TOKENS = [{"token": "0123456789-admin", "scopes": ["admin"]}]

# What Home Assistant's pages on MQTT define: shared by all entities, and of each kind (name -> type; required first).
SHARED: dict[str, Any] = {
    **dict.fromkeys(("availability_mode", "availability_template", "availability_topic", "default_entity_id"), str),
    **dict.fromkeys(
        ("entity_category", "entity_picture", "icon", "json_attributes_template", "name", "object_id"), str
    ),
    **dict.fromkeys(("json_attributes_topic", "payload_available", "payload_not_available", "unique_id"), str),
    **{"availability": list, "device": dict, "origin": dict, "enabled_by_default": bool, "qos": int, "encoding": str},
}
KINDS: dict[str, tuple[set[str], dict[str, Any]]] = {
    "binary_sensor": (
        {"state_topic"},
        {
            **dict.fromkeys(("device_class", "payload_off", "payload_on", "state_topic", "value_template"), str),
            **{"expire_after": int, "force_update": bool, "off_delay": int},
        },
    ),
    "sensor": (
        {"state_topic"},
        {
            **dict.fromkeys(("device_class", "last_reset_value_template", "state_class", "state_topic"), str),
            **dict.fromkeys(("unit_of_measurement", "value_template"), str),
            **{"expire_after": int, "force_update": bool, "options": list, "suggested_display_precision": int},
        },
    ),
    "image": (
        set(),
        dict.fromkeys(("content_type", "image_encoding", "image_topic", "url_template", "url_topic"), str),
    ),
    "switch": (
        {"command_topic"},
        {
            **dict.fromkeys(("command_template", "command_topic", "device_class", "payload_off", "payload_on"), str),
            **dict.fromkeys(("state_off", "state_on", "state_topic", "value_template"), str),
            **{"optimistic": bool, "retain": bool},
        },
    ),
}
DEVICE = {
    **dict.fromkeys(("configuration_url", "hw_version", "manufacturer", "model", "model_id", "name"), str),
    **dict.fromkeys(("serial_number", "suggested_area", "sw_version", "via_device"), str),
    **{"connections": list, "identifiers": list},
}
ORIGIN = dict.fromkeys(("name", "support_url", "sw_version"), str)
CLASSES = {"binary_sensor": {"problem", "connectivity"}}


def checked(topic: str, document: dict[str, Any]) -> str:
    """What kind of entity it is; the document has what that kind needs, and nothing that it does not know."""
    found = re.fullmatch(r"[\w/-]+?/(\w+)/([A-Za-z0-9_-]+)/([A-Za-z0-9_-]+)/config", topic)
    assert found, topic
    kind = found[1]
    required, own = KINDS[kind]
    known = SHARED | own
    assert required <= set(document), topic
    for name, value in document.items():
        assert name in known, (kind, name)
        assert type(value) is known[name], (kind, name, value)
    for part, fields in (("device", DEVICE), ("origin", ORIGIN)):
        for name, value in document[part].items():
            assert type(value) is fields[name], (part, name)
    assert document["device"]["identifiers"]
    assert document["origin"]["name"]
    assert document["unique_id"]
    assert document.get("qos", 0) in {0, 1, 2}
    for one in document.get("availability", ()):
        assert set(one) <= {"topic", "payload_available", "payload_not_available", "value_template"}
        assert one["topic"]
    assert document.get("availability_mode", "latest") in {"all", "any", "latest"}
    assert document.get("entity_category", "diagnostic") in {"config", "diagnostic"}
    if "device_class" in document:
        assert document["device_class"] in CLASSES[kind]
    if kind == "image":
        assert len({"url_topic", "image_topic"} & set(document)) == 1
    for name, value in document.items():
        if name.endswith("_topic"):
            assert not {"+", "#"} & set(value)
            assert value
    return kind


stream_names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)


@given(st.lists(stream_names, min_size=1, max_size=6, unique=True), st.booleans(), st.booleans(), st.booleans())
def test_documents_have_the_fields_that_home_assistant_knows(
    names: list[str], pictures: bool, switch: bool, site: bool
) -> None:
    topics = Topics.of(MqttSettings(host="broker.example"))
    url = "https://guard.example/" if site else ""
    found = server_documents(topics, "1.2.3", url)
    for name in names:
        made = stream_documents(topics, name, "1.2.3", url, pictures=pictures, switch=switch)
        assert not set(made) & set(found), "two streams never share an entity"
        found |= made
    kinds = sorted({checked(topic, document) for topic, document in found.items()})
    assert kinds == sorted(["binary_sensor", "sensor", *["image"] * pictures, *["switch"] * switch])
    ids = [document["unique_id"] for document in found.values()]
    assert len(set(ids)) == len(ids)


def test_names_that_discovery_does_not_take_are_told_apart() -> None:
    assert entity_id("door") == "door"
    assert len({entity_id(name) for name in ("a.b", "a_b", "a-b")}) == 3
    assert re.fullmatch(r"[A-Za-z0-9_-]+", entity_id("a.b"))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for any longer than a test can."""
    if PROGRAM is None:
        pytest.skip("mosquitto is not installed: run `make system`")
    monkeypatch.setattr(bridge, "FIRST_PAUSE", 0.1)
    monkeypatch.setattr(bridge, "LONGEST_PAUSE", 0.3)
    monkeypatch.setattr(bridge, "EVERY", 0.1)


def door() -> dict[str, Any]:
    """A stream that never comes up: what is said of it is what the test says."""
    return {"name": "door", "source": f"rtsp://127.0.0.1:{refused_port()}/live"}


def said(watcher: Watcher, topic: str = STATE) -> Any:
    """The newest document there; None where none lies there."""
    return json.loads(watcher.now[topic]) if topic in watcher.now else None


def fakes_told(watcher: Watcher) -> list[str]:
    """The types of the events of fakes that passed, in order; states come by themselves, before or after them."""
    told = [json.loads(payload) for topic, payload in watcher.passed if topic == f"{BASE}/streams/door/event"]
    assert all(each["schema"] == "streamguard.event/1" for each in told)
    return [each["type"] for each in told if each["type"].startswith("fake")]


@pytest.mark.usefixtures("hasty")
async def test_state_through_fake_cleared_and_lost(serve_with: ServeWith, tmp_path: Path) -> None:
    async with broker(tmp_path) as at, watching(at) as home:
        async with serve_with(mqtt=at.settings(pictures=True), streams=[door()]) as (server, http):
            await home.until(lambda: said(home))
            assert home.now[f"{BASE}/availability"] == b"online"
            assert home.now[f"{BASE}/streams/door/availability"] == b"offline"
            kinds = [
                checked(topic, json.loads(payload))
                for topic, payload in home.now.items()
                if topic.startswith("homeassistant/")
            ]
            assert sorted(kinds) == ["binary_sensor", "binary_sensor", "image", "sensor", "sensor"]
            assert (said(home)["fake"], said(home)["score"], said(home)["judged"]) == ("None", None, "ON")

            opened = event("fake.opened", wall_clock(), incident="one")
            server.events.keep_picture(opened, JPEG)
            server.events.add(opened)
            await home.until(lambda: said(home)["fake"] == "ON")
            image = f"{BASE}/streams/door/image"
            await home.until(lambda: home.now.get(image) == JPEG)
            second = event("fake.opened", wall_clock(), track=2, incident="two")
            server.events.add(second)
            server.events.add(replace(event("fake.closed", wall_clock(), incident="one"), cause=Closing.CLEARED))
            await home.until(lambda: said(home)["incidents"] == ["two"])
            assert said(home)["fake"] == "ON", "another one is still held for fake"
            closed = event("fake.closed", wall_clock(), track=2, incident="two")
            server.events.add(replace(closed, cause=Closing.CLEARED))
            await home.until(lambda: said(home)["fake"] == "OFF")
            server.events.add(event("fake.opened", wall_clock(), incident="three"))
            await home.until(lambda: said(home)["fake"] == "ON")
            lost = event("fake.closed", wall_clock(), incident="three")
            server.events.add(replace(lost, cause=Closing.LOST))
            await home.until(lambda: said(home)["fake"] == "None")
            assert said(home)["cause"] == "lost", "out of sight is no all-clear"
            turns = ["fake.opened", "fake.opened", "fake.closed", "fake.closed", "fake.opened", "fake.closed"]
            await home.until(lambda: fakes_told(home) == turns)

            # Whoever joins later finds all of it; Home Assistant started anew is told anew.
            async with watching(at) as late:
                await late.until(lambda: FAKE in late.now and STATE in late.now)
                count = len([1 for topic, _ in home.passed if topic == FAKE])
                await late.client.publish("homeassistant/status", "online")
                await home.until(lambda: len([1 for topic, _ in home.passed if topic == FAKE]) > count)
            server.events.forget_pictures("door")
            await home.until(lambda: image not in home.now)
            metrics = await (await http.get("/metrics")).text()
            assert "streamguard_mqtt_connected 1.0" in metrics
            # A stream that is gone is taken back.
            assert (await http.delete("/api/v1/streams/door")).status == 204
            await home.until(lambda: FAKE not in home.now and STATE not in home.now)
        await home.until(lambda: home.now[f"{BASE}/availability"] == b"offline")


@pytest.mark.usefixtures("hasty")
async def test_a_broker_that_was_away_learns_everything(serve_with: ServeWith, tmp_path: Path) -> None:
    async with broker(tmp_path) as at, serve_with(mqtt=at.settings(), streams=[door()]) as (server, http):
        assert server.mqtt is not None
        async with watching(at) as home:
            await home.until(lambda: said(home))
            await at.stop()
        await until(lambda: not server.mqtt.connected and server.mqtt.failures["unreachable"] >= 1)
        opened = [event("fake.opened", wall_clock(), incident=f"{n}") for n in range(bridge.MOST_EVENTS + 10)]
        for each in opened:
            server.events.add(each)
        assert server.mqtt.dropped >= 10
        assert (await http.get("/health/ready")).status == 200
        # It keeps nothing: all that lies there comes from us.
        await at.start()
        async with watching(at) as home:
            await home.until(lambda: FAKE in home.now and said(home) and said(home)["fake"] == "ON")
            await home.until(lambda: home.now.get(f"{BASE}/availability") == b"online")
        await until(lambda: server.mqtt.connected and not server.mqtt._waiting)


@pytest.mark.usefixtures("hasty")
async def test_tls_and_passwords(serve_with: ServeWith, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "streamguard")
    async with broker(tmp_path, tls=True, passwords=True) as at:
        async with watching(at) as home, serve_with(mqtt=at.settings(), streams=[door()]):
            await home.until(lambda: said(home))
        wrong = at.settings(password="hunter2-hunter2")
        async with serve_with(mqtt=wrong) as (server, _):
            assert server.mqtt is not None
            await until(lambda: server.mqtt.failures["refused"] >= 2)
            assert not server.mqtt.connected
        untrusted = {key: value for key, value in at.settings().items() if key != "ca_file"}
        async with serve_with(mqtt=untrusted) as (server, _):
            assert server.mqtt is not None
            await until(lambda: server.mqtt.failures["unreachable"] >= 1)
        plain = at.settings(tls=False, host="127.0.0.1")
        del plain["ca_file"]
        async with serve_with(mqtt=plain) as (server, _):
            assert server.mqtt is not None
            await until(lambda: server.mqtt.failures["unreachable"] >= 1)
    assert "refuses this server's name" in caplog.text
    assert caplog.text.count("refuses this server's name") == 1, "the same fault is told once"
    assert "hunter2" not in caplog.text
    assert "s3cret" not in caplog.text


@pytest.mark.usefixtures("hasty")
async def test_two_servers_of_one_name(serve_with: ServeWith, tmp_path: Path) -> None:
    async with broker(tmp_path) as at, watching(at) as home:
        async with serve_with(mqtt=at.settings(name="b"), streams=[door()]):
            await home.until(lambda: said(home, "streamguard/b/streams/door/state"))
            async with serve_with(mqtt=at.settings(), tokens=TOKENS) as (second, _):
                async with serve_with(mqtt=at.settings(), streams=[door()]) as (third, _):
                    assert second.mqtt is not None
                    assert third.mqtt is not None
                    await until(lambda: second.mqtt.connected != third.mqtt.connected)
                    one, other = (second, third) if second.mqtt.connected else (third, second)
                    await until(lambda: other.mqtt.failures["clash"] >= 2)
                    assert one.mqtt.connected
                    assert not other.mqtt.connected
                    assert home.now[f"{BASE}/availability"] == b"online"
                # Whichever is left has the name, now or soon.
                await until(lambda: second.mqtt.connected)
                await home.until(lambda: home.now[f"{BASE}/availability"] == b"online")
        assert home.now["streamguard/b/availability"] == b"offline"


@pytest.mark.usefixtures("hasty")
async def test_commands_only_where_they_are_allowed(serve_with: ServeWith, tmp_path: Path) -> None:
    answer = f"{BASE}/answer"

    async def asked(home: Watcher, topic: str, payload: str, **more: Any) -> Any:
        count = len([1 for where, _ in home.passed if where == answer])
        await home.client.publish(f"{BASE}/{topic}", payload, qos=1, **more)
        await home.until(lambda: len([1 for where, _ in home.passed if where == answer]) > count)
        return json.loads([payload for where, payload in home.passed if where == answer][-1])

    add = json.dumps({"action": "add", "stream": "attic", "source": f"rtsp://127.0.0.1:{refused_port()}/x"})
    remove = json.dumps({"action": "remove", "stream": "attic"})
    async with broker(tmp_path) as at, watching(at) as home:
        # Left lying for whoever comes: nobody does it.
        await home.client.publish(f"{BASE}/command", add, retain=True)
        allowed = at.settings(commands=["add", "pause", "remove"])
        async with serve_with(mqtt=allowed, streams=[door()]) as (server, http):
            await home.until(lambda: said(home))
            done = await asked(home, "command", add)
            assert (done["done"], done["detail"]) == (True, "")
            await home.until(lambda: said(home, f"{BASE}/streams/attic/state"))
            assert (await asked(home, "command", add))["detail"].startswith("there is a stream `attic` already")
            off = await asked(home, "streams/attic/judged/set", "OFF")
            assert off["done"]
            await home.until(lambda: said(home, f"{BASE}/streams/attic/state")["judged"] == "OFF")
            told = await (await http.get("/api/v1/streams/attic")).json()
            assert (told["state"], told["detail"]) == ("down", "paused")
            assert (await asked(home, "streams/attic/judged/set", "ON"))["done"]
            await home.until(lambda: said(home, f"{BASE}/streams/attic/state")["judged"] == "ON")
            assert not server.hub.find("attic").paused
            assert (await asked(home, "command", remove))["done"]
            assert (await asked(home, "command", remove))["detail"].startswith("there is no stream")
            for bad in (
                "",
                "x",
                "[]",
                "{}",
                '{"action": "shutdown"}',
                '{"action": "add", "stream": "../x"}',
                "x" * 9000,
            ):
                refused = await asked(home, "command", bad)
                assert not refused["done"], bad
            assert not (await asked(home, "streams/door/judged/set", "toggle"))["done"]
            assert not (await asked(home, "streams/none/judged/set", "OFF"))["done"]
            log = await (await http.get("/api/v1/audit")).json()
            actions = [(each["who"], each["action"]) for each in log["entries"] if each["who"]]
            names = ("removeStream", "resumeStream", "pauseStream", "addStream")
            assert actions == [("mqtt:127.0.0.1", name) for name in names]
        async with serve_with(mqtt=at.settings(commands=["pause"]), tokens=TOKENS, streams=[door()]) as (server, _):
            await home.until(lambda: home.now[f"{BASE}/availability"] == b"online")
            assert (await asked(home, "streams/door/judged/set", "OFF"))["done"]
            await home.client.publish(f"{BASE}/command", add, qos=1)
            assert (await asked(home, "streams/door/judged/set", "ON"))["done"]
            assert [stream.name for stream in server.hub.streams()] == ["door"], "nobody listens to what is not allowed"


@pytest.mark.usefixtures("hasty")
async def test_a_killed_server_is_offline_by_its_last_will(tmp_path: Path, detector: Path) -> None:
    async with broker(tmp_path) as at, watching(at) as home:
        path = tmp_path / "guard.toml"
        made = sections(port=0, model=str(detector), engine="torch", admission="off", mqtt=at.settings())
        path.write_text(toml({**made, "streams": [door()]}))
        line = [sys.executable, "-m", "streamguard", "serve", "--config", str(path)]
        process = await asyncio.to_thread(
            subprocess.Popen,
            line,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**environment(), "XDG_STATE_HOME": str(tmp_path / "state")},
        )
        try:
            await home.until(lambda: said(home), 200)
            assert home.now[f"{BASE}/availability"] == b"online"
        finally:
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.to_thread(process.wait)
        await home.until(lambda: home.now[f"{BASE}/availability"] == b"offline")
        assert FAKE in home.now, "what was retained is still there, and unavailable"


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiomqtt", None)
    with pytest.raises(ConfigError, match=r"streamguard\[mqtt\]"):
        bridge._library()


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"host": "broker/x"}, "pattern"),
        ({"host": "b", "name": "a/b"}, "pattern"),
        ({"host": "b", "topic": "a/#"}, "pattern"),
        ({"host": "b", "topic": "homeassistant"}, "must not be the one of discovery"),
        ({"host": "b", "password": "x"}, "belongs to a username"),
        ({"host": "b", "username": "u", "password": "x", "tls": False}, "set tls = true"),
        ({"host": "b", "commands": ["shutdown"]}, "pause"),
    ],
)
def test_wrong_settings_of_a_broker(settings: dict[str, Any], cause: str) -> None:
    with pytest.raises(ValidationError, match=cause):
        config_of(mqtt=settings)
