"""Records: their rules and their JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from evaluation_samples import CREATED, clip, evaluation, frame, random_evaluation
from hypothesis import given, settings
from hypothesis import strategies as st

from streamguard.errors import DataError
from streamguard.training.evaluation.records import (
    SCHEMA,
    ClipRecord,
    Evaluation,
    FrameRecord,
    from_json,
    read_json,
    to_json,
)

shares = st.none() | st.floats(0, 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def frames(draw: st.DrawFn) -> FrameRecord:
    score = draw(shares)
    return FrameRecord(
        index=draw(st.integers(0, 10**6)),
        time=draw(st.floats(0, 1e6)),
        label=draw(st.none() | st.booleans()),
        score=score,
        raw=draw(st.none() | numbers),
        fake=None if score is None else draw(st.booleans()),
        area=draw(st.integers(0, 65536)),
        dice=draw(shares),
        baselines=draw(st.dictionaries(st.text(max_size=8), numbers, max_size=3)),
        reason=draw(st.none() | st.text(max_size=9)) if score is None else None,
    )


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(frames(), max_size=4), max_size=3), st.text(max_size=12))
def test_json_round_trip(parts: list[list[FrameRecord]], group: str) -> None:
    clips = tuple(
        ClipRecord(f"c{index}", group, bool(index % 2), tuple(part), 64, 48, "vp8") for index, part in enumerate(parts)
    )
    before = Evaluation("m", "e", 0.95, clips, CREATED, ("a note",))
    assert from_json(to_json(before)) == before


def test_the_document_carries_schema_and_summary() -> None:
    before = random_evaluation(4, 3)
    text = to_json(before, {"n": 1})
    document = json.loads(text)
    assert document["schema"] == SCHEMA
    assert document["summary"] == {"n": 1}
    assert from_json(text) == before


def document(**changes: Any) -> str:
    whole = json.loads(to_json(evaluation([clip("a", [frame()])])))
    whole["evaluation"].update(changes)
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is no JSON document"),
        (b"\xff\xfe\x00", "is no JSON document"),
        ("[]", "schema"),
        ('{"schema": "streamguard.evaluation/2"}', "streamguard.evaluation/2"),
        (f'{{"schema": "{SCHEMA}"}}', "evaluation"),
        (document(threshold="0.5"), "threshold"),
        (document(clips=[{"name": "x"}]), "clips.0"),
        (document(threshold=7), "outside 0..1"),
        (document(created="yesterday"), "created"),
        (document(created="2026-01-02T03:04:05"), "time zone"),
    ],
)
def test_broken_documents_are_refused(text: str | bytes, says: str) -> None:
    with pytest.raises(DataError, match=says):
        from_json(text)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_json(tmp_path / "none.json")


@pytest.mark.parametrize(
    "values",
    [
        {"score": 1.1},
        {"score": float("nan")},
        {"raw": float("inf")},
        {"dice": -0.1},
        {"baselines": {"blur": float("nan")}},
        {"fake": None},
        {"reason": "too small"},
        {"score": None, "fake": True},
    ],
)
def test_contradictory_frames_are_refused(values: dict[str, Any]) -> None:
    good: dict[str, Any] = {"index": 0, "time": 0.0, "label": True, "score": 0.5, "fake": True}
    with pytest.raises(DataError):
        FrameRecord(**(good | values))


def test_clip_names_are_unique() -> None:
    with pytest.raises(DataError, match="two clips"):
        evaluation([clip("a", []), clip("a", [])])
