"""One stream's wiring: frames -> faces -> crops -> masks -> verdicts -> vote -> reports and events."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol, TypeVar

from ulid import ULID

from streamguard.errors import EngineFailed
from streamguard.faces import FaceFinder, Found
from streamguard.media import Down, SourceItem, Up
from streamguard.pipeline.sampling import Sampled
from streamguard.pipeline.turns import Turn, Turns
from streamguard.types import Crop, Event, EventKind, FaceVerdict, Frame, Mask, Reason
from streamguard.verdict import FrameRule, StreamState, StreamVote, Transition, unjudged

T = TypeVar("T")


class CropJudge(Protocol):
    """Turns crops into masks; the batcher shared by all streams."""

    async def submit(self, stream: str, crops: Sequence[Crop]) -> list[Mask]:
        """One mask per crop, in order; raises EngineFailed when the engine does."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of a stream's frames until now, over all its connections.

    Attributes:
        received: decoded frames, up to the one reported.
        judged: of those, the frames reported on.
        dropped: of those, the frames that a newer one replaced before there was time for them.
    """

    received: int = 0
    judged: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class FrameReport:
    """All that is said of one frame.

    Attributes:
        frame: the frame, with its picture.
        faces: one verdict per face in it.
        state: the vote after it: tracks, stream, transitions.
        counts: frames received, judged and dropped, this one included.
    """

    frame: Frame
    faces: tuple[FaceVerdict, ...]
    state: StreamState
    counts: Counts = Counts()


@dataclass(frozen=True, slots=True)
class Names:
    """Who judges, as written into events: names with a hash."""

    stream: str
    model: str
    engine: str


@dataclass(frozen=True, slots=True)
class _Pending:
    found: Found
    masks: asyncio.Task[list[Mask]] | None


class StreamPipeline:
    """Judges one stream. Iterate `run()` once; closing the iterator stops everything it started.

    Frames are reported in order. At most `in_flight` analysed frames wait, beside the one being analysed and the
    one being reported. A file's frames are all judged; of a live source's the newest one, when its turn comes.

    Args:
        names: stream, model and engine.
        items: frames and connection changes, from `media.SourceSupervisor`.
        finder: the stream's own face finder.
        judge: the shared batcher.
        rule: the frame rule.
        vote: the stream's own vote.
        executor: threads for the work that must not run on the event loop.
        in_flight: analysed frames that may wait, at least 1.
        engine: names the engine of this moment, where it may change; default: `names.engine`.
        turns: shared with the other live streams; None: every frame is judged, live or not.
        most: frames judged in a second of media, above 0; None for all there is time for.
        priority: weight among the other live streams, at least 1.
    """

    def __init__(
        self,
        names: Names,
        items: AsyncIterator[SourceItem],
        finder: FaceFinder,
        judge: CropJudge,
        rule: FrameRule,
        vote: StreamVote,
        executor: Executor,
        in_flight: int = 4,
        engine: Callable[[], str] | None = None,
        turns: Turns | None = None,
        most: float | None = None,
        priority: int = 1,
    ) -> None:
        self.most = most
        """Frames judged in a second of media at the most."""
        self._engine = engine or (lambda: names.engine)
        self._sampled = Sampled(items, turns, most, priority)
        self._names, self._finder, self._judge = names, finder, judge
        self._rule, self._vote, self._executor = rule, vote, executor
        self._queue: asyncio.Queue[_Pending | Up | Down | None] = asyncio.Queue(maxsize=max(1, in_flight))
        self._epoch, self._time, self._degraded = 0, 0.0, False
        self.cpu_seconds: defaultdict[str, float] = defaultdict(float)
        """CPU seconds by stage: detect, track, crop, rule (decode and infer are counted by their owners)."""
        self.counts = Counts()
        """Frames up to the newest report."""
        self._expected = 0

    @property
    def frames(self) -> int:
        """Frames reported."""
        return self.counts.judged

    @property
    def dropped(self) -> int:
        """Frames that were due to be judged, and replaced by a newer one before there was time for them."""
        return self._sampled.dropped

    def wants(self, time: float) -> bool:
        """Whether the frame of those media seconds may be judged; from any thread."""
        return self._sampled.wants(time)

    @property
    def detect_every(self) -> int:
        """The face detector runs on every so many frames now."""
        return self._finder.detect_every

    async def run(self) -> AsyncGenerator[FrameReport | Event, None]:
        """Reports and events until the source ends.

        Raises:
            StreamguardError: the source's error, after everything before it has been reported.
        """
        producer = asyncio.create_task(self._produce(), name=f"frames of {self._names.stream}")
        try:
            while (item := await self._queue.get()) is not None:
                if isinstance(item, Up):
                    self._epoch, self._time, self._expected = item.epoch, 0.0, 0
                    yield self._event(EventKind.STREAM_UP, detail=f"{item.width}x{item.height}")
                elif isinstance(item, Down):
                    for event in self._end_epoch("the stream broke off"):
                        yield event
                    # The attempts that fail after it are no news.
                    if item.attempt == 1:
                        self._epoch = item.epoch
                        yield self._event(EventKind.STREAM_DOWN, detail=str(item.error))
                else:
                    report, failure = await self._judged(item)
                    if failure:
                        yield self._event(EventKind.STREAM_DEGRADED, detail=failure)
                    for event in self._transitions(report.state.transitions):
                        yield event
                    yield report
            await asyncio.wait([producer])
            for event in self._end_epoch("the stream broke off" if producer.exception() else "the stream ended"):
                yield event
            await producer
        finally:
            await _cancelled(producer)
            while not self._queue.empty():
                left = self._queue.get_nowait()
                if isinstance(left, _Pending) and left.masks is not None:
                    await _cancelled(left.masks)

    async def _produce(self) -> None:
        live = False
        try:
            async with self._sampled as samples:
                async for item, turn in samples:
                    if isinstance(item, Frame):
                        pending = await self._analysed(item, turn, live=live)
                        try:
                            await self._queue.put(pending)
                        except asyncio.CancelledError:
                            if pending.masks is not None:
                                await _cancelled(pending.masks)
                            raise
                    else:
                        live = item.live if isinstance(item, Up) else live
                        await self._queue.put(item)
        finally:
            # The consumer may be gone; it empties the queue itself then.
            if not asyncio.current_task().cancelling():  # type: ignore[union-attr]  # runs as a task
                await self._queue.put(None)

    async def _analysed(self, frame: Frame, turn: Turn, *, live: bool) -> _Pending:
        """The frame's faces, on their way to the engine; the turn is released once that has answered."""
        masks = None
        try:
            found = await self._off_loop(functools.partial(self._finder.find, frame, live=live))
            if found.crops:
                masks = asyncio.create_task(self._judge.submit(self._names.stream, found.crops))
                masks.add_done_callback(turn.release)
        finally:
            if masks is None:
                turn.release()
        return _Pending(found, masks)

    async def _judged(self, pending: _Pending) -> tuple[FrameReport, str]:
        found, failure = pending.found, ""
        for stage, seconds in found.seconds.items():
            self.cpu_seconds[stage] += seconds
        verdicts = [unjudged(face, face.unjudged) for face in found.unjudged if face.unjudged]
        if pending.masks is not None:
            try:
                masks = await pending.masks
            except EngineFailed as error:
                verdicts += [unjudged(crop.face, Reason.ENGINE_FAILED) for crop in found.crops]
                failure = "" if self._degraded else str(error)
                self._degraded = True
            else:
                verdicts += await self._off_loop(self._rule_all, masks)
                self._degraded = False
        frame = found.frame
        self._time = frame.time
        state = self._vote.push(frame.time, verdicts)
        return FrameReport(frame, tuple(verdicts), state, self._counted(frame)), failure

    def _counted(self, frame: Frame) -> Counts:
        # A live reader's drops are the gaps in the numbering; a reader that loses nothing leaves none.
        dropped, self._expected = frame.index - self._expected, frame.index + 1
        before = self.counts
        self.counts = Counts(before.received + dropped + 1, before.judged + 1, before.dropped + dropped)
        return self.counts

    def _rule_all(self, masks: Sequence[Mask]) -> list[FaceVerdict]:
        start = time.thread_time()
        verdicts = [self._rule.judge(mask) for mask in masks]
        self.cpu_seconds["rule"] += time.thread_time() - start
        return verdicts

    def _end_epoch(self, why: str) -> list[Event]:
        return self._transitions(self._vote.close_all(self._time), f"{why} while the face was held for fake")

    def _transitions(self, transitions: Sequence[Transition], detail: str = "") -> list[Event]:
        kinds = {
            "opened": EventKind.FAKE_OPENED,
            "updated": EventKind.FAKE_UPDATED,
            "closed": EventKind.FAKE_CLOSED,
        }
        return [
            self._event(
                kinds[change.kind],
                track=change.track,
                time=change.time,
                score=change.score,
                share=change.share,
                detail=detail,
            )
            for change in transitions
        ]

    def _event(
        self,
        kind: EventKind,
        *,
        track: int | None = None,
        time: float | None = None,
        score: float | None = None,
        share: float | None = None,
        detail: str = "",
    ) -> Event:
        names = self._names
        return Event(
            id=str(ULID()),
            kind=kind,
            stream=names.stream,
            epoch=self._epoch,
            at=datetime.now(UTC),
            track=track,
            time=time,
            score=score,
            share=share,
            model=names.model,
            engine=self._engine(),
            detail=detail,
        )

    async def _off_loop(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)


async def _cancelled(task: asyncio.Task[T]) -> None:
    """Cancel and await: no task outlives its owner, no exception goes unread."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task
