"""Media time rises strictly from 0, whatever the source sends."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.media import TimestampRepair

MPEG_TS = Fraction(1, 90_000)
stamps = st.one_of(st.none(), st.integers(-(1 << 62), 1 << 62), st.integers(-1000, 1000), st.integers(0, 1 << 33))
time_bases = st.fractions(min_value=Fraction(1, 10**9), max_value=10)
rates = st.one_of(st.none(), st.floats(0.1, 300))


def repaired(pts: list[int | None], time_base: Fraction, rate: float | None = 25) -> list[float]:
    repair = TimestampRepair(rate)
    return [repair.repair(value, time_base) for value in pts]


@given(st.lists(stamps, min_size=1), time_bases, rates)
def test_time_starts_at_zero_rises_strictly_and_stays_finite(
    pts: list[int | None], time_base: Fraction, rate: float | None
) -> None:
    times = repaired(pts, time_base, rate)
    assert times[0] == 0.0
    assert all(math.isfinite(time) for time in times)
    assert all(before < after for before, after in itertools.pairwise(times))


@given(st.integers(-(1 << 40), 1 << 40), st.lists(st.integers(1, 900_000), min_size=1), rates)
def test_rising_timestamps_pass_exactly_less_the_first(first: int, steps: list[int], rate: float | None) -> None:
    pts = [first, *itertools.accumulate(steps, initial=first)][1:]
    assert repaired(list(pts), MPEG_TS, rate) == [float((value - pts[0]) * MPEG_TS) for value in pts]


def test_missing_timestamps_advance_by_the_nominal_interval() -> None:
    assert repaired([None, None, None], MPEG_TS, 50) == pytest.approx([0, 0.02, 0.04])


def test_missing_timestamps_advance_by_the_observed_interval_without_a_rate() -> None:
    assert repaired([0, 9000, None, 27000], MPEG_TS, None) == pytest.approx([0, 0.1, 0.2, 0.3])


def test_timestamps_that_begin_late_continue_the_guessed_time() -> None:
    assert repaired([None, None, 900_000, 903_600], MPEG_TS) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_a_backward_jump_continues_by_one_interval() -> None:
    pts: list[int | None] = [900_000, 903_600, 0, 3600]
    assert repaired(pts, MPEG_TS) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_a_forward_jump_beyond_ten_seconds_continues_by_one_interval() -> None:
    pts: list[int | None] = [0, 3600, 3600 + 90_000 * 11, 7200 + 90_000 * 11]
    assert repaired(pts, MPEG_TS) == pytest.approx([0, 0.04, 0.08, 0.12])


def test_a_gap_of_up_to_ten_seconds_is_kept() -> None:
    assert repaired([0, 3600, 3600 + 90_000 * 10], MPEG_TS) == [0, 0.04, 10.04]


def test_the_mpeg_ts_wrap_is_seamless() -> None:
    wrap = 1 << 33
    pts: list[int | None] = [wrap - 7200, wrap - 3600, 0, 3600, 10_800]
    assert repaired(pts, MPEG_TS) == [0, 0.04, 0.08, 0.12, 0.2]


def test_doubled_and_late_timestamps_move_just_behind_their_predecessor() -> None:
    times = repaired([0, 3600, 3600, 10_800, 7200, 14_400], MPEG_TS)
    assert times[:2] == [0, 0.04]
    assert 0.04 < times[2] < 0.045
    assert times[3] == 0.12
    assert 0.12 < times[4] < 0.125
    assert times[5] == 0.16


def test_variable_rate_is_kept() -> None:
    assert repaired([0, 1, 10, 12, 40], Fraction(1, 100)) == [0, 0.01, 0.1, 0.12, 0.4]
