"""No more frames of a second are judged than asked for; a stream of priority gets its share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamguard.media import SourceItem, Up
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.sampling import Thinned
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Frame, Picture

UP = Up(0, 16, 16, 25.0, "h264", True, None, None)
PICTURE = Picture(np.zeros((16, 16), np.uint8), *[np.zeros((8, 8), np.uint8)] * 2)


async def items(times: Iterable[float | None]) -> AsyncIterator[SourceItem]:
    """Frames of these media times; None is a new connection."""
    for index, time in enumerate(times):
        yield UP if time is None else Frame("s", 0, index, time, 0.0, PICTURE)


async def kept(times: Iterable[float | None], most: float) -> list[float]:
    """The times of the frames that are let through."""
    return [item.time async for item in Thinned(items(times), most) if isinstance(item, Frame)]


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
    # A long gap is not made up for by a burst.
    assert await kept([0.0, 10.0, 10.1, 10.2, 11.0], 1) == [0.0, 10.0, 11.0]


@given(st.lists(st.floats(0.001, 0.5), min_size=2, max_size=60), st.floats(0.5, 30))
async def test_never_more_than_asked_for(steps: list[float], most: float) -> None:
    times = [float(time) for time in np.cumsum(steps)]
    through = await kept(times, most)
    assert set(through) <= set(times)
    for start in range(len(through)):
        seconds = through[-1] - through[start]
        # One at each end of the time, and one that came late.
        assert len(through) - start <= seconds * most + 2.01


async def test_a_guard_judges_no_more(detector: Path, half_fake: Path) -> None:
    async with Guard.open(str(detector), "torch") as guard:
        options = WatchOptions(judged_per_second=5, priority=2)
        watched = guard.watch(str(half_fake), options=options)
        reports = [item async for item in watched if isinstance(item, FrameReport)]
    assert len(reports) == 30
    # Frames that were left out count as such, and the vote still sees the fake.
    assert reports[-1].counts.received == reports[-1].counts.judged + reports[-1].counts.dropped
    assert any(face.mask is not None for report in reports for face in report.faces)
