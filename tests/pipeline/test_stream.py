"""One stream's wiring, with time, faces and engine in the test's hand."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace

import pytest

from streamguard.errors import CorruptMedia, EngineUnavailable, SourceEnded
from streamguard.media import Down, SourceItem
from streamguard.pipeline.stream import FrameReport, StreamPipeline
from streamguard.types import Closing, Event, EventKind, Reason, Verdict
from tests.pipeline.conftest import UP, Judge, MakePipeline, frame

ENDED = SourceEnded("rtsp://bob:s3cret@cam/live", "the stream ended", "Check the source")


async def stream(*items: SourceItem | Exception) -> AsyncGenerator[SourceItem, None]:
    """The items in turn; an exception among them is raised."""
    for item in items:
        if isinstance(item, Exception):
            raise item
        yield item


async def collect(pipeline: StreamPipeline) -> list[FrameReport | Event]:
    """All that the pipeline says."""
    async with aclosing(pipeline.run()) as items:
        return [item async for item in items]


def kinds(items: list[FrameReport | Event]) -> list[EventKind]:
    """The events' kinds, in order."""
    return [item.kind for item in items if isinstance(item, Event)]


def reports(items: list[FrameReport | Event]) -> list[FrameReport]:
    """The reports, in order."""
    return [item for item in items if isinstance(item, FrameReport)]


async def test_every_frame_is_reported_in_order(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(stream(UP, *map(frame, range(25))), Judge())
    items = await collect(pipeline)
    assert isinstance(items[0], Event)
    assert (items[0].kind, items[0].detail, items[0].epoch) == (EventKind.STREAM_UP, "128x96", 0)
    assert [report.frame.index for report in reports(items)] == list(range(25))
    assert [len(report.faces) for report in reports(items)] == [0] + [1] * 24
    assert all(face.state is Verdict.REAL for report in reports(items) for face in report.faces)
    assert reports(items)[-1].state.state is Verdict.REAL
    assert pipeline.frames == 25
    assert set(pipeline.cpu_seconds) == {"detect", "track", "crop", "rule"}


async def test_a_fake_opens_and_closes(make_pipeline: MakePipeline) -> None:
    items = await collect(make_pipeline(stream(UP, *map(frame, range(80))), Judge(fake=range(20, 40))))
    assert kinds(items) == [EventKind.STREAM_UP, EventKind.FAKE_OPENED, EventKind.FAKE_CLOSED]
    opened, closed = (item for item in items[1:] if isinstance(item, Event))
    assert opened.track == closed.track == 1
    assert opened.time is not None
    assert closed.time is not None
    assert closed.detail == ""
    assert (opened.cause, closed.cause) == (None, Closing.CLEARED)
    # More than half of a window of one second at 20 frames a second.
    assert opened.time == pytest.approx((1 + 20 + 10) / 20, abs=0.051)
    assert 2.0 < closed.time < 3.0
    assert opened.share == pytest.approx(11 / 20)
    assert (opened.model, opened.engine, opened.stream, opened.epoch) == ("m@1", "e-1", "test", 0)
    assert opened.at.utcoffset() is not None
    assert len({item.id for item in items if isinstance(item, Event)}) == 3
    # The event comes before the report of the frame that brought it.
    following = items[items.index(opened) + 1]
    assert isinstance(following, FrameReport)
    assert following.frame.time == opened.time
    assert following.state.state is Verdict.FAKE


async def test_a_fake_closes_with_the_stream(make_pipeline: MakePipeline) -> None:
    items = await collect(make_pipeline(stream(UP, *map(frame, range(20))), Judge(fake=range(20))))
    assert kinds(items) == [EventKind.STREAM_UP, EventKind.FAKE_OPENED, EventKind.FAKE_CLOSED]
    assert isinstance(items[-1], Event)
    # No all-clear: nobody has seen the face look real.
    assert items[-1].detail == "the stream ended while the face was called fake"
    assert items[-1].cause is Closing.STREAM_ENDED


async def test_a_failing_engine_makes_faces_unknown_and_says_so_once(make_pipeline: MakePipeline) -> None:
    judge = Judge(failing=[3, 4, 5, 9])
    items = await collect(make_pipeline(stream(UP, *map(frame, range(20))), judge))
    assert kinds(items) == [EventKind.STREAM_UP, EventKind.STREAM_DEGRADED, EventKind.STREAM_DEGRADED]
    first = next(item for item in items if isinstance(item, Event) and item.kind is EventKind.STREAM_DEGRADED)
    assert first.detail == "fake: failed at 3. Mend it."
    faces = [report.faces[0] for report in reports(items)[1:]]
    failed = [index for index, face in enumerate(faces) if face.reason is Reason.ENGINE_FAILED]
    assert failed == [3, 4, 5, 9]
    assert all(faces[index].state is Verdict.UNKNOWN and faces[index].score is None for index in failed)
    assert all(face.state is Verdict.REAL for index, face in enumerate(faces) if index not in failed)


async def test_an_error_of_the_source_comes_after_the_reports(make_pipeline: MakePipeline) -> None:
    error = CorruptMedia("a.mp4", "it breaks off", "Copy it again")
    pipeline = make_pipeline(stream(UP, *map(frame, range(15)), error), Judge(fake=range(15)))
    seen: list[FrameReport | Event] = []

    async def read() -> None:
        async with aclosing(pipeline.run()) as items:
            async for item in items:
                seen.append(item)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(CorruptMedia) as caught:
        await read()
    assert caught.value is error
    assert [report.frame.index for report in reports(seen)] == list(range(15))
    assert kinds(seen) == [EventKind.STREAM_UP, EventKind.FAKE_OPENED, EventKind.FAKE_CLOSED]
    assert isinstance(seen[-1], Event)
    assert seen[-1].detail == "the stream broke off while the face was called fake"
    assert seen[-1].cause is Closing.STREAM_BROKE


async def test_an_epoch_ends_its_fakes_and_the_next_starts_over(make_pipeline: MakePipeline) -> None:
    first, second = [frame(i) for i in range(20)], [frame(i, epoch=1) for i in range(20)]
    down = [Down(0, ENDED, 0.25, attempt) for attempt in (1, 2, 3)]
    items = await collect(
        make_pipeline(stream(UP, *first, *down, replace(UP, epoch=1), *second), Judge(fake=range(19)))
    )
    assert kinds(items) == [
        EventKind.STREAM_UP,
        EventKind.FAKE_OPENED,
        EventKind.FAKE_CLOSED,
        EventKind.STREAM_DOWN,
        EventKind.STREAM_UP,
    ]
    events = [item for item in items if isinstance(item, Event)]
    assert [event.epoch for event in events] == [0, 0, 0, 0, 1]
    assert events[2].detail == "the stream broke off while the face was called fake"
    assert events[3].detail == "rtsp://bob:***@cam/live: the stream ended. Check the source."
    states = [report.state.state for report in reports(items) if report.frame.epoch == 1]
    assert states[0] is Verdict.UNKNOWN
    assert states[-1] is Verdict.REAL


async def test_frames_in_flight_are_bounded(make_pipeline: MakePipeline) -> None:
    taken: list[int] = []

    async def endless() -> AsyncIterator[SourceItem]:
        yield UP
        for index in range(1000):
            taken.append(index)
            yield frame(index)

    judge = Judge(held=True)
    pipeline = make_pipeline(endless(), judge, in_flight=3)
    async with aclosing(pipeline.run()) as items:
        for _ in range(2):
            await anext(items)  # stream.up and the frame without a face
        reader = asyncio.create_task(anext(items))
        # Some with the reader, three times some queued, some in the producer's hand: up to eight each.
        await judge.until_in_hand(5)
        for index in range(1, 20):
            judge.release()
            report = await (reader if index == 1 else anext(items))
            assert isinstance(report, FrameReport)
            assert report.frame.index == index
        assert judge.most_in_hand <= 5 * 8
        assert len(taken) <= 20 + 6 * 8
    assert judge.in_hand == 0
    assert judge.cancelled == judge.submits - 19


async def test_failures_that_nobody_waits_for_any_more_are_no_news(make_pipeline: MakePipeline) -> None:
    async def source() -> AsyncIterator[SourceItem]:
        yield UP
        for index in range(100):
            yield frame(index)

    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
    judge = Judge(failing=range(100))
    async with aclosing(make_pipeline(source(), judge).run()) as items:
        async for item in items:
            if isinstance(item, FrameReport) and judge.submits >= 8:
                break
    gc.collect()
    assert told == []


@pytest.mark.parametrize("how", ["closed", "cancelled", "broken"])
async def test_stopping_leaves_nothing(make_pipeline: MakePipeline, how: str) -> None:
    closed = False

    async def source() -> AsyncGenerator[SourceItem, None]:
        nonlocal closed
        try:
            yield UP
            for index in range(1000):
                yield frame(index)
        finally:
            closed = True

    judge = Judge(held=True)

    async def consume() -> None:
        async with aclosing(source()) as opened, aclosing(make_pipeline(opened, judge).run()) as items:
            async for item in items:
                if isinstance(item, FrameReport) and how == "broken":
                    raise LookupError

    task = asyncio.create_task(consume())
    if how == "broken":
        judge.release(100)
        with pytest.raises(LookupError):
            await task
    else:
        await judge.until_in_hand(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert closed
    assert judge.in_hand == 0


async def test_a_closed_engine_is_no_unknown_face(make_pipeline: MakePipeline) -> None:
    class Closed(Judge):
        async def submit(self, stream: str, crops: object) -> list[object]:  # type: ignore[override]  # it only fails
            raise EngineUnavailable("fake", "the batcher is closed")

    with pytest.raises(EngineUnavailable):
        await collect(make_pipeline(stream(UP, *map(frame, range(10))), Closed()))


async def test_frames_are_counted_over_all_connections(make_pipeline: MakePipeline) -> None:
    # The gaps in the numbering are what a live reader dropped: two at the begin of the second connection.
    again = (Down(0, ENDED, 0.1, 1), replace(UP, epoch=1))
    items = (UP, frame(0), frame(1), frame(4), *again, frame(2, 1), frame(3, 1))
    pipeline = make_pipeline(stream(*items), Judge())
    told = [report.counts for report in reports(await collect(pipeline))]
    counts = [(each.received, each.judged, each.dropped) for each in told]
    assert counts == [(1, 1, 0), (2, 2, 0), (5, 3, 2), (8, 4, 4), (9, 5, 4)]
    assert pipeline.frames == 5
