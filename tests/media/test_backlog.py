"""Pictures that piled up are told from those of this moment."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from streamguard.media.backlog import NetworkBacklog

STEP = 0.04


def steady(begin: float, count: int, step: float = STEP) -> list[float]:
    return [begin + n * step for n in range(count)]


def shown(pictures: Iterable[tuple[float, float]], limit: float = 2.0) -> list[float]:
    """The media times of those that are not old."""
    backlog = NetworkBacklog(limit)
    return [time for time, now in pictures if not backlog.old(time, now)]


def test_a_steady_source_is_shown_whole() -> None:
    times = steady(0, 500)
    assert shown(zip(times, steady(100, 500), strict=True)) == times


def test_jitter_and_a_burst_at_the_begin_are_shown() -> None:
    times = steady(0, 300)
    late = [100 + time + (0.9 if n % 7 == 0 else 0.0) for n, time in enumerate(times)]
    assert shown(zip(times, late, strict=True)) == times
    # A server that keeps its last two seconds sends them at once.
    burst = [100 + max(time / 50, time - 2) for time in times]
    assert shown(zip(times, burst, strict=True)) == times


def test_what_piled_up_is_left_out_until_it_has_caught_up() -> None:
    times = steady(0, 500)
    # Nothing for six seconds from the hundredth on, then all of it at five times the speed.
    come = [100 + time for time in times]
    for n in range(100, 500):
        come[n] = max(come[n], come[99] + 6 + (n - 99) * STEP / 5)
    left = shown(zip(times, come, strict=True))
    missing = sorted(set(times) - set(left))
    assert missing == times[100 : 100 + len(missing)]
    late = come[100 + len(missing)] - 100 - times[100 + len(missing)]
    assert late <= 2.0
    assert len(missing) > 90


def test_a_sender_that_paused_is_believed_after_a_moment() -> None:
    before, after = steady(0, 100), steady(4, 200)
    come = [*steady(100, 100), *steady(114, 200)]
    left = shown(zip([*before, *after], come, strict=True))
    # Its clock stood still, too: nothing newer will come.
    assert len(set(after) - set(left)) <= 0.6 / STEP
    assert left[-1] == after[-1]


@pytest.mark.parametrize("speed", [0.9, 0.999])
def test_a_slow_clock_costs_nothing(speed: float) -> None:
    times = steady(0, 5000, STEP * speed)
    left = shown(zip(times, steady(100, 5000), strict=True))
    assert len(left) == len(times)


def test_a_fast_clock_costs_nothing() -> None:
    times = steady(0, 5000, STEP * 1.1)
    assert shown(zip(times, steady(100, 5000), strict=True)) == times
