"""The arithmetic of how many streams fit, and what counters tell of the cost."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.pipeline.capacity import Cost, Means, detections, load_share, most_streams, scarce, shared_rate
from streamguard.pipeline.cpu_usage import CpuClock, CpuReading, processors
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.measure import first_cost
from streamguard.pipeline.usage import Reading, UsageMeter

COSTS = st.builds(Cost, *[st.floats(0.001, 0.2)] * 4)
MEANS = st.builds(Means, st.floats(0.2, 64))
RATES = st.lists(st.floats(0.1, 30), min_size=1, max_size=40)


@given(COSTS, MEANS, RATES)
def test_the_shared_rate_is_the_largest_that_fits(cost: Cost, means: Means, asked: list[float]) -> None:
    rate = shared_rate(cost, means, asked)
    assert 0 <= rate <= max(asked)
    if rate > 0:
        assert load_share(cost, means, [min(rate, each) for each in asked]) <= 1
    if rate < max(asked):
        assert load_share(cost, means, [min(rate + 0.01, each) for each in asked]) > 1


@given(COSTS, MEANS, st.floats(0.5, 25))
def test_so_many_streams_fit_and_not_one_more(cost: Cost, means: Means, rate: float) -> None:
    count = most_streams(cost, means, rate)
    assert load_share(cost, means, [rate] * count) <= 1 + 1e-9
    assert load_share(cost, means, [rate] * (count + 1)) > 1 - 1e-9


@given(st.floats(0, 60), st.integers(1, 15))
def test_faces_are_looked_for_no_more_often_than_frames_are_judged(rate: float, every: int) -> None:
    assert detections(rate, every) <= rate + 1e-12
    assert detections(rate, every) >= rate / every
    assert detections(rate + 1, every) >= detections(rate, every)


def test_what_runs_out_first() -> None:
    cost = Cost(stream=0.05, frame=0.02, detection=0.02, engine=0.01)
    # Once a second: 0.05 + 0.02 + 0.02 of two processors.
    assert most_streams(cost, Means(2.0), 1.0) == 22
    assert scarce(cost, Means(2.0), 1.0) == "processors"
    assert scarce(cost, Means(64.0), 1.0) == "engine"
    assert most_streams(cost, Means(64.0), 1.0) == 100
    assert shared_rate(cost, Means(0.01), [5.0]) == 0


def reading(at: float, used: float, done: int, contended: float = 0.0) -> Reading:
    """Of a machine of two processors, of which another program takes half a one; a fifth of what is used decodes."""
    cpu = CpuReading(at, used, decoding=used / 5, showing=0.1 * at, idle=1.5 * at - used)
    return Reading(cpu, done, {"m@1": 0.01 * done}, contended, 4)


def test_costs_are_what_the_counters_say() -> None:
    meter = UsageMeter(detection=0.02)
    assert meter.usage([5.0]) is None
    meter.add(reading(0.0, 0.0, 0))
    assert meter.usage([5.0]) is None
    for second in range(1, 30):
        meter.add(reading(second, 1.0 * second, 20 * second))
    usage = meter.usage([5.0] * 4)
    assert usage is not None
    # 0.2 for decoding four streams, 0.1 for viewers, 4 x 4/3 detections of 20 ms; the rest is for 20 frames.
    assert usage.cost.stream == pytest.approx(0.05)
    assert usage.cost.frame == pytest.approx((1.0 - 0.2 - 0.1 - 4 * 4 / 3 * 0.02) / 20)
    assert usage.cost.engine == pytest.approx(0.01)
    assert usage.means.processors == pytest.approx(1.4)
    assert (usage.judged, usage.load) == pytest.approx((20.0, 1.0 / 1.5))


def test_what_is_idle_while_streams_wait_does_not_count() -> None:
    meter = UsageMeter(detection=0.0)
    for second in range(12):
        meter.add(reading(second, 1.0 * second, 20 * second, contended=1.0 * second))
    usage = meter.usage([5.0] * 4)
    assert usage is not None
    # But for the fifth of the time in which they waited for the engine.
    assert usage.means.processors == pytest.approx(1.0 - 0.1 + 0.2 * 0.5)
    assert (usage.load, usage.contended) == pytest.approx((1.0 / 1.1, 1.0))


def test_the_cost_is_remembered_while_nothing_is_judged() -> None:
    meter = UsageMeter(detection=0.02)
    for second in range(12):
        meter.add(reading(second, 1.0 * second, 20 * second))
    before = meter.usage([5.0] * 4)
    for second in range(12, 40):
        meter.add(reading(second, 12.0, 240))
    after = meter.usage([0.0] * 4)
    assert before is not None
    assert after is not None
    assert after.cost == before.cost
    assert after.load < 0.01


def test_the_clock_tells_threads_that_decode_from_others() -> None:
    clock, ended, count = CpuClock(), threading.Event(), threading.Event()
    before = clock.read()

    def spend(seconds: float) -> None:
        began = time.thread_time()
        while time.thread_time() - began < seconds:
            pass
        count.set()
        ended.wait(60)

    for name, seconds in (("decode cam", 0.3), ("other", 0.2)):
        count.clear()
        thread = threading.Thread(target=spend, args=(seconds,), name=name)
        thread.start()
        assert count.wait(60)
        reading = clock.read()
        ended.set()
        thread.join()
        ended.clear()
    assert reading.decoding - before.decoding == pytest.approx(0.3, abs=0.05)
    assert reading.used - before.used >= 0.5
    assert reading.showing == 0
    # What has ended is not forgotten.
    assert clock.read().decoding >= reading.decoding
    assert reading.idle >= before.idle
    assert 0 < processors() <= len(os.sched_getaffinity(0))


async def test_the_first_cost_is_measured(detector: object) -> None:
    async with Guard.open(str(detector), "torch") as guard:
        cost = await first_cost(guard)
        assert guard.batcher.stats().crops == 32
    assert cost.detection > 0
    assert cost.engine > 0
    assert cost.frame > 0
    assert cost == replace(cost, stream=0.0)
