"""From records to figures."""

from __future__ import annotations

import time

import numpy as np
import pytest
from evaluation_samples import clip, evaluation, frame, random_evaluation

from streamguard.training.evaluation.metrics import auc
from streamguard.training.evaluation.summary import Decisions, clip_score, clip_verdict, summarise


def fake(name: str, *scores: float | None, **more: str) -> object:
    return clip(name, [frame(i, score=s, dice=s, iou=s) for i, s in enumerate(scores)], **more)


def real(name: str, *scores: float | None, **more: str) -> object:
    rows = [frame(i, label=False, score=s, dice=None if s is None else float(s < 0.5)) for i, s in enumerate(scores)]
    return clip(name, rows, label=False, **more)


def figures(decisions: Decisions) -> list[float | None]:
    names = ("auc", "accuracy", "precision", "recall", "f1")
    return [getattr(decisions, name).value for name in names]


def test_hand_counted_figures() -> None:
    data = evaluation([fake("f1", 0.9, 0.8, 0.2), fake("f2", 0.1, 0.3), real("r1", 0.1, 0.7), real("r2", 0.2, None)])
    summary = summarise(data, n_boot=100)
    scores, labels = [0.9, 0.8, 0.2, 0.1, 0.3, 0.1, 0.7, 0.2], [True] * 5 + [False] * 3
    assert figures(summary.frames) == pytest.approx([auc(scores, labels), 4 / 8, 2 / 3, 2 / 5, 4 / 8])
    assert figures(summary.videos) == pytest.approx([2.5 / 4, 3 / 4, 1, 1 / 2, 2 / 3])
    assert summary.frames.naive_accuracy == pytest.approx(5 / 8)
    assert summary.videos.naive_accuracy == pytest.approx(0.5)
    assert summary.masks.dice_fake.value == pytest.approx(np.mean([0.9, 0.8, 0.2, 0.1, 0.3]))
    assert summary.masks.dice_both.value == pytest.approx(np.mean([0.9, 0.8, 0.2, 0.1, 0.3, 1, 0, 1]))
    assert (summary.counts.frames, summary.counts.judged) == (9, 8)
    assert summary.counts.unjudged == {"too small": 1}


def test_scores_of_clips_are_means_over_judged_frames() -> None:
    each = fake("a", 0.2, None, 0.6)
    assert clip_score(each) == pytest.approx(0.4)
    assert clip_verdict(each) is False
    assert clip_score(fake("b", None)) is None
    assert clip_verdict(fake("b", None)) is None


def test_one_class_only_leaves_auc_undefined_with_a_reason() -> None:
    summary = summarise(evaluation([real("a", 0.1, 0.2), real("b", 0.2)]), n_boot=50)
    assert summary.frames.auc.value is None
    assert summary.frames.auc.reason == "nothing fake was judged"
    assert summary.frames.accuracy.value == 1.0
    assert summary.frames.precision.reason == "nothing was called fake"
    assert summary.frames.recall.value is None
    assert summary.frames.f1.value is None


@pytest.mark.parametrize("clips", [[], [fake("a", None, None)], [clip("a", [])]])
def test_nothing_judged_makes_no_number_up(clips: list[object]) -> None:
    summary = summarise(evaluation(clips), n_boot=20)
    for decisions in (summary.frames, summary.videos):
        assert figures(decisions) == [None] * 5
        assert decisions.naive_accuracy is None
        assert all(getattr(decisions, name).reason for name in ("auc", "accuracy", "precision", "recall", "f1"))
    assert summary.masks.dice_both.value is None
    assert summary.counts.clips_unjudged == len(clips)


def test_a_single_false_alarm_does_not_take_the_interval_away() -> None:
    clips = [fake(f"f{i}", 0.9, 0.8) for i in range(5)] + [real(f"r{i}", 0.1) for i in range(4)] + [real("loud", 0.9)]
    precision = summarise(evaluation(clips), n_boot=300).frames.precision
    assert precision.value == pytest.approx(10 / 11)
    assert precision.low is not None
    assert precision.low < 10 / 11 <= (precision.high or 0)


def test_frames_without_truth_count_for_the_video_only() -> None:
    rows = [frame(0, label=None, score=0.9), frame(1, label=None, score=0.8)]
    summary = summarise(evaluation([clip("a", rows), real("r", 0.1)]), n_boot=20)
    assert summary.counts.unlabelled == 2
    assert summary.frames.recall.value is None
    assert summary.videos.recall.value == 1.0


def test_baselines_are_ranked_on_the_judged_frames() -> None:
    rows = [frame(0, score=0.9, baselines={"blur": 1.0}), frame(1, score=None, baselines={"blur": -9.0})]
    other = [frame(0, label=False, score=0.1, baselines={"blur": 0.0}), frame(1, label=False, score=0.2)]
    blur = summarise(evaluation([clip("a", rows), clip("b", other, label=False)]), n_boot=20).baselines["blur"]
    assert blur.frame_auc.value == 1.0
    assert blur.video_auc.value == 1.0


def test_a_generator_without_real_clips_is_ranked_against_all_real_ones() -> None:
    clips = [fake("a", 0.9, group="one"), fake("b", 0.15, group="two"), real("r", 0.1, group="home")]
    groups = summarise(evaluation([*clips, real("s", 0.2, group="home")]), n_boot=20).groups
    assert groups["one"].frames.auc.value == 1.0
    assert groups["two"].frames.auc.value == 0.5
    assert groups["two"].against == "all real clips"
    assert groups["two"].frames.recall.value == 0.0
    assert groups["home"].against == "own"
    assert groups["home"].frames.auc.value is None
    assert groups["one"].counts.clips == 1


def test_intervals_hold_the_value_and_repeat() -> None:
    data = random_evaluation(24, 20)
    first, again = summarise(data, n_boot=500), summarise(data, n_boot=500)
    assert first == again
    for decisions in (first.frames, first.videos):
        for name in ("auc", "accuracy", "precision", "recall", "f1"):
            figure = getattr(decisions, name)
            assert figure.low <= figure.value <= figure.high


def test_two_thousand_resamples_of_a_hundred_clips_are_quick() -> None:
    data = random_evaluation(100, 100)
    start = time.process_time()
    summarise(data)
    assert time.process_time() - start < 5
