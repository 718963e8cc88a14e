"""A source that is connected and sends nothing new is down, whatever it is that hangs."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from streamguard.errors import SourceTimeout
from streamguard.media import (
    Backoff,
    Down,
    FrameReader,
    Retry,
    SourceItem,
    SourceOptions,
    SourceSupervisor,
    Up,
    VideoSource,
    reader,
    supervisor,
)
from streamguard.types import Frame
from tests.support.media_files import make_video
from tests.support.ts_feed import http_feed

FAST = SourceOptions(open_timeout=5, read_timeout=1)
TS = 188


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two seconds of MPEG-TS."""
    return make_video(tmp_path_factory.mktemp("ts") / "a.ts", frames=50, gop=5).read_bytes()


def stamp_places(packet: bytes) -> list[int]:
    """Where the timestamps of a video packet lie (ISO/IEC 13818-1, 2.4.3.6)."""
    if not packet[1] & 0x40 or (packet[1] & 0x1F) << 8 | packet[2] != 0x100:
        return []
    begin = 4 + (packet[4] + 1 if packet[3] & 0x20 else 0)
    flags = packet[begin + 7] >> 6
    return [begin + 9, begin + 14][: {2: 1, 3: 2}.get(flags, 0)]


def frozen(stream: bytes) -> bytes:
    """The stream with the first picture's timestamps in all pictures."""
    packets = [bytearray(stream[n : n + TS]) for n in range(0, len(stream), TS)]
    first: list[bytes] = []
    for packet in packets:
        places = stamp_places(bytes(packet))
        if places and not first:
            first = [bytes(packet[place : place + 5]) for place in places]
        for place, stamp in zip(places, first, strict=False):
            packet[place : place + 5] = stamp
    return b"".join(packets)


async def first_of(items: SourceSupervisor, kind: type) -> Any:
    async for item in items:
        if isinstance(item, kind):
            return item
    raise AssertionError(kind)


async def test_one_moment_over_and_over_is_down(stream: bytes) -> None:
    with http_feed([stream, *[frozen(stream)] * 3], 2.0) as url:
        async with SourceSupervisor("cam", url, FAST, retry=Retry(backoff=Backoff(0.1, cap=0.1))) as items:
            up = await first_of(items, Up)
            assert up.epoch == 0
            async with asyncio.timeout(30):
                down = await first_of(items, Down)
            assert isinstance(down.error, SourceTimeout)
            assert "same moment" in down.error.cause
            assert down.attempt == 1
            assert (await first_of(items, Up)).epoch == 1


class Hanging:
    """A source that opens, and whose pictures never come, whatever is asked of it."""

    live = paced = True
    bursts = False
    decode_errors = 0
    opened = 0

    def __init__(self, gate: threading.Event) -> None:
        self._gate = gate
        Hanging.opened += 1

    def only(self, *_: Any) -> None:
        pass

    def __enter__(self) -> Hanging:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        self._gate.wait(60)
        yield from ()


async def test_a_connection_that_broke_leaves_no_decoder_behind(stream: bytes) -> None:
    """A cycle of error, traceback and reader would keep it until the garbage collector runs, minutes later."""
    gc.collect()
    gc.disable()
    try:
        with http_feed([stream[: 300 * TS]], 0.3, loop=False) as url:
            async with SourceSupervisor("cam", url, FAST, retry=Retry(backoff=Backoff(0.01, cap=0.01))) as items:
                for _ in range(4):
                    await first_of(items, Down)
                assert sum(type(each) is VideoSource for each in gc.get_objects()) <= 1
                assert sum(type(each) is FrameReader for each in gc.get_objects()) <= 1
    finally:
        gc.enable()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Lets what hangs end, and sees that it does."""
    held = threading.Event()
    before = set(threading.enumerate())
    yield held
    held.set()
    for thread in set(threading.enumerate()) - before:
        if thread.name.startswith("decode"):
            thread.join(30)


async def test_a_reader_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch, gate: threading.Event) -> None:
    monkeypatch.setattr(supervisor, "_GRACE", 0.05)
    monkeypatch.setattr(reader, "open_source", lambda *_, **__: Hanging(gate))
    Hanging.opened = 0
    options = SourceOptions(open_timeout=0.05, read_timeout=0.01)
    seen: list[SourceItem] = []
    supervised = SourceSupervisor("cam", "x", options, retry=Retry("retryable", backoff=Backoff(0.01, cap=0.01)))
    async with asyncio.timeout(30), supervised as items:
        async for item in items:
            assert isinstance(item, Down)
            assert "hang" in item.error.cause
            seen.append(item)
            if len(seen) == 8:
                break
    # Threads that hang are not added to without an end.
    assert Hanging.opened == 3


async def test_a_hanging_reader_gives_way_to_one_that_works(
    monkeypatch: pytest.MonkeyPatch, gate: threading.Event, stream: bytes
) -> None:
    opens, real = 0, reader.open_source

    def opening(*args: Any, **more: Any) -> Any:
        nonlocal opens
        opens += 1
        return Hanging(gate) if opens == 1 else real(*args, **more)

    monkeypatch.setattr(supervisor, "_GRACE", 0.05)
    monkeypatch.setattr(reader, "open_source", opening)
    options = SourceOptions(open_timeout=5, read_timeout=3)
    with http_feed([stream], 2.0) as url:
        async with asyncio.timeout(30), SourceSupervisor("cam", url, options, retry=Retry("retryable")) as items:
            first = await anext(items)
            assert isinstance(first, Down)
            assert isinstance(await first_of(items, Frame), Frame)
