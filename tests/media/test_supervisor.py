"""The one place that retries."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.errors import (
    CorruptMedia,
    SourceEnded,
    SourceNotFound,
    SourceRefused,
    SourceTimeout,
    StreamCrashed,
    UnsupportedMedia,
)
from streamguard.media import Backoff, Down, Retry, SourceItem, SourceOptions, SourceSupervisor, Taps, Up, supervisor
from streamguard.types import Frame, Picture
from tests.support.hosts import refused_port
from tests.support.media_files import make_video, truncate
from tests.support.rtsp_server import RtspServer

PICTURE = Picture(np.zeros((4, 4), np.uint8), *[np.zeros((2, 2), np.uint8)] * 2)
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
        async with SourceSupervisor("cam", server.url, FAST, retry=Retry(backoff=Backoff(0.2, cap=0.2))) as items:
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
        async with SourceSupervisor("cam", server.url, FAST, retry=Retry(backoff=Backoff(0.1, cap=0.1))) as items:
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
        async with SourceSupervisor("cam", url, FAST, retry=Retry(backoff=Backoff(0.2, cap=0.2))) as items:
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
    async with SourceSupervisor("cam", "gopher://x/y", retry=Retry("retryable")) as items:
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
        supervisor = SourceSupervisor("cam", server.url, FAST, retry=Retry("retryable", backoff=backoff, sleep=sleep))
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
            retry=Retry(
                backoff=Backoff(1, uniform=lambda: 1.0, stable_after=50),
                clock=lambda: next(ticks),
                sleep=lambda _: asyncio.sleep(0),
            ),
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
    items = SourceSupervisor("cam", url, retry=Retry("retryable", backoff=backoff))
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


class Scripted:
    """A reader whose connections are written down: `missing`, or its frames and how it ends."""

    script: Iterator[str | tuple[int, str]] = iter(())
    source = SimpleNamespace(live=False, paced=False, average_rate=None, codec="", duration=None, frame_count=None)
    ended, dropped, decode_errors, decode_seconds = True, 0, 0, 0.0

    def __init__(self, stream: str, epoch: int, *_: object, **__: object) -> None:
        entry = next(self.script, None)
        if entry is None:
            raise EOFError
        self.opened, self._epoch = entry != "missing", epoch
        self._left, self._end = (0, "missing") if isinstance(entry, str) else entry
        self._index = -1

    async def __anext__(self) -> Frame:
        if self._left:
            self._left, self._index = self._left - 1, self._index + 1
            return Frame("s", self._epoch, self._index, self._index / 25, 0.0, PICTURE)
        if self._end == "end":
            raise StopAsyncIteration
        raise SourceNotFound("x", "no such path") if self._end == "missing" else SourceEnded("x", "it broke off")

    async def aclose(self) -> None:
        pass


CONNECTION = st.just("missing") | st.tuples(st.integers(1, 3), st.sampled_from(["end", "broke"]))


@given(script=st.lists(CONNECTION, min_size=1, max_size=12))
def test_ups_and_downs_stay_paired(script: list[str | tuple[int, str]]) -> None:
    epoch, up, attempts, frames, index, moment = -1, False, 0, 0, -1, -1.0

    async def read() -> None:
        nonlocal epoch, up, attempts, frames, index, moment
        retry = Retry("always", everything=True, loop=True, sleep=lambda _: asyncio.sleep(0))
        async with SourceSupervisor("s", "x", live=True, retry=retry) as items:
            async for item in items:
                if isinstance(item, Up):
                    assert not up
                    epoch, up, attempts, index, moment = epoch + 1, True, 0, -1, -1.0
                    assert item.epoch == epoch
                elif isinstance(item, Down):
                    attempts += 1
                    assert (item.attempt, item.epoch) == (attempts, epoch if up else max(0, epoch + (attempts > 1)))
                    up = False
                else:
                    frames += 1
                    assert up
                    assert (item.epoch, item.index) == (epoch, index + 1)
                    assert item.time > moment
                    index, moment = item.index, item.time

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Scripted, "script", iter(script))
        patched.setattr(supervisor, "FrameReader", Scripted)
        with pytest.raises(EOFError):
            asyncio.run(read())
    assert frames == sum(entry[0] for entry in script if not isinstance(entry, str))


async def test_whoever_judged_has_failed_and_goes_on_with_the_next_epoch() -> None:
    opened: list[int] = []

    async def connect() -> AsyncGenerator[SourceItem, None]:
        opened.append(len(opened))
        yield Up(0, 4, 4, None, "x", True, None, None)
        for index in range(3):
            yield Frame("s", 0, index, index / 25, 0.0, PICTURE)
        if len(opened) == 2:
            raise SourceRefused("x", "busy")

    asked: list[float] = []
    taps = Taps(lambda moment: asked.append(moment) is None and moment != 0.04)
    retry = Retry("retryable", everything=True, sleep=lambda _: asyncio.sleep(0))
    async with SourceSupervisor("s", connect, retry=retry, taps=taps, first_epoch=5) as items:
        assert (await anext(items)) == Up(5, 4, 4, None, "x", True, None, None)
        await anext(items)
        await items.restart(StreamCrashed("s", "an error", "see"))
        seen = [item async for item in items]
    assert [(type(item), item.epoch) for item in seen] == [
        (Down, 5),
        *[(kind, 6) for kind in (Up, Frame, Frame, Down)],
        *[(kind, 7) for kind in (Up, Frame, Frame)],
    ]
    assert isinstance(seen[0], Down)
    assert str(seen[0].error) == "s: an error. See."
    # What nobody wants is numbered, and not handed over.
    assert [item.index for item in seen if isinstance(item, Frame)] == [0, 2, 0, 2]
    assert asked == [0.0, *[0.0, 0.04, 0.08] * 2]


async def _drain(items: SourceSupervisor, received: list[SourceItem] | None = None) -> None:
    async for item in items:
        if received is not None:
            received.append(item)


class _Stoppable:
    def __init__(self, server: RtspServer) -> None:
        self.close = server.stop
