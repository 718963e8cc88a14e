"""Errors by face size and sharpness: the right bins, the right class, nothing made up."""

from __future__ import annotations

import numpy as np
from evaluation_samples import clip, frame

from streamguard.training.evaluation.errors_by import SHARPNESS_BINS, ErrorBin, errors_by


def test_small_faces_err_and_large_ones_do_not() -> None:
    real = [frame(i, score=0.9 if i < 5 else 0.1, shorter_side=50.0 if i < 10 else 128.0) for i in range(20)]
    fake = [frame(i, score=0.1 if i < 8 else 0.9, shorter_side=63.9 if i < 10 else 400.0) for i in range(20)]
    assert errors_by([clip("r", real, label=False), clip("f", fake)]) == {
        "shorter_side": (
            ErrorBin(48.0, 64.0, 10, 10, 0.5, 0.8),
            ErrorBin(128.0, 160.0, 10, 0, 0.0, None),
            ErrorBin(384.0, None, 0, 10, None, 0.0),
        )
    }


def test_sharpness_is_cut_into_equal_parts() -> None:
    rng = np.random.default_rng(0)
    clips = [
        clip(f"c{n}", [frame(i, sharpness=float(rng.random())) for i in range(80)], label=n % 2 == 1) for n in range(6)
    ]
    bins = errors_by(clips)["sharpness"]
    assert len(bins) == SHARPNESS_BINS
    assert sum(each.reals + each.fakes for each in bins) == 480
    assert all(40 < each.reals + each.fakes < 80 for each in bins)
    assert [each.high for each in bins[:-1]] == [each.low for each in bins[1:]]
    assert bins[-1].high is None
    assert {(each.false_alarms, each.misses) for each in bins} == {(1.0, 0.0)}


def test_frames_without_a_verdict_or_the_measure_take_no_part() -> None:
    rows = [frame(0, score=None, shorter_side=100.0), frame(1), frame(2, shorter_side=100.0, sharpness=0.5)]
    table = errors_by([clip("f", rows)])
    assert [[each.fakes for each in bins] for bins in table.values()] == [[1], [1]]
    assert errors_by([clip("f", [frame(0)])]) == errors_by([]) == {}
