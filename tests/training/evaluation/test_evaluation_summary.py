"""From records to figures: by set, by program, against which real ones, and over which groups."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
from evaluation_samples import clip, evaluation, frame, random_evaluation, still

from streamguard.training.evaluation.metrics import auc
from streamguard.training.evaluation.records import ClipRecord
from streamguard.training.evaluation.summary import Decisions, SummaryRow, clip_score, clip_verdict, rows_of, summarise


def fake(name: str, *scores: float | None, **more: object) -> ClipRecord:
    return clip(name, [frame(i, score=s) for i, s in enumerate(scores)], **more)  # type: ignore[arg-type]


def real(name: str, *scores: float | None, **more: object) -> ClipRecord:
    return fake(name, *scores, label=False, **more)


def figures(decisions: Decisions) -> list[float | None]:
    names = ("auc", "accuracy", "precision", "recall", "f1", "false_alarms")
    return [getattr(decisions, name).value for name in names]


def by_name(clips: list[ClipRecord], n_boot: int = 20) -> dict[str, SummaryRow]:
    return {row.name: row for row in rows_of(clips, n_boot=n_boot)}


def test_hand_counted_figures() -> None:
    clips = [fake("f1", 0.9, 0.8, 0.2), fake("f2", 0.1, 0.3), real("r1", 0.1, 0.7), real("r2", 0.2, None)]
    summary = summarise(evaluation(clips), n_boot=100)
    row, pooled = summary.rows
    assert row == replace(pooled, name="swaps")
    scores, labels = [0.9, 0.8, 0.2, 0.1, 0.3, 0.1, 0.7, 0.2], [True] * 5 + [False] * 3
    assert figures(row.by_frame) == pytest.approx([auc(scores, labels), 4 / 8, 2 / 3, 2 / 5, 4 / 8, 1 / 3])
    assert figures(row.by_clip) == pytest.approx([2.5 / 4, 3 / 4, 1, 1 / 2, 2 / 3, 0])
    assert row.by_frame.naive_accuracy == pytest.approx(5 / 8)
    assert (row.fakes, row.reals, row.frames, row.judged, row.groups) == (2, 2, 9, 8, 4)
    assert summary.unjudged == {"too small": 1}


def test_scores_of_clips_are_means_over_judged_frames_and_fake_needs_more_than_half() -> None:
    each = fake("a", 0.2, None, 0.6)
    assert clip_score(each) == pytest.approx(0.4)
    assert clip_verdict(each) is False
    assert clip_verdict(fake("c", 0.6, 0.7, 0.1)) is True
    assert clip_score(fake("b", None)) is None
    assert clip_verdict(fake("b", None)) is None


def test_registered_fakes_are_compared_with_the_same_frame_of_their_own_real_one() -> None:
    partner = clip("r", [frame(0, score=0.5), frame(1, score=0.9, area=300), frame(2, score=None)], label=False)
    rows = [frame(i, score=0.7, dice=0.8, ellipse=0.9) for i in range(3)]
    found = by_name([clip("f", rows, partner="r"), partner, fake("lone", 0.1)])["swaps"]
    assert found.above.value == 0.5
    # On the real half only an empty mask is right: it is at frame 0, and an ellipse never is.
    assert found.dice.value == pytest.approx(np.mean([(0.8 + 1) / 2, 0.8 / 2]))
    assert found.ellipse.value == pytest.approx(0.45)
    none = by_name([fake("f", 0.9, partner="gone"), partner])["swaps"]
    assert (none.above.value, none.dice.value) == (None, None)
    assert none.dice.reason == "no fake is registered with a real one"


def test_pictures_take_part_in_frames_and_not_in_clips() -> None:
    found = by_name([still("a", 0.9), still("b", 0.2, label=False), still("c", 0.3, label=False)])["swaps"]
    assert found.by_frame.auc.value == 1.0
    assert found.by_clip.auc.value is None
    assert found.baselines["bit rate"][0].value is None
    assert found.baselines["picture size"][0].value == 0.5


def test_one_class_only_leaves_auc_undefined_with_a_reason() -> None:
    decisions = by_name([real("a", 0.1, 0.2), real("b", 0.2)])["swaps"].by_frame
    assert decisions.auc.reason == "nothing fake was judged"
    assert figures(decisions) == [None, 1.0, None, None, None, 0.0]
    assert decisions.precision.reason == "nothing was called fake"


@pytest.mark.parametrize("clips", [[fake("a", None, None)], [clip("a", [])]])
def test_nothing_judged_makes_no_number_up(clips: list[ClipRecord]) -> None:
    row = by_name(clips)["all sets"]
    for decisions in (row.by_frame, row.by_clip):
        assert figures(decisions) == [None] * 6
        assert decisions.naive_accuracy is None
    assert row.unsure.reason == "nothing was judged"
    assert rows_of([]) == ()


def test_a_single_false_alarm_does_not_take_the_interval_away() -> None:
    clips = [fake(f"f{i}", 0.9, 0.8) for i in range(5)] + [real(f"r{i}", 0.1) for i in range(4)] + [real("loud", 0.9)]
    precision = by_name(clips, 300)["swaps"].by_frame.precision
    assert precision.value == pytest.approx(10 / 11)
    assert precision.low is not None
    assert precision.low < 10 / 11 <= (precision.high or 0)


def test_baselines_are_ranked_on_the_judged_frames() -> None:
    rows = [frame(0, looks={"blur": 1.0}), frame(1, score=None)]
    other = [frame(0, score=0.1, looks={"blur": 0.0}), frame(1, score=0.2)]
    found = by_name([clip("a", rows), clip("b", other, label=False, bit_rate=100)])["swaps"].baselines
    assert [each.value for each in found["blur"]] == [1.0, 1.0]
    assert [each.value for each in found["bit rate"]] == [1.0, 1.0]
    assert found["brightness"][0].value is None


def test_programs_share_the_real_ones_of_their_set_and_sets_without_borrow_those_of_their_kind() -> None:
    home = [fake("a", 0.9, program="one"), fake("b", 0.15, program="two"), real("r", 0.1), real("s", 0.2)]
    away = [fake("c", 0.05, set="away"), still("p", 0.01, label=False, set="faces")]
    rows = rows_of([*home, *away], n_boot=20)
    assert [row.name for row in rows] == ["away", "faces", "swaps", "swaps/one", "swaps/two", "all sets"]
    found = {row.name: row for row in rows}
    assert found["swaps/one"].by_frame.auc.value == 1.0
    assert found["swaps/two"].by_frame.auc.value == 0.5
    assert (found["away"].borrowed, found["away"].reals, found["away"].by_frame.auc.value) == (True, 2, 0.0)
    assert not found["swaps/two"].borrowed
    assert [row.name for row in rows_of(home, programs=False, n_boot=5)] == ["swaps", "all sets"]


def test_groups_are_resampled_and_not_clips() -> None:
    rng = np.random.default_rng(0)
    people = [(n, float(rng.normal())) for n in range(8)]
    scores = {label: 1 / (1 + np.exp(-1.0 * label)) for label in (False, True)}

    def clips(group: bool) -> list[ClipRecord]:
        return [
            fake(
                f"{n}{label}{k}",
                float(np.clip(scores[label] + drift / 4, 0, 1)),
                label=label,
                group=f"p{n}" if group else f"{n}{label}{k}",
            )
            for n, drift in people
            for label in (False, True)
            for k in range(6)
        ]

    grouped, alone = (by_name(clips(group), 400)["swaps"].by_frame.false_alarms for group in (True, False))
    assert grouped.value == alone.value
    assert grouped.units == 8
    assert (grouped.high or 0) - (grouped.low or 0) > 1.3 * ((alone.high or 0) - (alone.low or 0))


def test_unsure_frames_are_a_share_of_the_judged_ones() -> None:
    rows = [frame(0, score=0.4, unsure=True), frame(1, score=0.1), frame(2, score=None)]
    assert by_name([clip("a", rows)])["swaps"].unsure.value == 0.5


def test_intervals_hold_the_value_and_repeat() -> None:
    data = random_evaluation(24, 20)
    first, again = summarise(data, n_boot=500), summarise(data, n_boot=500)
    assert first == again
    for decisions in (first.rows[-1].by_frame, first.rows[-1].by_clip):
        for name in ("auc", "accuracy", "precision", "recall", "f1"):
            figure = getattr(decisions, name)
            assert figure.low <= figure.value <= figure.high


def test_hundreds_of_clips_and_thousands_of_frames_are_quick() -> None:
    data = random_evaluation(100, 100)
    start = time.process_time()
    summarise(data)
    assert time.process_time() - start < 10
