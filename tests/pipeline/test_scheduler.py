"""Scheduler between streams, on a machine and by a clock of the test's own."""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.pipeline.scheduler import FIRST, FLOOR, LEAST, MOST, SPARE, TARGET, Scheduler, Turn, next_limit
from tests.support.figures import jain, percentile


class Clock:
    """Time that stands still until everybody waits for it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Wait for so long."""
        future = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._waiting, (self.now + seconds, self._count, future))
        await future

    async def run(self, until: float) -> None:
        """Let time pass."""
        while True:
            for _ in range(6):
                await asyncio.sleep(0)
            if not self._waiting or self._waiting[0][0] > until:
                return
            self.now, _, future = heapq.heappop(self._waiting)
            if not future.done():
                future.set_result(None)


@dataclass(slots=True)
class Camera:
    """A live stream: so many frames a second, and what became of them."""

    rate: float = 25.0
    weight: int = 1
    cost: float = 1.0
    judged: list[float] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)


async def watch(cameras: Sequence[Camera], speed: float, seconds: float) -> Scheduler:
    """All cameras on a machine that analyses `speed` frames a second, one after the other."""
    clock = Clock()
    turns = Scheduler(clock)
    work: asyncio.Queue[tuple[Camera, Turn, float]] = asyncio.Queue()

    async def machine() -> None:
        while True:
            camera, turn, taken = await work.get()
            await clock.sleep(camera.cost / speed)
            camera.judged.append(clock.now)
            camera.latencies.append(clock.now - taken)
            turn.release()

    async def stream(camera: Camera) -> None:
        seat = turns.seat(camera.weight)
        number = 0
        while True:
            number = max(number + 1, math.floor(clock.now * camera.rate))
            await clock.sleep(max(0.0, number / camera.rate - clock.now))
            turn = await turns.take(seat)
            # The newest picture there is.
            number = max(number, math.floor(clock.now * camera.rate))
            work.put_nowait((camera, turn, number / camera.rate))

    tasks = [asyncio.create_task(machine()), *(asyncio.create_task(stream(camera)) for camera in cameras)]
    await clock.run(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return turns


@pytest.mark.parametrize("streams", [3, 12, 40])
async def test_overload_slows_all_streams_alike_and_latency_does_not_grow_with_them(streams: int) -> None:
    cameras = [Camera() for _ in range(streams)]
    turns = await watch(cameras, speed=45.0, seconds=40.0)
    rates = [len(camera.judged) / 40.0 for camera in cameras]
    assert jain(rates) > 0.995
    assert sum(rates) == pytest.approx(45.0, rel=0.02)
    settled = [latency for camera in cameras for latency in camera.latencies[len(camera.latencies) // 4 :]]
    assert percentile(settled, 0.95) < TARGET + 0.1
    assert turns.contended > 35


async def test_streams_with_more_faces_get_no_fewer_frames() -> None:
    cameras = [Camera(cost=cost) for cost in (1, 1, 1, 2, 4)]
    await watch(cameras, speed=40.0, seconds=40.0)
    assert jain([len(camera.judged) for camera in cameras]) > 0.99


async def test_who_asks_for_less_gets_it_and_the_rest_is_shared() -> None:
    cameras = [Camera(rate=2.0), Camera(rate=5.0), Camera(), Camera(), Camera()]
    await watch(cameras, speed=40.0, seconds=40.0)
    rates = [len(camera.judged) / 40.0 for camera in cameras]
    assert rates[:2] == pytest.approx([2.0, 5.0], rel=0.06)
    assert rates[2:] == pytest.approx([11.0] * 3, rel=0.06)


async def test_without_overload_nobody_waits() -> None:
    cameras = [Camera(rate=10.0) for _ in range(3)]
    turns = await watch(cameras, speed=60.0, seconds=20.0)
    assert all(len(camera.judged) >= 198 for camera in cameras)
    assert turns.contended == 0
    assert turns.limit == FIRST


async def test_priority_is_a_weight_and_nobody_starves() -> None:
    cameras = [Camera(weight=1), Camera(weight=2), Camera(weight=3)]
    await watch(cameras, speed=24.0, seconds=60.0)
    counts = [len(camera.judged) for camera in cameras]
    assert [count / counts[0] for count in counts] == pytest.approx([1, 2, 3], rel=0.06)
    # By weight alone, the others would get one frame in 2.4 s each.
    cameras = [Camera(weight=10), *(Camera() for _ in range(4))]
    await watch(cameras, speed=6.0, seconds=60.0)
    for camera in cameras[1:]:
        gaps = [b - a for a, b in zip(camera.judged[2:], camera.judged[3:], strict=False)]
        assert max(gaps) < FLOOR + 1.2
        assert len(camera.judged) >= 48
    assert len(cameras[0].judged) > 1.4 * len(cameras[1].judged)


async def test_a_turn_is_given_back_by_who_is_cancelled() -> None:
    turns = Scheduler()
    seats = [turns.seat() for _ in range(3)]
    held = [await turns.take(turns.seat()) for _ in range(FIRST)]
    waiting = [asyncio.create_task(turns.take(seat)) for seat in seats]
    await asyncio.sleep(0)
    waiting[0].cancel()
    held[0].release()
    held[0].release()
    # The second one has its turn, and does not live to use it.
    waiting[1].cancel()
    told = await asyncio.gather(*waiting[:2], return_exceptions=True)
    assert [type(each) for each in told] == [asyncio.CancelledError] * 2
    turn = await waiting[2]
    assert turns.busy == FIRST
    for each in (*held, turn):
        each.release()
    assert turns.busy == 0
    assert turns.done == FIRST + 2


@given(st.integers(LEAST, 16), st.floats(16, MOST), st.floats(0, 60), st.booleans())
def test_the_limit_stays_in_its_bounds(least: int, limit: float, took: float, contended: bool) -> None:
    after = next_limit(limit, took, contended=contended, least=least)
    assert least <= after <= MOST
    assert after <= limit if took > TARGET or not contended else after >= limit


@pytest.mark.parametrize(
    ("took", "settles"), [(lambda n: n / 50, 10.0), (lambda n: n / 4, LEAST), (lambda n: 0.001, MOST)]
)
def test_the_limit_settles_where_frames_take_as_long_as_they_may(took: Callable[[int], float], settles: float) -> None:
    limit = float(FIRST)
    for _ in range(5000):
        limit = next_limit(limit, took(int(limit)), contended=True)
    assert limit == pytest.approx(settles, abs=1.5)


async def test_slow_frames_leave_as_many_at_a_time_as_keep_the_processors_busy() -> None:
    clock = Clock()
    turns = Scheduler(clock, least=4)
    for _ in range(50):
        turn = await turns.take(turns.seat())
        clock.now += 1.0
        turn.release()
    assert turns.limit == 4
    assert Scheduler(clock, least=20).limit == 20


async def test_what_is_spare_waits_for_all_others() -> None:
    clock = Clock()
    turns = Scheduler(clock)
    file, camera = turns.seat(SPARE), turns.seat()
    # Alone it gets all it wants.
    first, second = await turns.take(file), await turns.take(file)
    first.release()
    second.release()
    # While a live frame is in analysis, it waits, although there is room for more.
    live = await turns.take(camera)
    waiting = asyncio.create_task(turns.take(file))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert turns.contended == 0
    # Another live frame need not wait for it.
    other = await asyncio.wait_for(turns.take(turns.seat()), 1)
    live.release()
    await asyncio.sleep(0)
    assert not waiting.done()
    other.release()
    spare = await asyncio.wait_for(waiting, 1)
    # Whoever comes then is not held up by it.
    (await asyncio.wait_for(turns.take(camera), 1)).release()
    spare.release()
    assert (turns.busy, turns.contended) == (0, 0)


async def test_what_is_spare_gets_one_turn_a_second_all_the_same() -> None:
    clock = Clock()
    turns = Scheduler(clock)
    file, cameras = turns.seat(SPARE), [turns.seat(), turns.seat()]
    held = [await turns.take(seat) for seat in cameras]
    waiting = asyncio.create_task(turns.take(file))
    granted: list[float] = []
    for step in range(1, 65):
        clock.now = step / 20
        # One live frame is in analysis at every moment.
        held.pop(0).release()
        await asyncio.sleep(0)
        held.append(await turns.take(cameras[step % 2]))
        if waiting.done():
            granted.append(clock.now)
            waiting.result().release()
            waiting = asyncio.create_task(turns.take(file))
            await asyncio.sleep(0)
    assert granted == [pytest.approx(FLOOR * count, abs=0.16) for count in (1, 2, 3)]
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    for turn in held:
        turn.release()
    assert turns.busy == 0
