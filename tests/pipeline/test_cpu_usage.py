"""Whether the processors are busy is looked up now and then, and believed until the next look."""

from __future__ import annotations

import time

import pytest

from streamguard.pipeline import cpu_usage
from streamguard.pipeline.cpu_usage import Busy, idle_until_now, processors


def test_busy_is_what_leaves_hardly_anything() -> None:
    idle, looks = [0.0], [0]

    def read() -> tuple[float, float]:
        looks[0] += 1
        return time.monotonic() + looks[0], idle[0]

    # One second lies between two looks by that clock, and none by the real one.
    busy = Busy(read, share=0.5, every=-10.0)
    idle[0] += 0.4 * processors()
    assert busy()
    idle[0] += 0.9 * processors()
    assert not busy()


def test_it_is_not_looked_up_at_every_question() -> None:
    looks = [0]

    def read() -> tuple[float, float]:
        looks[0] += 1
        return idle_until_now()

    busy = Busy(read, every=1000.0)
    assert not any(busy() for _ in range(100))
    assert looks == [1]


@pytest.mark.parametrize("told", [True, False])
def test_idle_time_grows_no_faster_than_time(monkeypatch: pytest.MonkeyPatch, told: bool) -> None:
    if not told:
        monkeypatch.setattr(cpu_usage, "_idle_seconds", lambda: None)
    before = idle_until_now()
    end = time.process_time() + 0.05
    while time.process_time() < end:
        pass
    after = idle_until_now()
    # The kernel counts in ticks.
    assert -0.02 <= after[1] - before[1] <= processors() * (after[0] - before[0]) + 0.1
