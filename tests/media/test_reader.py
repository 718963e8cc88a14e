"""One thread per source, newest frame for live ones, every frame for files, and nothing left behind."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

import pytest

from streamguard.errors import CorruptMedia, SourceNotFound, SourceTimeout
from streamguard.media import FrameReader, SourceOptions, Taps
from streamguard.types import Frame
from tests.support.hosts import silent_host
from tests.support.media_files import LEVELS, index_of, make_video, truncate
from tests.support.rtsp_server import RtspServer


async def test_a_file_is_read_losslessly_however_slow_the_reader(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=40)
    async with FrameReader("cam", 3, path, capacity=2) as reader:
        frames = []
        async for frame in reader:
            frames.append(frame)
            await asyncio.sleep(0.002)
        assert [frame.index for frame in frames] == list(range(40))
        assert [index_of(frame.image.y) for frame in frames] == [i % LEVELS for i in range(40)]
        assert {(frame.stream, frame.epoch) for frame in frames} == {("cam", 3)}
        pairs = itertools.pairwise(frames)
        assert all(a.arrived <= b.arrived and a.time < b.time for a, b in pairs)
        assert reader.dropped == reader.decode_errors == 0
        assert reader.decode_seconds > 0


async def test_back_pressure_bounds_what_is_decoded_ahead(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=60)
    async with FrameReader("cam", 0, path, capacity=2) as reader:
        first = await anext(reader)
        async for frame in reader:
            # Two wait in the channel and one in the thread's hands: the fourth was decoded after this one was read.
            ahead = frame
            break
        assert (first.index, ahead.index) == (0, 1)
        rest = [frame.index async for frame in reader]
        assert rest == list(range(2, 60))


async def test_of_a_live_source_only_what_is_wanted_is_handed_over(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=40)
    asked: list[float] = []

    def wanted(time: float) -> bool:
        asked.append(time)
        return len(asked) % 10 == 1

    async with FrameReader("cam", 0, path, live=True, taps=Taps(wanted)) as reader:
        frames = [frame async for frame in reader]
    assert [frame.index for frame in frames] == [0, 10, 20, 30]
    assert [frame.time for frame in frames] == pytest.approx([0.0, 0.4, 0.8, 1.2])
    assert [index_of(frame.image.y) for frame in frames] == [0] * 4
    assert asked == pytest.approx([n / 25 for n in range(40)])


async def test_a_file_is_handed_over_whole_whatever_is_wanted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=12)
    async with FrameReader("cam", 0, path, taps=Taps(lambda time: False)) as reader:
        assert [frame.index async for frame in reader] == list(range(12))


async def test_a_live_source_yields_the_newest_frame_and_counts_the_dropped(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=60, rate=100)
    async with FrameReader("cam", 0, path, live=True) as reader:
        indices = []
        async for frame in reader:
            indices.append(frame.index)
            while len(indices) == 5 and reader.dropped < 10:  # noqa: ASYNC110 - a counter has no event
                await asyncio.sleep(0.01)
        assert indices == sorted(set(indices))
        assert indices[-1] == 59
        assert len(indices) + reader.dropped == 60
        assert reader.dropped >= 10


async def test_a_file_played_as_live_keeps_its_pace(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", frames=26)
    began = time.monotonic()
    async with FrameReader("cam", 0, path, live=True) as reader:
        async for frame in reader:
            assert frame.arrived - began >= frame.time
    assert time.monotonic() - began >= 1


async def test_a_live_source_can_be_read_losslessly(tmp_path: Path) -> None:
    video = make_video(tmp_path / "a.mp4", frames=50)
    with RtspServer(video) as server:
        async with FrameReader("cam", 0, server.url, live=False) as reader:
            assert reader.source.live
            indices = []
            async for frame in reader:
                indices.append(frame.index)
                if len(indices) == 40:
                    break
            assert indices == list(range(40))


async def test_the_error_comes_after_all_frames(tmp_path: Path) -> None:
    path = truncate(make_video(tmp_path / "a.mp4", frames=60, movflags="+faststart"), 0.6)
    received: list[Frame] = []
    async with FrameReader("cam", 0, path) as reader:
        with pytest.raises(CorruptMedia):
            await _drain(reader, received)
    assert len(received) > 15


async def test_opening_errors_are_raised_by_start_and_by_iteration(tmp_path: Path) -> None:
    reader = FrameReader("cam", 0, tmp_path / "no.mp4")
    assert not reader.opened
    with pytest.raises(SourceNotFound):
        await reader.start()
    with pytest.raises(SourceNotFound):
        await anext(reader)
    await reader.aclose()
    with pytest.raises(SourceNotFound):
        async with FrameReader("cam", 0, tmp_path / "no.mp4"):
            pass


async def test_closing_unblocks_opening() -> None:
    with silent_host() as port:
        reader = FrameReader("cam", 0, f"rtsp://127.0.0.1:{port}/x", SourceOptions(open_timeout=60))
        opening = asyncio.ensure_future(anext(reader, None))
        await asyncio.sleep(0)
        began = time.monotonic()
        await reader.aclose()
        assert await opening is None
        assert time.monotonic() - began < 2


async def test_closing_unblocks_a_frozen_source(tmp_path: Path) -> None:
    with RtspServer(make_video(tmp_path / "a.mp4")) as server:
        reader = FrameReader("cam", 0, server.url, SourceOptions(read_timeout=60))
        await anext(reader)
        server.freeze()
        pending = asyncio.ensure_future(_drain(reader))
        await asyncio.sleep(0)
        began = time.monotonic()
        await reader.aclose()
        await pending
        assert time.monotonic() - began < 2


async def test_closing_unblocks_a_full_channel(tmp_path: Path) -> None:
    reader = FrameReader("cam", 0, make_video(tmp_path / "a.mp4", frames=60), capacity=1)
    await anext(reader)
    await reader.aclose()
    await reader.aclose()
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


async def test_a_reader_that_was_never_started_closes() -> None:
    reader = FrameReader("cam", 0, "nothing")
    with pytest.raises(RuntimeError, match="not been started"):
        _ = reader.source
    await reader.aclose()


async def test_a_frozen_source_raises(tmp_path: Path) -> None:
    with RtspServer(make_video(tmp_path / "a.mp4")) as server:
        async with FrameReader("cam", 0, server.url, SourceOptions(read_timeout=0.5)) as reader:
            await anext(reader)
            server.freeze()
            with pytest.raises(SourceTimeout):
                await _drain(reader)


async def _drain(reader: FrameReader, received: list[Frame] | None = None) -> None:
    async for frame in reader:
        if received is not None:
            received.append(frame)
