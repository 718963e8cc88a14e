"""Events as JSON: as they are stored, and the schema of what is sent."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from importlib import resources
from typing import Any

from streamguard.types import Closing, Event, EventKind

SCHEMA = "streamguard.event/1"


def dump_event(event: Event) -> str:
    """The event as stored."""
    return json.dumps({**asdict(event), "at": event.at.isoformat()})


def load_event(text: str) -> Event:
    """The event as stored by `dump_event`."""
    document: dict[str, Any] = json.loads(text)
    document["at"] = datetime.fromisoformat(document["at"])
    document["kind"] = EventKind(document["kind"])
    document["evidence"] = tuple(document["evidence"])
    if cause := document.get("cause"):
        document["cause"] = Closing(cause)
    if box := document.get("box"):
        document["box"] = tuple(box)
    return Event(**document)


def event_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a `streamguard.event/1` message."""
    text = resources.files("streamguard.alerts").joinpath("schema/event-1.json").read_text()
    document: dict[str, Any] = json.loads(text)
    return document
