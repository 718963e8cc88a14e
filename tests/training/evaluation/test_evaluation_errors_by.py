"""Errors by face size and sharpness: the right bins, the right class, nothing made up."""

from __future__ import annotations

import json

import numpy as np
import pytest
from evaluation_samples import clip, evaluation, frame

from streamguard.training.evaluation.bootstrap import draw
from streamguard.training.evaluation.errors_by import SHARPNESS_BINS, errors_by
from streamguard.training.evaluation.records import ClipRecord, from_json, to_json
from streamguard.training.evaluation.summary import summarise


def found(clips: list[ClipRecord]) -> dict[str, list[tuple[float, float | None, int, int, float | None, float | None]]]:
    drawn = draw([each.label for each in clips], n_boot=50, seed=0)
    return {
        key: [(b.low, b.high, b.real_frames, b.fake_frames, b.false_positives.value, b.misses.value) for b in bins]
        for key, bins in errors_by(clips, drawn).items()
    }


def test_small_faces_err_and_large_ones_do_not() -> None:
    real = [
        frame(i, label=False, score=0.9 if i < 5 else 0.1, shorter_side=50.0 if i < 10 else 128.0) for i in range(20)
    ]
    fake = [frame(i, score=0.1 if i < 8 else 0.9, shorter_side=63.9 if i < 10 else 400.0) for i in range(20)]
    assert found([clip("r", real, label=False), clip("f", fake)]) == {
        "shorter_side": [
            (48.0, 64.0, 10, 10, 0.5, 0.8),
            (128.0, 160.0, 10, 0, 0.0, None),
            (384.0, None, 0, 10, None, 0.0),
        ]
    }


def test_sharpness_is_cut_into_equal_parts_and_intervals_follow_clips() -> None:
    rng = np.random.default_rng(0)
    clips = [
        clip(
            f"c{n}",
            [frame(i, label=n % 2 == 1, score=0.9, sharpness=float(rng.random())) for i in range(80)],
            label=n % 2 == 1,
        )
        for n in range(6)
    ]
    bins = errors_by(clips, draw([each.label for each in clips], n_boot=50, seed=0))["sharpness"]
    assert len(bins) == SHARPNESS_BINS
    assert sum(each.real_frames + each.fake_frames for each in bins) == 480
    assert all(40 < each.real_frames + each.fake_frames < 80 for each in bins)
    assert [each.high for each in bins[:-1]] == [each.low for each in bins[1:]]
    assert bins[-1].high is None
    for each in bins:
        assert (each.false_positives.value, each.misses.value) == (1.0, 0.0)
        assert each.false_positives.clips == 3


def test_frames_without_a_verdict_a_truth_or_the_measure_take_no_part() -> None:
    rows = [
        frame(0, score=None, shorter_side=100.0),
        frame(1, label=None, shorter_side=100.0),
        frame(2),
        frame(3, shorter_side=100.0, sharpness=0.5),
    ]
    table = found([clip("f", rows)])
    assert [row[2:4] for row in table["shorter_side"]] == [(0, 1)]
    assert [row[2:4] for row in table["sharpness"]] == [(0, 1)]
    assert found([clip("f", [frame(0)])]) == {}
    assert found([]) == {}


def test_the_figures_are_in_the_json_and_the_measures_are_read_back() -> None:
    clips = [
        clip("f", [frame(0, shorter_side=70.0, sharpness=0.3)]),
        clip("r", [frame(0, label=False, score=0.2)], label=False),
    ]
    whole = evaluation(clips)
    text = to_json(whole, summarise(whole, n_boot=20).to_dict())
    assert from_json(text) == whole
    summary = json.loads(text)["summary"]
    assert summary["errors"]["shorter_side"][0]["misses"]["value"] == 0.0
    bins = summary["reliability"]["bins"]
    assert [(each["share_fake"], each["frames"]) for each in bins] == [(0.0, 1), (1.0, 1)]
    assert summary["reliability"]["expected_calibration_error"] == pytest.approx(0.15)
    assert summary["alerts"]["fake_clips"] == 1
