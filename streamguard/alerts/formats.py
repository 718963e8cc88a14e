"""Events as messages: `streamguard` (our own, versioned), `cloudevents` 1.0, `ms-graph` reportSyntheticMedia."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC
from typing import Any
from urllib.parse import quote

from ulid import ULID

from streamguard.alerts.documents import SCHEMA
from streamguard.types import Event

MOST_BYTES = 20_000
"""A message is smaller than this; evidence travels as links."""
MOST_NAME, MOST_DETAIL = 256, 1000
NOTICE = "An automated estimate that may be wrong."
TEST = "webhook.test"
PEOPLE = "notice"
"""The format of what is sent to people: the document that their text is made of when it is sent."""
_SEVERITIES = ((0.85, "high"), (0.6, "medium"), (0.0, "low"))


@dataclass(frozen=True, slots=True)
class Payload:
    """Body of a message: the same bytes at every attempt."""

    content_type: str
    body: str


def render_payload(name: str, event: Event, *, flapping: bool = False, test: bool = False) -> Payload | None:
    """The event in the format `name`; None when the format has no words for it.

    Texts beyond 256 (names) and 1,000 (detail) characters are cut, and evidence links left off, last first, where the
    message would reach 20,000 bytes.

    Raises:
        KeyError: no such format.
    """
    write = FORMATS[name]
    clean = replace(
        event,
        stream=text(event.stream),
        model=text(event.model),
        engine=text(event.engine),
        detail=text(event.detail),
        time=_finite(event.time),
        score=_finite(event.score),
        share=_finite(event.share),
    )
    short = replace(
        clean,
        stream=clean.stream[:MOST_NAME],
        model=clean.model[:MOST_NAME],
        engine=clean.engine[:MOST_NAME],
        detail=clean.detail[:MOST_DETAIL],
    )
    while True:
        # Told by the message itself: a reader must know that something is missing.
        message = write(short, flapping, short != clean, TEST if test else short.kind.value)
        if message is None or len(message.body.encode()) < MOST_BYTES or not short.evidence:
            return message
        short = replace(short, evidence=short.evidence[:-1])


def _document(event: Event, flapping: bool, truncated: bool, kind: str) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "type": kind,
        "timestamp": _timestamp(event),
        "data": {
            "event": event.id,
            "stream": event.stream,
            "epoch": event.epoch,
            "track": event.track,
            "incident": event.incident,
            "time": event.time,
            "score": event.score,
            "share": event.share,
            "flapping": flapping,
            "model": event.model,
            "engine": event.engine,
            "detail": event.detail,
            "cause": event.cause.value if event.cause else None,
            "evidence": list(event.evidence),
            "truncated": truncated,
            "notice": NOTICE,
        },
    }


def _streamguard(event: Event, flapping: bool, truncated: bool, kind: str) -> Payload | None:
    return Payload("application/json", _json(_document(event, flapping, truncated, kind)))


def _cloudevents(event: Event, flapping: bool, truncated: bool, kind: str) -> Payload | None:
    """CloudEvents 1.0, JSON event format, structured mode."""
    document = {
        "specversion": "1.0",
        "id": event.id,
        "source": f"/streams/{quote(event.stream, safe='')}",
        "type": f"streamguard.{kind}.v1",
        "subject": f"{event.epoch}/{event.track}" if event.track is not None else str(event.epoch),
        "time": _timestamp(event),
        "datacontenttype": "application/json",
        "dataschema": "urn:streamguard:schema:event:1",
        "data": _document(event, flapping, truncated, kind),
    }
    return Payload("application/cloudevents+json; charset=utf-8", _json(document))


def _ms_graph(event: Event, flapping: bool, truncated: bool, kind: str) -> Payload | None:
    """Microsoft Graph (beta) participant: reportSyntheticMedia, the body of the request.

    Stream events, and faces without a score, have no place in it. Intent is nothing a detector can see: never
    reported as malicious.
    """
    if event.track is None or event.score is None:
        return None
    second = math.floor(max(event.time or 0.0, 0.0))
    document = {
        "id": str(ULID.from_str(event.id).to_uuid()),
        "detectionDateTime": _timestamp(event),
        "severity": next(name for least, name in _SEVERITIES if event.score >= least),
        "overallConfidence": event.score,
        "isMalicious": False,
        "contentMetadata": {
            "modality": "video",
            "isRealTime": True,
            "mimeType": "video/raw",
            "byteSize": 0,
            "duration": 1,
            "videoMetadata": None,
            "streamingMetadata": None,
        },
        "detections": [
            {
                "modelName": event.model,
                "modality": "video",
                "modelTasks": ["faceSwap"],
                "segment": {"startTimeSec": second, "endTimeSec": second + 1, "frameIndices": []},
                "confidence": event.score,
            }
        ],
    }
    return Payload("application/json", _json(document))


FORMATS: dict[str, Callable[[Event, bool, bool, str], Payload | None]] = {
    "streamguard": _streamguard,
    "cloudevents": _cloudevents,
    "ms-graph": _ms_graph,
    PEOPLE: _streamguard,
}


def text(value: str) -> str:
    """The text without what neither UTF-8 nor a database can hold."""
    return value.encode("utf-8", "replace").decode().replace("\0", "?")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _timestamp(event: Event) -> str:
    return event.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
