"""`streamguard capacity`: how many streams fit, measured."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from typer.testing import CliRunner

from streamguard.cli import app
from streamguard.cli.capacity import CLIP_SECONDS, document, tables, write_faces_clip
from streamguard.faces import CenterFaceDetector
from streamguard.media import open_source
from streamguard.pipeline.capacity import Cost, Means, most_streams
from streamguard.pipeline.cpu_usage import processors
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.measure import Survey
from tests.support.training_data import streamguard


def test_capacity_measures_and_its_figures_agree(detector: Path) -> None:
    command = ["capacity", "--model", detector, "--engine", "torch", "--size", "321x240", "--rate", "10"]
    done = streamguard(*command, "--judged", "4", "--seconds", "3", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["schema"] == "streamguard.capacity/1"
    assert told["streams"] == "320x240 at 10 frames/s with 1 face"
    assert told["model"].startswith("green@")
    cost, measured = told["cost"], told["measured"]
    assert all(value > 0 for value in cost.values())
    assert 0 < told["processors"] <= told["processors_usable"] == processors()
    assert 0 < measured["least"] <= measured["most"]
    assert measured["streams"] * measured["least"] <= measured["judged_frames_per_second"] * 1.01
    assert measured["latency_p95_ms"] > 0
    per_second = Cost(
        cost["stream_ms_per_second"] / 1e3,
        cost["frame_ms"] / 1e3,
        cost["detection_ms"] / 1e3,
        cost["engine_ms_per_frame"] / 1e3,
    )
    for each, rate in zip(told["fits"], (4.0, 1.15), strict=True):
        assert each["judged_per_second"] == rate
        # Its figures were rounded.
        assert abs(each["streams"] - most_streams(per_second, Means(told["processors"]), rate)) <= 1
        assert each["scarce"] in {"processors", "engine"}
    assert [table.row_count for table in tables(told)] == [2, 7]


def test_the_processors_are_those_that_the_process_may_use() -> None:
    """As `taskset` and containers have it, not all of the machine."""
    survey = Survey(Cost(0.01, 0.01, 0.01, 0.01), Means(0.45), 2, (5.0, 5.0), 0.1, 1.0)
    guard = SimpleNamespace(model_label="m", engine_label="e")
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(allowed)})
    try:
        told = document(survey, cast("Guard", guard), "clip", 5.0)
    finally:
        os.sched_setaffinity(0, allowed)
    assert told["processors_usable"] <= 1
    (_, why) = tables(told)
    assert next(iter(why.columns[1].cells)) == "0.45 of 1"


@pytest.mark.parametrize("faces", [0, 1, 5])
def test_the_clip_shows_so_many_faces(tmp_path: Path, faces: int) -> None:
    path = tmp_path / "faces.mp4"
    write_faces_clip(path, 960, 640, 3.0, faces)
    detector = CenterFaceDetector()
    with open_source(path) as source:
        pictures = [frame.picture for frame in source]
    assert len(pictures) == CLIP_SECONDS * 3
    assert {len(detector.detect(picture)) for picture in pictures} == {faces}


@pytest.mark.parametrize("arguments", [["--size", "720p"], ["--size", "0x240"], ["--faces", "17"], ["--judged", "0"]])
def test_what_cannot_be_measured(arguments: list[str]) -> None:
    assert CliRunner().invoke(app, ["capacity", *arguments]).exit_code == 2


def test_a_clip_that_is_not_there() -> None:
    result = CliRunner().invoke(app, ["capacity", "--clip", "none.mp4"])
    assert getattr(result.exception, "exit_code", None) == 3
