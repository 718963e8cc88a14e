"""Of a live stream the newest frame is judged when its turn comes; no more of a second than asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.errors import SourceEnded
from streamguard.media import Down, SourceItem, Up
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.sampling import Sampled
from streamguard.pipeline.scheduler import FIRST, Scheduler
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Frame, Picture

UP = Up(0, 16, 16, 25.0, "h264", True, None, None)
DOWN = Down(0, SourceEnded("x", "gone"), 0.0, 1)
PICTURE = Picture(np.zeros((16, 16), np.uint8), *[np.zeros((8, 8), np.uint8)] * 2)


def frame(index: int, time: float, epoch: int = 0) -> Frame:
    """A grey picture."""
    return Frame("s", epoch, index, time, 0.0, PICTURE)


async def items(times: Iterable[float | None]) -> AsyncIterator[SourceItem]:
    """Frames of these media times; None is a new connection."""
    for index, time in enumerate(times):
        yield UP if time is None else frame(index, time)


async def kept(times: Iterable[float | None], most: float) -> list[float]:
    """The times of the frames that are judged where there is time for all."""
    async with Sampled(items(times), most=most) as samples:
        return [item.time async for item, _ in samples if isinstance(item, Frame)]


async def test_what_is_not_wanted_would_not_have_been_taken() -> None:
    """The source's thread may leave out what `wants` denies: the same frames are judged."""
    times = [n / 25 for n in range(100)]
    left_out: list[float] = []

    async def source(samples: list[Sampled]) -> AsyncIterator[SourceItem]:
        for begin in (0, 100):
            yield UP
            for index, time in enumerate(times):
                if samples[0].wants(time):
                    yield frame(begin + index, time)
                    # As in life, there is time between two frames.
                    await asyncio.sleep(0)
                else:
                    left_out.append(time)

    made: list[Sampled] = []
    made.append(Sampled(source(made), most=5))
    async with made[0] as samples:
        taken = [item.time async for item, _ in samples if isinstance(item, Frame)]
    assert taken == await kept([None, *times, None, *times], 5)
    assert len(left_out) > 100


async def test_ten_of_twenty_five() -> None:
    times = await kept([n / 25 for n in range(250)], 10)
    assert len(times) == 100
    assert times[0] == 0.0


async def test_what_is_slower_is_not_thinned() -> None:
    times = [n / 5 for n in range(50)]
    assert await kept(times, 5) == times


async def test_a_new_connection_and_a_clock_that_jumps_back_begin_anew() -> None:
    assert await kept([100.0, None, 0.0, 0.5], 1) == [100.0, 0.0]
    assert await kept([100.0, 3.0, 3.5, 4.0], 1) == [100.0, 3.0, 4.0]
    # What is late by less than two steps is made up for.
    assert await kept([0.0, 2.5, 2.6, 2.7, 3.0], 1) == [0.0, 2.5, 2.6, 3.0]
    # A long gap is not made up for by a burst.
    assert await kept([0.0, 10.0, 10.1, 10.2, 11.0], 1) == [0.0, 10.0, 11.0]


@given(st.lists(st.floats(0.001, 0.5), min_size=2, max_size=60), st.floats(0.5, 30))
async def test_never_more_than_asked_for(steps: list[float], most: float) -> None:
    times = [float(time) for time in np.cumsum(steps)]
    through = await kept(times, most)
    assert set(through) <= set(times)
    for start in range(len(through)):
        seconds = through[-1] - through[start]
        # One at each end of the time, and two that came late.
        assert len(through) - start <= seconds * most + 3.01


async def test_a_live_stream_hands_over_the_newest_frame_when_its_turn_comes() -> None:
    fed = asyncio.Event()

    async def source() -> AsyncIterator[SourceItem]:
        yield UP
        for index in range(6):
            yield frame(index, index / 25)
        fed.set()
        await asyncio.Event().wait()

    turns = Scheduler()
    others = [await turns.take(turns.seat()) for _ in range(FIRST)]
    async with Sampled(source(), turns, most=12.5) as samples:
        assert (await anext(samples))[0] == UP
        waiting = asyncio.create_task(anext(samples))
        await fed.wait()
        assert not waiting.done()
        others[0].release()
        item, turn = await waiting
        assert isinstance(item, Frame)
        assert item.index == 5
        assert samples.demand.dropped == 5
        assert turns.busy == FIRST
        turn.release()
        assert turns.busy == FIRST - 1
    for each in others[1:]:
        each.release()
    assert turns.busy == 0


async def test_a_waiting_frame_is_replaced_by_one_that_is_much_newer() -> None:
    """Under load a frame that is hardly newer is not worth its way to the loop."""

    async def source() -> AsyncIterator[SourceItem]:
        yield UP
        yield frame(0, 1.0)
        await asyncio.Event().wait()

    turns = Scheduler()
    others = [await turns.take(turns.seat()) for _ in range(FIRST)]
    async with Sampled(source(), turns, most=5) as samples:
        assert samples.wants(1.04)
        assert isinstance((await anext(samples))[0], Up)
        reading = asyncio.create_task(anext(samples))
        while turns.contended == 0:  # noqa: ASYNC110 - a wish has no event
            await asyncio.sleep(0)
        assert [samples.wants(time) for time in (1.04, 1.08, 1.11, 0.0)] == [False, False, True, True]
        for each in others:
            each.release()
        (_, turn), before = await reading, samples.wants(1.11)
        turn.release()
        # None waits any more: the next one is due a fifth of a second after the last.
        assert not before
        assert samples.wants(1.21)


async def test_no_frame_of_a_connection_comes_after_its_end() -> None:
    source: list[SourceItem] = [UP, *(frame(n, n / 25) for n in range(5)), DOWN]
    source += [replace(UP, epoch=1), frame(0, 0.0, 1), frame(1, 0.04, 1)]

    async def played() -> AsyncIterator[SourceItem]:
        for item in source:
            yield item
        raise SourceEnded("x", "over")

    turns = Scheduler()
    others = [await turns.take(turns.seat()) for _ in range(FIRST)]
    got: list[SourceItem] = []
    async with Sampled(played(), turns) as samples:

        async def read() -> None:
            async for item, turn in samples:
                got.append(item)
                turn.release()

        reading = asyncio.create_task(read())
        while len(got) < 3:  # noqa: ASYNC110 - what is read has no event
            await asyncio.sleep(0)
        for each in others:
            each.release()
        with pytest.raises(SourceEnded, match="over"):
            await reading
    assert got[:3] == [UP, DOWN, replace(UP, epoch=1)]
    assert [(each.epoch, each.index) for each in got[3:] if isinstance(each, Frame)] == [(1, 1)]
    assert samples.demand.dropped == 6
    assert turns.busy == 0


@pytest.mark.parametrize(("side", "ahead"), [(16, 8), (2000, 2), (4000, 1)])
async def test_a_file_is_judged_whole_and_waits(side: int, ahead: int) -> None:
    taken: list[int] = []
    picture = Picture(np.zeros((side, side), np.uint8), *[np.zeros((side // 2, side // 2), np.uint8)] * 2)

    async def source() -> AsyncIterator[SourceItem]:
        yield replace(UP, live=False)
        for index in range(20):
            taken.append(index)
            yield replace(frame(index, index / 25), image=picture)
        yield DOWN

    turns = Scheduler()
    others = [await turns.take(turns.seat()) for _ in range(FIRST)]
    async with Sampled(source(), turns) as samples:
        got: list[SourceItem] = []
        async for item, _ in samples:
            got.append(item)
            # A few wait to be judged, the next one to take a place; of large pictures fewer.
            assert len(taken) <= len(got) + ahead + 1
            got += samples.at_hand()
    assert [item.index for item in got if isinstance(item, Frame)] == list(range(20))
    assert got[-1] == DOWN
    assert samples.demand.dropped == 0
    for each in others:
        each.release()


async def test_a_source_that_is_left_is_stopped() -> None:
    closed = asyncio.Event()

    async def source() -> AsyncIterator[SourceItem]:
        try:
            yield UP
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with Sampled(source(), Scheduler()) as samples:
        assert (await anext(samples))[0] == UP
    assert closed.is_set()


async def test_a_guard_judges_no_more(detector: Path, half_fake: Path) -> None:
    async with Guard.open(str(detector), "torch") as guard:
        options = WatchOptions(judged_per_second=5, priority=2)
        watched = guard.watch(str(half_fake), options=options)
        reports = [item async for item in watched if isinstance(item, FrameReport)]
    assert len(reports) == 30
    # Frames that were left out count as such, and the vote still sees the fake.
    assert reports[-1].counts.received == reports[-1].counts.judged + reports[-1].counts.dropped
    assert any(face.mask is not None for report in reports for face in report.faces)
