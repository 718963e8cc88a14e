"""The guard and file scans, on real clips with a detector that is exact."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from streamguard import models
from streamguard.errors import CorruptMedia, ModelError, SourceNotFound, UnknownEngine, UnknownModel, UnsupportedMedia
from streamguard.inference import FailoverEngine, Recovery, candidates, select
from streamguard.media import open_source
from streamguard.models import LoadedModel, networks
from streamguard.models.architectures import build
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.recorder import OverlayRecorder
from streamguard.pipeline.scan import FileScan
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Event, EventKind, Verdict
from tests.soak.breaker import Breaker
from tests.support.media_files import make_video, truncate
from tests.support.portraits import RATE, SIZE, green_detector, portrait_pictures


@pytest_asyncio.fixture
async def guard(detector: Path) -> AsyncIterator[Guard]:
    """A guard with the exact detector on the reference engine."""
    async with Guard.open(str(detector), "torch") as opened:
        yield opened


async def test_a_clip_half_fake(guard: Guard, half_fake: Path) -> None:
    scan = FileScan(guard, str(half_fake))
    verdict = await scan.run()
    assert scan.fault is None
    assert (verdict.verdict, verdict.contains_fake, verdict.frames, scan.frame_count) == (Verdict.FAKE, True, 120, 120)
    # Every frame but those before the face had settled, each judged exactly.
    assert (verdict.judged, verdict.fake) == (116, 60)
    assert verdict.fake_intervals == ((3.0, 5.95),)
    assert [track.track for track in verdict.tracks] == [1]
    assert [event.kind for event in scan.events] == [
        EventKind.STREAM_UP,
        EventKind.FAKE_OPENED,
        EventKind.FAKE_CLOSED,
    ]
    assert {event.model for event in scan.events} == {guard.model_label}
    assert {event.engine for event in scan.events} == {guard.engine_label}
    assert guard.engine_label.startswith("torch-float32-")


async def test_the_same_file_gives_the_same_verdict(guard: Guard, half_fake: Path) -> None:
    one, two = [await FileScan(guard, str(half_fake)).run() for _ in range(2)]
    assert one == two


async def test_many_files_at_once_share_the_engine(guard: Guard, half_fake: Path, real: Path) -> None:
    scans = [FileScan(guard, str(path)) for path in (half_fake, real, half_fake)]
    verdicts = await asyncio.gather(*(scan.run() for scan in scans))
    assert [verdict.verdict for verdict in verdicts] == [Verdict.FAKE, Verdict.REAL, Verdict.FAKE]
    assert verdicts[0] == verdicts[2]


async def test_what_was_judged_before_the_damage_is_kept(guard: Guard, tmp_path: Path) -> None:
    pictures = portrait_pictures(5.0, (0.0, 5.0))
    path = make_video(tmp_path / "cut.mp4", size=SIZE, rate=RATE, pictures=pictures, movflags="+faststart")
    scan = FileScan(guard, str(truncate(path, 0.6)))
    verdict = await scan.run()
    assert isinstance(scan.fault, CorruptMedia)
    assert verdict.verdict is Verdict.FAKE
    assert 30 < verdict.judged < 90
    assert scan.duration == pytest.approx((verdict.frames - 1) / RATE)


async def test_a_file_that_is_not_there(guard: Guard, tmp_path: Path) -> None:
    scan = FileScan(guard, str(tmp_path / "none.mp4"))
    assert (await scan.run()).verdict is Verdict.UNKNOWN
    assert isinstance(scan.fault, SourceNotFound)


async def test_a_live_source_is_no_file(guard: Guard, half_fake: Path) -> None:
    from tests.support.rtsp_server import RtspServer

    with RtspServer(half_fake, rate=RATE) as server:
        scan = FileScan(guard, server.url)
        await scan.run()
    assert isinstance(scan.fault, UnsupportedMedia)
    assert "watch" in scan.fault.remedy


async def test_an_error_of_the_reader_of_reports_is_not_swallowed(guard: Guard, real: Path) -> None:
    async def fail(report: FrameReport) -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await FileScan(guard, str(real)).run(fail)


async def test_the_overlay_is_a_whole_video(guard: Guard, half_fake: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    async with OverlayRecorder(out, guard.spec.threshold) as recorder:
        await FileScan(guard, str(half_fake)).run(recorder.write)
        assert not out.exists()
    with open_source(out) as source:
        frames = list(source)
    assert len(frames) == 120
    assert frames[-1].time == pytest.approx(5.95, abs=0.01)
    assert set(recorder.cpu_seconds) == {"overlay", "encode"}


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_the_overlay_of_a_run_that_ends_early(guard: Guard, half_fake: Path, tmp_path: Path, how: str) -> None:
    out = tmp_path / "out.mp4"

    async def play() -> None:
        async with OverlayRecorder(out, 0.5) as recorder, aclosing(guard.watch(str(half_fake))) as items:
            count = 0
            async for item in items:
                if isinstance(item, FrameReport):
                    await recorder.write(item)
                    count += 1
                if count == 30:
                    if how == "fails":
                        raise CorruptMedia("x", "broken")
                    task.cancel()

    task = asyncio.create_task(play())
    with pytest.raises((CorruptMedia, asyncio.CancelledError)):
        await task
    with open_source(out) as source:
        assert len(list(source)) == 30
    assert os.listdir(tmp_path) == ["out.mp4"]


async def test_live_play_of_a_file_is_no_faster_than_the_file(guard: Guard, real: Path) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with aclosing(guard.watch(str(real), live=True)) as items:
        async for item in items:
            if isinstance(item, FrameReport):
                assert loop.time() - began >= item.frame.time
    assert not isinstance(item, Event)
    assert item.frame.time > 1.5


async def test_names_in_events_hide_the_password(guard: Guard) -> None:
    with pytest.raises(Exception, match=r"bob:\*\*\*@") as caught:
        async with aclosing(guard.watch("nonsense://bob:s3cret@host/x")) as items:
            await anext(items)
    assert "s3cret" not in str(caught.value)


async def test_the_loop_runs_on_while_a_guard_is_loaded(detector: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loop, load, came = asyncio.get_running_loop(), Guard.load, threading.Event()

    def needs_the_loop(*arguments: Any, **more: Any) -> Guard:
        loop.call_soon_threadsafe(came.set)
        assert came.wait(20)
        return load(*arguments, **more)

    monkeypatch.setattr(Guard, "load", needs_the_loop)
    opening = Guard.open(str(detector), "torch")
    assert not came.is_set()
    async with opening as guard:
        assert came.is_set()
        assert guard.spec.name == "green"


def test_what_cannot_be_loaded(detector: Path) -> None:
    with pytest.raises(UnknownModel):
        Guard.load("nothing")
    with pytest.raises(UnknownEngine):
        Guard.load(str(detector), "nothing")


async def test_a_model_of_another_input_size(tmp_path: Path) -> None:
    small = green_detector()
    model = LoadedModel(replace(small.spec, size=128), build(small.spec))
    selected = select(model, "torch")
    with pytest.raises(ModelError, match="128 px, not 256"):
        Guard(model, selected.engine)
    selected.engine.close()
    # Before any engine is looked for, let alone compiled.
    networks.save(model, tmp_path / "small")
    with pytest.raises(ModelError, match="128 px, not 256"):
        Guard.load(str(tmp_path / "small"), "nothing")


@pytest.mark.parametrize("hanging", [1, 3])
async def test_a_file_does_not_wait_for_an_engine_that_hangs(detector: Path, half_fake: Path, hanging: int) -> None:
    model, breaker = models.load(str(detector)), Breaker()
    selected = select(model, "torch")
    plan = Recovery(pause=0.01, answer=2.0, hanging=hanging)
    ladder = breaker.wrap_all(candidates(model, "torch"))
    first = breaker.wrap(selected.engine)
    lasting = FailoverEngine(first, selected.manifest.label, ladder, recovery=plan, patience=60.0)
    try:
        async with Guard(model, lasting) as guard:
            breaker.hang_present()
            scan = FileScan(guard, str(half_fake))
            verdict = await scan.run()
            assert (scan.fault, verdict.frames) == (None, 120)
            if hanging == 1:
                # Nothing judges any more: nobody's verdict, and soon.
                assert (verdict.verdict, verdict.judged) == (Verdict.UNKNOWN, 0)
            else:
                # Loaded again: of the one batch that hung alone there is none.
                assert verdict.verdict is Verdict.FAKE
                assert 100 <= verdict.judged < 116
    finally:
        breaker.release()
