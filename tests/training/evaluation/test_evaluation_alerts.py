"""Alert figures: exact intervals, hours of judged footage, delays, and clips that never alert."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from evaluation_samples import clip, evaluation, frame
from hypothesis import given
from hypothesis import strategies as st

from streamguard.training.evaluation.alerts import alert_delay, alerts_of, judged_seconds, poisson_interval
from streamguard.training.evaluation.summary import summarise


@pytest.mark.parametrize(
    ("count", "low", "high"),
    # Garwood 1936, as tabulated in every textbook on counts.
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (3, 0.619, 8.767), (10, 4.795, 18.39), (100, 81.36, 121.63)],
)
def test_the_poisson_interval_is_the_exact_one(count: int, low: float, high: float) -> None:
    assert poisson_interval(count) == pytest.approx((low, high), rel=1e-3, abs=1e-3)


@given(st.integers(0, 1000))
def test_the_interval_holds_its_count_and_moves_with_it(count: int) -> None:
    low, high = poisson_interval(count)
    after = poisson_interval(count + 1)
    assert low <= count < high
    assert low < after[0]
    assert high < after[1]
    assert math.isfinite(high)


def test_judged_time_is_that_of_judged_frames_alone() -> None:
    whole = clip("a", [frame(i, label=False, score=0.1) for i in range(11)], label=False)
    assert judged_seconds(whole) == pytest.approx(1.1)
    blind = clip("b", [frame(i, label=False, score=None if i < 5 else 0.1) for i in range(11)], label=False)
    assert judged_seconds(blind) == pytest.approx(0.6)
    gap = [replace(frame(i, label=False, score=0.1), time=time) for i, time in enumerate((0.0, 0.1, 5.1, 5.2))]
    assert judged_seconds(clip("c", gap, label=False)) == pytest.approx(5.3)
    assert judged_seconds(clip("d", [frame(0)])) == 0.0


def test_delays_count_from_the_first_judged_frame_and_never_is_shown_apart() -> None:
    rows = [frame(i, score=None if i < 3 else 0.9) for i in range(30)]
    fakes = [replace(clip(f"f{n}", rows), alerts=(0.3 + delay, 2.0)) for n, delay in enumerate((0.5, 0.7, 1.5))]
    never = clip("never", rows)
    unseen = clip("unseen", [frame(0, score=None)])
    quiet = clip("r0", [frame(i, label=False, score=0.1) for i in range(36)], label=False)
    loud = replace(quiet, name="r1", alerts=(1.0, 2.5))
    assert alert_delay(fakes[2]) == pytest.approx(1.5)
    assert alert_delay(never) is None
    found = alerts_of([*fakes, never, unseen, quiet, loud], n_boot=50, seed=0)
    assert (found.fake_clips, found.never) == (5, 2)
    assert found.alerted.value == pytest.approx(0.6)
    assert found.delay_median == pytest.approx(0.7)
    assert found.delay_p90 == pytest.approx(0.7 + 0.8 * 0.8)
    assert (found.real_clips, found.false_alarms) == (2, 2)
    assert found.real_hours == pytest.approx(7.2 / 3600)
    assert found.per_hour == pytest.approx(1000)
    low, high = poisson_interval(2)
    assert found.per_hour_low == pytest.approx(500 * low)
    assert found.per_hour_high == pytest.approx(500 * high)


def test_a_missing_class_gives_no_rate_and_no_delay() -> None:
    fake = replace(clip("f", [frame(0), frame(1)]), alerts=(0.1,))
    alone = alerts_of([fake], n_boot=10, seed=0)
    assert (alone.per_hour, alone.per_hour_low, alone.real_hours) == (None, None, 0.0)
    real = alerts_of([clip("r", [frame(0, label=False, score=0.1)] * 2, label=False)], n_boot=10, seed=0)
    assert (real.fake_clips, real.never, real.delay_median) == (0, 0, None)
    assert real.alerted.value is None
    nothing = alerts_of([], n_boot=10, seed=0)
    assert nothing.per_hour is nothing.delay_p90 is None


def test_generators_have_alerts_of_their_own() -> None:
    def fakes(group: str, alerted: int) -> list[object]:
        return [
            replace(clip(f"{group}{n}", [frame(i) for i in range(20)], group=group), alerts=(1.0,) * (n < alerted))
            for n in range(3)
        ]

    real = clip("r", [frame(i, label=False, score=0.1) for i in range(20)], label=False, group="real")
    summary = summarise(evaluation([*fakes("fake vasa", 3), *fakes("fake keysync", 1), real]), n_boot=20)  # type: ignore[list-item]
    assert summary.alerts.alerted.value == pytest.approx(4 / 6)
    assert summary.groups["fake vasa"].alerts.alerted.value == 1.0
    assert summary.groups["fake keysync"].alerts.never == 2
    assert summary.groups["fake vasa"].against == "all real clips"
    assert summary.groups["real"].alerts.false_alarms == 0
