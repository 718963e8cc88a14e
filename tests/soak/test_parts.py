"""The parts of a soak: marks, feeder, proxy, ledger, growth, bars."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from streamguard.errors import ConfigError
from streamguard.media import Retry, SourceOptions, SourceSupervisor, Up, open_source
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Face, FaceVerdict, Frame, Picture, Reason, Verdict
from streamguard.verdict import StreamState
from tests.soak import __main__ as shown
from tests.soak.conftest import PICTURES, RATE, SIZES
from tests.soak.faults import NAMES, chosen
from tests.soak.ledger import OLD, FaultRecord, Ledger
from tests.soak.mark import marked, number_of
from tests.soak.measure import Growth, Held, held
from tests.soak.proxy import Proxy
from tests.soak.report import (
    AlertsDocument,
    EngineDocument,
    FaultDocument,
    FramesDocument,
    SoakReport,
    VerdictsDocument,
    bars,
    fault_documents,
    process_document,
)
from tests.soak.sources import GeneratedSource, GivenSource

LIMIT = 30.0
FAST = SourceOptions(open_timeout=5, read_timeout=2)


def noise(width: int = 320, height: int = 240) -> Picture:
    random = np.random.default_rng(1)
    luma = random.integers(0, 255, (height, width), np.uint8)
    chroma = random.integers(0, 255, (height // 2, width // 2), np.uint8)
    return Picture(luma, chroma, chroma)


@given(st.integers(0, 4095), st.integers(-25, 25))
def test_a_marked_picture_tells_its_number(number: int, brighter: int) -> None:
    luma = marked(noise(), number).y.astype(np.int16) + brighter
    assert number_of(np.clip(luma, 0, 255).astype(np.uint8)) == number


def test_what_bears_no_number_tells_none() -> None:
    assert number_of(noise().y) is None
    assert number_of(np.zeros((20, 20), np.uint8)) is None
    half = marked(noise(), 7).y.copy()
    half[16:32] = half[:16]
    assert number_of(half) is None


def test_numbers_survive_the_codec_and_timestamps_rise(clips: list[Path]) -> None:
    for path, (width, height) in zip(clips, SIZES, strict=True):
        with open_source(path) as source:
            numbers, times = zip(*((number_of(frame.picture.y), frame.time) for frame in source), strict=True)
            assert (source.width, source.height) == (width, height)
        assert len(numbers) == 12 * RATE
        assert numbers == tuple(n % PICTURES for n in range(len(numbers)))
        assert times == pytest.approx([n / RATE for n in range(len(times))], abs=0.002)


class Watch:
    """A source that is watched, and its newest frame."""

    def __init__(self, url: str) -> None:
        self.supervisor = SourceSupervisor("s", url, FAST, retry=Retry("retryable"))
        self.frames: list[tuple[int, int | None, int]] = []
        self.ups = 0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Watch:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.supervisor.aclose()
        assert self._task is not None
        await self._task

    async def _run(self) -> None:
        async for item in self.supervisor:
            if isinstance(item, Up):
                self.ups += 1
            elif isinstance(item, Frame):
                self.frames.append((item.epoch, number_of(item.image.y), item.image.width))

    async def until(self, met: Callable[[], Any]) -> None:
        async with asyncio.timeout(LIMIT):
            while not met():  # noqa: ASYNC110 - what is waited for has no event
                await asyncio.sleep(0.02)

    async def more(self, count: int = 5) -> None:
        """Wait for so many further frames."""
        have = len(self.frames)
        await self.until(lambda: len(self.frames) >= have + count)


@pytest.fixture
async def source(clips: list[Path]) -> AsyncIterator[GeneratedSource]:
    async with GeneratedSource("one", clips, RATE, PICTURES, lead=0.5) as made:
        yield made


async def test_what_is_on_air_follows_from_the_clock(source: GeneratedSource) -> None:
    async with Watch(source.url) as watch:
        await watch.more(30)
        ages = [source.age(number, time.monotonic()) for _, number, _ in watch.frames[-3:]]
        assert all(age is not None and -0.5 < age < OLD for age in ages)
        await source.kill()
        await watch.until(lambda: watch.supervisor._epoch >= 1)
        await source.start()
        await watch.more()
        assert watch.ups == 2
        age = source.age(watch.frames[-1][1], time.monotonic())
        assert age is not None
        assert age < OLD


async def test_pictures_change_their_size_and_lose_their_halves(source: GeneratedSource) -> None:
    async with Watch(source.url) as watch:
        await watch.more(10)
        assert watch.frames[-1][2] == 320
        source.resize()
        await watch.until(lambda: watch.frames[-1][2] == 240)
        errors = watch.supervisor.decode_errors
        source.halve(1.0)
        await watch.until(lambda: watch.supervisor.decode_errors > errors)
        await watch.more(30)


async def test_a_cut_network_says_nothing_and_then_goes_on(source: GeneratedSource) -> None:
    assert source.proxy is not None
    async with Watch(source.url) as watch:
        await watch.more(10)
        source.proxy.cut()
        passed = source.proxy.bytes
        # Longer than the reader's patience: it is down, and its next attempt waits in the dark.
        await watch.until(lambda: watch.supervisor._epoch >= 1)
        assert source.proxy.bytes - passed <= 2 * 64 * 1024
        source.proxy.heal()
        await watch.more()
        age = source.age(watch.frames[-1][1], time.monotonic())
        assert age is not None
        assert age < OLD
        source.proxy.reset()
        ups = watch.ups
        await watch.until(lambda: watch.supervisor._epoch >= ups)
        source.proxy.heal()
        await watch.until(lambda: watch.ups > ups)


async def test_a_given_stream_goes_through_a_proxy_where_one_can_be(source: GeneratedSource) -> None:
    async with AsyncExitStack() as stack:
        given_one = await stack.enter_async_context(GivenSource("g", source.url.replace("//", "//bob:pw@")))
        assert given_one.proxy is not None
        assert given_one.url.startswith(f"http://bob:pw@127.0.0.1:{given_one.proxy.port}/")
        assert given_one.age(3, 0.0) is None
        async with Watch(given_one.url) as watch:
            await watch.more()
        other = await stack.enter_async_context(GivenSource("f", "https://example.org/x.m3u8"))
        assert (other.proxy, other.url) == (None, "https://example.org/x.m3u8")


async def test_a_proxy_without_a_target_closes() -> None:
    async with Proxy("127.0.0.1", 9) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        assert await reader.read() == b""
        writer.close()


def reported(number: int | None, arrived: float, state: Verdict = Verdict.REAL, width: int = 320) -> FrameReport:
    face = Face(1, (0, 0, 9, 9), 1.0, np.zeros((5, 2), np.float32))
    reason = Reason.ENGINE_FAILED if state is Verdict.UNKNOWN else None
    image = noise(width) if number is None else marked(noise(width), number)
    frame = Frame("s", 0, 0, 0.0, arrived, image)
    return FrameReport(frame, (FaceVerdict(face, state, reason),), StreamState(0.0, Verdict.UNKNOWN, {}, ()))


def test_the_ledger_counts_ages_gaps_and_returns() -> None:
    now = [100.0]
    ledger = Ledger(lambda: now[0])
    take = ledger.follow("s", lambda number, at: None if number is None else at - 100 - number)
    take(reported(0, 100))
    now[0] = 103.0
    take(reported(1, 103))
    fault = FaultRecord("network-cut", 0.0, ("s",))
    ledger.mended(fault)
    assert ledger.awaited
    now[0] = 109.0
    take(reported(3, 102.9))
    take(reported(9, 109, Verdict.UNKNOWN))
    take(reported(None, 102))
    assert fault.back == {"s": None}
    now[0] = 110.0
    take(reported(10, 109.5))
    assert fault.back == {"s": 7.0}
    assert not ledger.awaited
    record = ledger.streams["s"]
    assert (record.judged, record.unknown, record.stale, record.unreadable) == (5, 1, 1, 1)
    assert record.oldest == 6.0
    assert record.silent == 9.0


def test_a_stream_of_the_old_size_is_not_back() -> None:
    ledger = Ledger(lambda: 5.0)
    take = ledger.follow("s", lambda number, at: 0.0)
    fault = FaultRecord("resolution-change", 0.0, ("s",), wants_size={"s": 320})
    ledger.mended(fault)
    take(reported(1, 6.0))
    assert ledger.awaited
    take(reported(1, 6.0, width=240))
    assert fault.back == {"s": 0.0}


def test_growth_compares_medians() -> None:
    growth = Growth(samples=3)
    assert growth.figures() is None
    for memory in (100, 900, 110, 120, 130, 125, 5000, 126):
        growth.add(Held(memory, memory % 7, 1))
    figures = growth.figures()
    assert figures is not None
    assert (figures[0].memory, figures[1].memory) == (110, 126)
    assert held().memory > 10_000_000
    document = process_document((Held(1000, 5, 2), Held(1100, 6, 2)), [(1.0, Held(2**20, 5, 2))])
    assert (document.memory_growth, document.descriptors, document.series) == (0.1, (5, 6), [(1.0, 1.0, 5, 2)])


def met(
    back: float | None = 1.0, stale: int = 0, lost: int = 0, memory: int = 1000, descriptors: int = 5
) -> list[bool]:
    """The bars of a soak that is well but for what is named."""
    faults = [FaultDocument(name="x", at=0, lasted=1, back={"s": back})]
    verdicts = VerdictsDocument(judged=1, unknown=0, stale=stale, unreadable=0, oldest=None, silent=0)
    alerts = AlertsDocument(events=1, sent=1, received=1, repeated=0, lost=lost, without_evidence=0)
    process = process_document((Held(1000, 5, 1), Held(memory, descriptors, 1)))
    return [bar.met for bar in bars(faults, verdicts, alerts, process)]


def test_the_bars() -> None:
    assert all(met())
    assert met(back=None) == met(back=15.1) == [False, True, True, True, True]
    assert met(stale=1).index(False) == 1
    assert met(lost=1).index(False) == 2
    assert met(memory=1050).index(False) == 3
    assert met(memory=1049, descriptors=4) == [True] * 5
    assert met(descriptors=6).index(False) == 4


def test_an_outage_that_was_not_yet_late_at_the_end_counts_neither_way() -> None:
    late, young = FaultRecord("cut", 1.0, ("a",)), FaultRecord("cut", 30.0, ("b", "c"))
    late.mended, late.back = 5.0, {"a": None}
    young.mended, young.back = 31.0, {"b": 2.0, "c": None}
    documents = fault_documents([late, young, FaultRecord("open", 39.0, ("a",))], 40.0)
    assert [document.cut_short for document in documents] == [[], ["c"]]
    verdicts = VerdictsDocument(judged=1, unknown=0, stale=0, unreadable=0, oldest=None, silent=0)
    alerts = AlertsDocument(events=3, sent=3, received=2, repeated=0, lost=0, waiting=1, without_evidence=0)
    back, _, told = bars(documents[1:], verdicts, alerts, process_document(None))
    assert (back.met, back.value) == (True, "worst 2.0 s, median 2.0 s, 0 of 1 not; 1 cut short by the end")
    assert (told.met, told.value) == (True, "0 of 3 lost; 1 still to be sent at the end")
    assert not bars(documents, verdicts, alerts, process_document(None))[0].met


def test_the_tables_lose_nothing_in_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    monkeypatch.setattr(shown, "console", Console(file=told, width=80))
    fault = FaultDocument(
        name="engine-raises-for-good", at=1, lasted=123.4, back={"a": 12.3, "b": None}, cut_short=["b"]
    )
    verdicts = VerdictsDocument(judged=1, unknown=0, stale=0, unreadable=0, oldest=None, silent=0)
    alerts = AlertsDocument(events=0, sent=0, received=0, repeated=0, lost=0, without_evidence=0)
    process = process_document(None)
    shown._print(
        SoakReport(
            seconds=200.0,
            streams=1,
            model="m",
            interrupted=True,
            frames=FramesDocument(on_air=None, received=1, judged=1, dropped=0),
            verdicts=verdicts,
            alerts=alerts,
            process=process,
            engine=EngineDocument(judging="torch", failures={}, loads={}),
            faults=[fault],
            bars=bars([fault], verdicts, alerts, process),
        )
    )
    text = told.getvalue()
    assert "…" not in text
    assert "1 stream, 200 s, 1 fault" in text
    assert "MISSED" not in text


def test_faults_by_name() -> None:
    assert [fault.name for fault in chosen(())] == list(NAMES)
    assert [fault.name for fault in chosen(["disk-full", "half-frames", "disk-full"])] == ["disk-full", "half-frames"]
    with pytest.raises(ConfigError, match="earthquake"):
        chosen(["earthquake"])
