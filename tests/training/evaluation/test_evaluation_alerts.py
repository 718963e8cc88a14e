"""Alert figures: exact bounds, minutes of judged footage, delays, and clips that never alert."""

from __future__ import annotations

from dataclasses import replace

import pytest
from evaluation_samples import clip, evaluation, frame, still
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from streamguard.training.evaluation.alerts import (
    alarms_by,
    alarms_of,
    alert_delay,
    delays_of,
    judged_seconds,
    poisson_bound,
    share_bound,
    worst,
)
from streamguard.training.evaluation.records import ClipRecord
from streamguard.training.evaluation.summary import summarise


@given(st.integers(0, 500), st.integers(0, 500))
def test_bounds_are_where_so_few_become_too_rare(count: int, more: int) -> None:
    assert stats.poisson.cdf(count, poisson_bound(count)) == pytest.approx(0.05)
    of = count + more
    if more:
        assert stats.binom.cdf(count, of, share_bound(count, of)) == pytest.approx(0.05)
    else:
        assert share_bound(count, of) == 1.0


def test_no_alarm_in_many_clips_is_the_rule_of_three() -> None:
    assert poisson_bound(0) == pytest.approx(3.0, abs=0.01)
    assert share_bound(0, 300) == pytest.approx(0.01, abs=1e-4)


def quiet(name: str, frames: int = 36, **more: object) -> ClipRecord:
    return clip(name, [frame(i, score=0.1) for i in range(frames)], label=False, **more)  # type: ignore[arg-type]


def test_judged_time_is_that_of_judged_frames_alone() -> None:
    assert judged_seconds(quiet("a", 11)) == pytest.approx(1.1)
    blind = clip("b", [frame(i, score=None if i < 5 else 0.1) for i in range(11)])
    assert judged_seconds(blind) == pytest.approx(0.6)
    gap = [replace(frame(i), time=time) for i, time in enumerate((0.0, 0.1, 5.1, 5.2))]
    assert judged_seconds(clip("c", gap)) == pytest.approx(5.3)
    assert judged_seconds(clip("d", [frame(0)])) == 0.0


def test_delays_count_from_the_first_judged_frame() -> None:
    rows = [frame(i, score=None if i < 3 else 0.9) for i in range(30)]
    fakes = [replace(clip(f"f{n}", rows), alerts=(0.3 + delay, 2.0)) for n, delay in enumerate((0.5, 0.7, 1.5))]
    never, unseen = clip("never", rows), clip("unseen", [frame(0, score=None)])
    assert alert_delay(fakes[2]) == pytest.approx(1.5)
    assert alert_delay(never) is None
    found = delays_of("x", [*fakes, never, unseen, quiet("r"), still("s", 0.9)], n_boot=50, seed=0)
    assert (found.name, found.clips) == ("x", 5)
    assert found.alerted.value == pytest.approx(0.6)
    assert (found.median, found.p90) == pytest.approx((0.7, 0.7 + 0.8 * 0.8))
    none = delays_of("x", [quiet("r")], n_boot=10, seed=0)
    assert (none.clips, none.alerted.value, none.median, none.p90) == (0, None, None, None)


def test_false_alarms_are_counted_by_clip_person_and_hour() -> None:
    loud = replace(quiet("r1", group="ann"), alerts=(1.0, 2.5))
    found = alarms_of("x", [quiet("r0", group="ann"), loud, quiet("r2"), still("s", 0.9, label=False), clip("f", [])])
    assert (found.clips, found.groups, found.alerts, found.alarmed) == (3, 2, 2, 1)
    assert found.minutes == pytest.approx(3 * 3.6 / 60)
    assert found.per_hour == pytest.approx(2 / (10.8 / 3600))
    assert found.per_hour_high == pytest.approx(poisson_bound(2) / (10.8 / 3600))
    assert found.share_high == share_bound(1, 3)
    nothing = alarms_of("x", [])
    assert (nothing.per_hour, nothing.per_hour_high, nothing.share_high, nothing.minutes) == (None, None, None, 0.0)


def test_sets_kinds_of_recording_and_the_worst_set_are_told_apart() -> None:
    calls = [quiet(f"c{n}", set="calls", program=("phone", "webcam")[n % 2]) for n in range(4)]
    films = [quiet("f0", set="films"), replace(quiet("f1", set="films"), alerts=(1.0,))]
    rows = alarms_by([*calls, *films, clip("x", [frame(0)])])
    assert [each.name for each in rows] == ["calls", "calls/phone", "calls/webcam", "films", "all sets"]
    assert worst(rows) == rows[3]
    assert rows[-1].alerts == 1
    assert worst(alarms_by(calls)).name == "calls"  # type: ignore[union-attr]
    assert alarms_by([clip("x", [frame(0)])]) == ()
    assert worst(()) is None


def test_programs_have_delays_of_their_own() -> None:
    def fakes(program: str, alerted: int) -> list[ClipRecord]:
        rows = [frame(i) for i in range(20)]
        return [replace(clip(f"{program}{n}", rows, program=program), alerts=(1.0,) * (n < alerted)) for n in range(3)]

    summary = summarise(evaluation([*fakes("vasa", 3), *fakes("keysync", 1), quiet("r")]), n_boot=20)
    found = {each.name: each.alerted.value for each in summary.delays}
    assert found == {
        "swaps": pytest.approx(4 / 6),
        "swaps/keysync": pytest.approx(1 / 3),
        "swaps/vasa": 1.0,
        "all sets": pytest.approx(4 / 6),
    }
