"""The one place that retries."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.errors import (
    CorruptMedia,
    SourceEnded,
    SourceNotFound,
    SourceRefused,
    SourceTimeout,
    UnsupportedMedia,
)
from streamguard.media import Backoff, Down, SourceItem, SourceOptions, SourceSupervisor, Up
from streamguard.types import Frame
from tests.support.hosts import refused_port
from tests.support.media_files import make_video, truncate
from tests.support.rtsp_server import RtspServer

FAST = SourceOptions(open_timeout=5, read_timeout=1)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("live") / "a.mp4", frames=50)


async def until(items: SourceSupervisor, kind: type) -> tuple[SourceItem, list[SourceItem]]:
    """The next item of a kind, and those before it."""
    before = []
    async for item in items:
        if isinstance(item, kind):
            return item, before
        before.append(item)
    raise AssertionError(f"no {kind.__name__} came")


async def test_a_file_is_up_once_and_ends(video: Path) -> None:
    async with SourceSupervisor("cam", video) as items:
        received = [item async for item in items]
    up = received[0]
    assert up == Up(epoch=0, width=64, height=48, rate=25.0, codec="h264", live=False, duration=2.0, frame_count=50)
    assert [item.index for item in received[1:] if isinstance(item, Frame)] == list(range(50))
    assert items.dropped == items.decode_errors == 0
    assert items.decode_seconds > 0


async def test_a_damaged_file_raises_after_its_frames(tmp_path: Path) -> None:
    path = truncate(make_video(tmp_path / "a.mp4", frames=60, movflags="+faststart"), 0.6)
    received: list[SourceItem] = []
    async with SourceSupervisor("cam", path) as items:
        with pytest.raises(CorruptMedia):
            await _drain(items, received)
    assert len(received) > 15
    assert not any(isinstance(item, Down) for item in received)


async def test_a_server_that_dies_and_returns_begins_a_new_epoch(video: Path) -> None:
    with RtspServer(video) as server:
        async with SourceSupervisor("cam", server.url, FAST, backoff=Backoff(0.2, cap=0.2)) as items:
            assert (await anext(items)) == Up(0, 64, 48, 25.0, "h264", True, None, None)
            await until(items, Frame)
            server.kill()
            down, _ = await until(items, Down)
            assert isinstance(down, Down)
            assert (down.epoch, down.attempt) == (0, 1)
            assert isinstance(down.error, (SourceEnded, SourceTimeout))
            second, _ = await until(items, Down)
            assert isinstance(second, Down)
            assert second.attempt == 2
            assert isinstance(second.error, SourceRefused)
            server.start()
            up, before = await until(items, Up)
            assert isinstance(up, Up)
            assert up.epoch == 1
            assert not any(isinstance(item, Frame) for item in before)
            frame = await anext(items)
            assert isinstance(frame, Frame)
            assert (frame.epoch, frame.time) == (1, 0.0) or frame.index > 0


async def test_a_frozen_server_is_down_and_comes_back(video: Path) -> None:
    with RtspServer(video) as server:
        async with SourceSupervisor("cam", server.url, FAST, backoff=Backoff(0.1, cap=0.1)) as items:
            await until(items, Frame)
            server.freeze()
            down, _ = await until(items, Down)
            assert isinstance(down, Down)
            assert isinstance(down.error, SourceTimeout)
            server.resume()
            up, _ = await until(items, Up)
            assert isinstance(up, Up)
            assert up.epoch == 1


async def test_after_having_been_up_even_a_missing_path_is_retried(video: Path) -> None:
    with RtspServer(video) as server, contextlib.ExitStack() as stack:
        url = server.url
        async with SourceSupervisor("cam", url, FAST, backoff=Backoff(0.2, cap=0.2)) as items:
            await until(items, Frame)
            server.kill()
            other = RtspServer(video, mount="/elsewhere")
            other.port = server.port
            stack.enter_context(other)
            for _ in range(20):
                down, _ = await until(items, Down)
                assert isinstance(down, Down)
                if isinstance(down.error, SourceNotFound):
                    break
            assert isinstance(down.error, SourceNotFound)
            other.stop()
            server.start()
            up, _ = await until(items, Up)
            assert isinstance(up, Up)
            assert up.epoch == 1


async def test_the_first_connection_raises_unless_told_to_wait() -> None:
    url = f"rtsp://127.0.0.1:{refused_port()}/live"
    async with SourceSupervisor("cam", url) as items:
        with pytest.raises(SourceRefused):
            await anext(items)
    async with SourceSupervisor("cam", "gopher://x/y", wait_for_source=True) as items:
        with pytest.raises(UnsupportedMedia):
            await anext(items)


async def test_waiting_for_a_source_that_comes_later(video: Path) -> None:
    server = RtspServer(video)
    server.port = refused_port()
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)
        if len(delays) == 3:
            await asyncio.to_thread(server.start)

    backoff = Backoff(1, factor=2, cap=3, uniform=lambda: 1.0)
    with contextlib.closing(_Stoppable(server)):
        supervisor = SourceSupervisor("cam", server.url, FAST, wait_for_source=True, backoff=backoff, sleep=sleep)
        async with supervisor as items:
            up, downs = await until(items, Up)
            assert isinstance(up, Up)
            assert up.epoch == 0
            assert [d.attempt for d in downs if isinstance(d, Down)] == [1, 2, 3]
            assert [d.retry_in for d in downs if isinstance(d, Down)] == delays == [1, 2, 3]


async def test_a_connection_that_lasted_starts_the_back_off_over(video: Path) -> None:
    ticks = itertools.count(0, 100.0)
    with RtspServer(video) as server:
        supervisor = SourceSupervisor(
            "cam",
            server.url,
            FAST,
            backoff=Backoff(1, uniform=lambda: 1.0, stable_after=50),
            clock=lambda: next(ticks),
            sleep=lambda _: asyncio.sleep(0),
        )
        async with supervisor as items:
            for _ in range(2):
                await until(items, Frame)
                server.kill()
                down, _ = await until(items, Down)
                assert isinstance(down, Down)
                assert down.retry_in == 1
                server.start()


async def test_a_stop_request_ends_a_pending_read(video: Path) -> None:
    with RtspServer(video) as server:
        items = SourceSupervisor("cam", server.url, SourceOptions(read_timeout=60))
        await until(items, Frame)
        server.freeze()
        pending = asyncio.ensure_future(_drain(items))
        await asyncio.sleep(0)
        await asyncio.wait_for(items.aclose(), 2)
        await asyncio.wait_for(pending, 2)


async def test_a_stop_request_ends_the_wait_for_the_next_attempt() -> None:
    url = f"rtsp://127.0.0.1:{refused_port()}/live"
    backoff = Backoff(1000, cap=1000, uniform=lambda: 1.0)
    items = SourceSupervisor("cam", url, wait_for_source=True, backoff=backoff)
    assert isinstance(await anext(items), Down)
    pending = asyncio.ensure_future(_drain(items))
    await asyncio.sleep(0)
    await asyncio.wait_for(items.aclose(), 2)
    await asyncio.wait_for(pending, 2)


async def test_a_supervisor_that_was_never_read_closes() -> None:
    await SourceSupervisor("cam", "nothing").aclose()


@given(st.floats(0, 1, exclude_max=True), st.lists(st.floats(0, 100), max_size=20))
def test_back_off_grows_with_full_jitter_up_to_its_cap(drawn: float, lasted: list[float]) -> None:
    backoff = Backoff(0.5, 2, 8, stable_after=50, uniform=lambda: drawn)
    limit = 0.5
    for seconds in lasted:
        if seconds >= 50:
            limit = 0.5
        assert backoff.delay(seconds) == limit * drawn
        limit = min(2 * limit, 8)


async def _drain(items: SourceSupervisor, received: list[SourceItem] | None = None) -> None:
    async for item in items:
        if received is not None:
            received.append(item)


class _Stoppable:
    def __init__(self, server: RtspServer) -> None:
        self.close = server.stop
