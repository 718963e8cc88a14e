"""Messages: valid by their schemas, small, and the same for the same event."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.alerts import FORMATS, event_schema, render_payload
from streamguard.alerts.documents import dump_event, load_event
from streamguard.types import Event, EventKind
from tests.alerts.conftest import START
from tests.alerts.tools import event

VALIDATOR = jsonschema.Draft202012Validator(
    event_schema(), format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
)
unit = st.none() | st.floats(0, 1)
events = st.builds(
    lambda kind, track, **rest: replace(event("fake.opened", START), kind=kind, track=track, **rest),
    kind=st.sampled_from(EventKind),
    track=st.none() | st.integers(1, 10**6),
    stream=st.text(max_size=400),
    epoch=st.integers(0, 10**6),
    time=st.none() | st.floats(0, 1e7) | st.just(float("nan")),
    score=unit,
    share=unit,
    model=st.text(max_size=400),
    detail=st.text(max_size=3000),
    evidence=st.lists(st.text(max_size=900), max_size=40).map(tuple),
)


@given(events, st.booleans(), st.booleans())
def test_every_event_is_valid_and_small(one: Event, flapping: bool, test: bool) -> None:
    for name in FORMATS:
        message = render_payload(name, one, flapping=flapping, test=test)
        if message is None:
            assert name == "ms-graph"
            continue
        assert len(message.body.encode()) < 20_000
        assert render_payload(name, one, flapping=flapping, test=test) == message
        document = json.loads(message.body)
        if name == "ms-graph":
            check_graph(document)
            continue
        if name == "cloudevents":
            assert {"specversion", "id", "source", "type"} <= set(document)
            assert document["specversion"] == "1.0"
            assert all(document[key] for key in ("id", "source", "type", "subject"))
            assert message.content_type.startswith("application/cloudevents+json")
            document = document["data"]
        VALIDATOR.validate(document)
        assert document["data"]["flapping"] is flapping
        if len(document["data"]["evidence"]) < len(one.evidence) or len(one.detail) > 1000:
            assert document["data"]["truncated"]


def check_graph(document: dict[str, Any]) -> None:
    """The parameters of participant: reportSyntheticMedia that are required, and their types."""
    assert set(document) == {
        *("id", "detectionDateTime", "severity", "overallConfidence", "isMalicious", "contentMetadata", "detections")
    }
    uuid.UUID(document["id"])
    assert document["detectionDateTime"].endswith("Z")
    assert document["severity"] in {"low", "medium", "high"}
    assert 0.0 <= document["overallConfidence"] <= 1.0
    assert document["isMalicious"] is False
    assert document["contentMetadata"]["modality"] == "video"
    (found,) = document["detections"]
    assert set(found) == {"modelName", "modality", "modelTasks", "segment", "confidence"}
    assert all(isinstance(found["segment"][key], int) for key in ("startTimeSec", "endTimeSec"))


def test_an_ordinary_alert() -> None:
    one = event("fake.opened", START, id="01JZZZZZZZZZZZZZZZZZZZZZZZ", evidence=("https://guard.example/e/1",))
    message = render_payload("streamguard", one)
    assert message is not None
    assert json.loads(message.body) == {
        "schema": "streamguard.event/1",
        "type": "fake.opened",
        "timestamp": "2026-03-02T12:00:00.000Z",
        "data": {
            "event": one.id,
            "stream": "door",
            "epoch": 0,
            "track": 1,
            "incident": None,
            "time": 1.0,
            "score": 0.9,
            "share": 0.8,
            "flapping": False,
            "model": "unet_v1@abc",
            "engine": "openvino",
            "detail": "",
            "cause": None,
            "evidence": ["https://guard.example/e/1"],
            "truncated": False,
            "notice": "An automated estimate that may be wrong.",
        },
    }


def test_the_schema_is_one_and_refuses() -> None:
    jsonschema.Draft202012Validator.check_schema(event_schema())
    message = render_payload("streamguard", event("fake.opened", START))
    assert message is not None
    good = json.loads(message.body)
    for bad in ({**good, "type": "fake.maybe"}, {**good, "schema": "streamguard.event/2"}, {"schema": "x"}):
        assert not VALIDATOR.is_valid(bad)


@pytest.mark.parametrize(("score", "severity"), [(0.0, "low"), (0.6, "medium"), (0.85, "high"), (1.0, "high")])
def test_the_severity_follows_the_confidence(score: float, severity: str) -> None:
    message = render_payload("ms-graph", event("fake.opened", START, score=score))
    assert message is not None
    assert json.loads(message.body)["severity"] == severity


def test_what_ms_graph_cannot_say() -> None:
    assert render_payload("ms-graph", event("stream.down", START)) is None
    assert render_payload("ms-graph", event("fake.opened", START, score=None)) is None


@given(events)
def test_an_event_survives_being_stored(one: Event) -> None:
    one = replace(one, time=1.5)
    assert load_event(dump_event(one)) == one
