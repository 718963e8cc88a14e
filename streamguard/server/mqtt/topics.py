"""Topics, and the documents by which Home Assistant finds the streams (its MQTT discovery, one document an entity)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from streamguard.config.mqtt import MqttSettings

ONLINE, OFFLINE = "online", "offline"
ON, OFF, UNKNOWN = "ON", "OFF", "None"
"""`None` is what Home Assistant takes for unknown: neither a fake nor an all-clear."""
Document: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of one server.

    Attributes:
        base: what its own topics begin with.
        discovery: what Home Assistant's begin with.
        node: this server among the devices.
    """

    base: str
    discovery: str
    node: str

    @classmethod
    def of(cls, settings: MqttSettings) -> Topics:
        """The topics that the settings say."""
        return cls(f"{settings.topic}/{settings.name}", settings.discovery, f"streamguard_{settings.name}")

    @property
    def availability(self) -> str:
        """Return whether the server is there; the broker writes `offline` when it is gone."""
        return f"{self.base}/availability"

    @property
    def owner(self) -> str:
        """Which process has the name."""
        return f"{self.base}/owner"

    @property
    def command(self) -> str:
        """Where commands are taken."""
        return f"{self.base}/command"

    @property
    def answer(self) -> str:
        """Topic of a command's result."""
        return f"{self.base}/answer"

    @property
    def home(self) -> str:
        """Where Home Assistant says that it has started."""
        return f"{self.discovery}/status"

    def of_stream(self, stream: str, part: str) -> str:
        """A topic of a stream: `state`, `availability`, `image`, `event` or `judged/set`."""
        return f"{self.base}/streams/{stream}/{part}"

    def config(self, component: str, entity: str) -> str:
        """Where an entity's document lies."""
        return f"{self.discovery}/{component}/{self.node}/{entity}/config"


def entity_id(stream: str) -> str:
    """The stream's name in the characters that discovery takes; two streams never have the same."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "_", stream)
    return plain if plain == stream else f"{plain}-{hashlib.sha256(stream.encode()).hexdigest()[:6]}"


def server_documents(topics: Topics, version: str, site: str) -> dict[str, Document]:
    """Topic -> document of the server's own device."""
    shared = {"device": _device(topics, "", version, site), "origin": _origin(version)}
    return {
        topics.config("binary_sensor", "server"): {
            **shared,
            "name": "Connection",
            "unique_id": f"{topics.node}_server",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "state_topic": topics.availability,
            "payload_on": ONLINE,
            "payload_off": OFFLINE,
            "qos": 1,
        }
    }


def stream_documents(
    topics: Topics, stream: str, version: str, site: str, *, pictures: bool, switch: bool
) -> dict[str, Document]:
    """Topic -> document of each entity of a stream.

    Args:
        topics: the server's.
        stream: its name.
        version: of streamguard.
        site: URL of the page; empty for none.
        pictures: the newest alert's picture is published.
        switch: the stream may be paused.
    """
    key, state = entity_id(stream), topics.of_stream(stream, "state")
    server = {"topic": topics.availability}
    shared: Document = {
        "device": _device(topics, stream, version, site),
        "origin": _origin(version),
        "availability": [server, {"topic": topics.of_stream(stream, "availability")}],
        "availability_mode": "all",
        "qos": 1,
    }

    def named(part: str, name: str) -> Document:
        return {**shared, "name": name, "unique_id": f"{topics.node}_{key}_{part}"}

    found = {
        topics.config("binary_sensor", f"{key}_fake"): {
            **named("fake", "Fake face"),
            "device_class": "problem",
            "state_topic": state,
            "value_template": "{{ value_json.fake }}",
            "payload_on": ON,
            "payload_off": OFF,
            "json_attributes_topic": state,
        },
        topics.config("sensor", f"{key}_score"): {
            **named("score", "Highest score"),
            "state_topic": state,
            "value_template": "{{ value_json.score }}",
            "state_class": "measurement",
            "suggested_display_precision": 2,
            "icon": "mdi:face-recognition",
        },
        topics.config("sensor", f"{key}_faces"): {
            **named("faces", "Faces"),
            "state_topic": state,
            "value_template": "{{ value_json.faces }}",
            "state_class": "measurement",
            "icon": "mdi:account-multiple",
        },
    }
    if pictures:
        found[topics.config("image", f"{key}_alert")] = {
            **named("alert", "Newest alert"),
            # What was seen stays when the stream is gone.
            "availability": [server],
            "image_topic": topics.of_stream(stream, "image"),
            "content_type": "image/jpeg",
        }
    if switch:
        found[topics.config("switch", f"{key}_judged")] = {
            **named("judged", "Judged"),
            # It is switched on again while the stream is down.
            "availability": [server],
            "state_topic": state,
            "value_template": "{{ value_json.judged }}",
            "command_topic": topics.of_stream(stream, "judged/set"),
            "payload_on": ON,
            "payload_off": OFF,
            "icon": "mdi:eye",
        }
    return found


def _device(topics: Topics, stream: str, version: str, site: str) -> Document:
    made: Document = {
        "identifiers": [f"{topics.node}_{entity_id(stream)}" if stream else topics.node],
        "name": f"streamguard {stream}" if stream else f"streamguard ({topics.node.removeprefix('streamguard_')})",
        "manufacturer": "streamguard",
        "model": "Deepfake detector",
        "sw_version": version,
    }
    if stream:
        made["via_device"] = topics.node
    if site:
        made["configuration_url"] = f"{site.rstrip('/')}/#/stream/{stream}" if stream else site
    return made


def _origin(version: str) -> Document:
    return {"name": "streamguard", "sw_version": version}
