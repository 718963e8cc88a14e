"""One stream's wiring: frames -> faces -> crops -> masks -> verdicts -> vote -> reports and events."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from ulid import ULID

from streamguard.channel import cancel_and_wait
from streamguard.clock import wall_time
from streamguard.errors import EngineFailed
from streamguard.faces import FaceFinder, Found
from streamguard.media import Down, Up
from streamguard.pipeline.sampling import Sampled
from streamguard.pipeline.scheduler import Turn
from streamguard.types import Box, Closing, Crop, Event, EventKind, FaceVerdict, Frame, Mask, Reason
from streamguard.verdict import FrameRule, StreamState, StreamVote, Transition, unjudged

T = TypeVar("T")

_NOT_CLEARED = {
    Closing.LOST: "the face was lost from sight while it was called fake",
    Closing.STREAM_BROKE: "the stream broke off while the face was called fake",
    Closing.STREAM_ENDED: "the stream ended while the face was called fake",
}


class CropJudge(Protocol):
    """Turns crops into masks: the batcher that all streams share."""

    async def submit(self, stream: str, crops: Sequence[Crop]) -> list[Mask]:
        """One mask per crop, in order; raises EngineFailed when the engine does."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """Counts of a stream's frames until now, over all its connections.

    Attributes:
        received: decoded frames, up to the one reported.
        judged: of those, the frames reported on.
        dropped: of those, the frames that a newer one replaced before there was time for them.
    """

    received: int = 0
    judged: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class FrameReport:
    """All that is said of one frame.

    Attributes:
        frame: the frame, with its picture.
        faces: one verdict per face in it.
        state: the vote after it: tracks, stream, transitions.
        counts: frames received, judged and dropped, this one included.
        latency: seconds from the frame's arrival to this.
    """

    frame: Frame
    faces: tuple[FaceVerdict, ...]
    state: StreamState
    counts: Counts = Counts()
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class Names:
    """Names of model and engine as written into events, each with a hash.

    Attributes:
        engine: of this moment; it may change.
    """

    stream: str
    model: str
    engine: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Stages:
    """Stages that a frame passes through.

    Attributes:
        finder: the stream's own face finder.
        judge: the shared batcher.
        rule: the frame rule.
        vote: the stream's own vote.
    """

    finder: FaceFinder
    judge: CropJudge
    rule: FrameRule
    vote: StreamVote


@dataclass(frozen=True, slots=True)
class _Pending:
    found: Found
    judged: asyncio.Task[list[FaceVerdict]] | None


class StreamPipeline:
    """Judges one stream. Iterate `run()` once; closing the iterator stops everything it started.

    Frames are reported in order. At most `in_flight` analysed frames wait (of a file: as many times a few that are
    analysed together), beside those being analysed and being reported. A file's frames are all judged; of a live
    source's the newest one, when its turn comes.

    Args:
        names: stream, model and engine.
        samples: what is judged of the source.
        stages: what a frame passes through.
        executor: threads for the work that must not run on the event loop.
        in_flight: analysed frames that may wait, at least 1.
    """

    def __init__(self, names: Names, samples: Sampled, stages: Stages, executor: Executor, in_flight: int = 4) -> None:
        self._names, self._samples, self._stages, self._executor = names, samples, stages, executor
        self._queue: asyncio.Queue[list[_Pending] | Up | Down | None] = asyncio.Queue(maxsize=max(1, in_flight))
        self._epoch, self._time, self._degraded = 0, 0.0, False
        self.cpu_seconds: defaultdict[str, float] = defaultdict(float)
        """CPU seconds by stage: detect, track, crop, rule (decode and infer are counted by their owners)."""
        self.counts = Counts()
        """Frames up to the newest report."""
        self._expected = 0
        self._judging: set[asyncio.Task[list[FaceVerdict]]] = set()
        self._boxes: dict[int, Box] = {}

    @property
    def frames(self) -> int:
        """Frames reported."""
        return self.counts.judged

    @property
    def dropped(self) -> int:
        """Frames that were due to be judged, and replaced by a newer one before there was time for them."""
        return self._samples.demand.dropped

    @property
    def detect_every(self) -> int:
        """The face detector runs on every so many frames now."""
        return self._stages.finder.detect_every

    def retune(self, most: float | None, priority: int, detect_every: int) -> None:
        """Other rates and another weight from the next frame on, as of `Sampled` and `FaceFinder`; nothing is lost."""
        self._samples.retune(most, priority)
        self._stages.finder.retune(detect_every)

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
                    self._boxes.clear()
                    yield self._event(EventKind.STREAM_UP, f"{item.width}x{item.height}")
                elif isinstance(item, Down):
                    for event in self._end_epoch(Closing.STREAM_BROKE):
                        yield event
                    # The attempts that fail after it are no news.
                    if item.attempt == 1:
                        self._epoch = item.epoch
                        yield self._event(EventKind.STREAM_DOWN, str(item.error))
                else:
                    for pending in item:
                        report, failure = await self._judged(pending)
                        if failure:
                            yield self._event(EventKind.STREAM_DEGRADED, failure)
                        for event in self._transitions(report.state.transitions):
                            yield event
                        tracks = report.state.tracks
                        self._boxes = {track: box for track, box in self._boxes.items() if track in tracks}
                        yield report
            await asyncio.wait([producer])
            for event in self._end_epoch(Closing.STREAM_BROKE if producer.exception() else Closing.STREAM_ENDED):
                yield event
            await producer
        finally:
            await _stop(producer)
            for task in tuple(self._judging):
                await _stop(task)

    async def _produce(self) -> None:
        live = False
        try:
            async with self._samples as samples:
                async for item, turn in samples:
                    if isinstance(item, Frame):
                        await self._queue.put(await self._analysed([item, *samples.at_hand()], turn, live=live))
                    else:
                        live = item.live if isinstance(item, Up) else live
                        await self._queue.put(item)
        finally:
            # The consumer may be gone; it empties the queue itself then.
            if not asyncio.current_task().cancelling():  # type: ignore[union-attr]  # runs as a task
                await self._queue.put(None)

    async def _analysed(self, frames: Sequence[Frame], turn: Turn, *, live: bool) -> list[_Pending]:
        """The frames' faces, on their way to the engine; the turn is released once that has answered for the last.

        Several are analysed in one go: between the loop and a thread there is a way to go, a third of a file's time.
        """
        judged = None
        try:
            find = functools.partial(self._stages.finder.find_all, frames, live=live, beside=self._executor.submit)
            pending = []
            for found in await self._off_loop(find):
                judged = asyncio.create_task(self._judge(found.crops)) if found.crops else None
                if judged is not None:
                    self._judging.add(judged)
                pending.append(_Pending(found, judged))
            if judged is not None:
                judged.add_done_callback(turn.release)
        finally:
            if judged is None:
                turn.release()
        return pending

    async def _judge(self, crops: Sequence[Crop]) -> list[FaceVerdict]:
        masks = await self._stages.judge.submit(self._names.stream, crops)
        verdicts, seconds = await self._off_loop(self._rule_all, masks)
        self.cpu_seconds["rule"] += seconds
        return verdicts

    async def _judged(self, pending: _Pending) -> tuple[FrameReport, str]:
        found, failure = pending.found, ""
        for stage, seconds in found.seconds.items():
            self.cpu_seconds[stage] += seconds
        verdicts = [unjudged(face, face.unjudged) for face in found.unjudged if face.unjudged]
        if pending.judged is not None:
            try:
                verdicts += await pending.judged
            except EngineFailed as error:
                verdicts += [unjudged(crop.face, Reason.ENGINE_FAILED) for crop in found.crops]
                failure = "" if self._degraded else str(error)
                self._degraded = True
            else:
                self._degraded = False
            self._judging.discard(pending.judged)
        frame = found.frame
        self._time = frame.time
        width, height = frame.image.width, frame.image.height
        self._boxes.update({each.face.track: _shares(each.face.box, width, height) for each in verdicts})
        state = self._stages.vote.push(frame.time, verdicts)
        latency = time.monotonic() - frame.arrived
        return FrameReport(frame, tuple(verdicts), state, self._counted(frame), latency), failure

    def _counted(self, frame: Frame) -> Counts:
        # A live reader's drops are the gaps in the numbering; a reader that loses nothing leaves none.
        dropped, self._expected = frame.index - self._expected, frame.index + 1
        self._samples.demand.judged += 1
        before = self.counts
        self.counts = Counts(before.received + dropped + 1, before.judged + 1, before.dropped + dropped)
        return self.counts

    def _rule_all(self, masks: Sequence[Mask]) -> tuple[list[FaceVerdict], float]:
        """The verdicts, and the CPU seconds that they took."""
        start = time.thread_time()
        return [self._stages.rule.judge(mask) for mask in masks], time.thread_time() - start

    def _end_epoch(self, cause: Closing) -> list[Event]:
        return self._transitions(self._stages.vote.close_all(self._time, cause))

    def _transitions(self, transitions: Sequence[Transition]) -> list[Event]:
        kinds = {
            "opened": EventKind.FAKE_OPENED,
            "updated": EventKind.FAKE_UPDATED,
            "closed": EventKind.FAKE_CLOSED,
        }
        return [
            replace(
                self._event(kinds[change.kind], _NOT_CLEARED.get(change.cause, "") if change.cause else ""),
                track=change.track,
                time=change.time,
                score=change.score,
                share=change.share,
                cause=change.cause,
                box=self._boxes.get(change.track),
            )
            for change in transitions
        ]

    def _event(self, kind: EventKind, detail: str) -> Event:
        names = self._names
        return Event(
            id=str(ULID()),
            kind=kind,
            stream=names.stream,
            epoch=self._epoch,
            at=wall_time(),
            model=names.model,
            engine=names.engine(),
            detail=detail,
        )

    async def _off_loop(self, work: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, *arguments)


def _shares(box: Box, width: int, height: int) -> Box:
    x0, y0, x1, y1 = (
        min(max(edge / size, 0.0), 1.0) for edge, size in zip(box, (width, height, width, height), strict=True)
    )
    return round(x0, 4), round(y0, 4), round(x1, 4), round(y1, 4)


async def _stop(task: asyncio.Task[T]) -> None:
    """No task outlives its owner; what it failed with has been told."""
    with contextlib.suppress(Exception):
        await cancel_and_wait(task)
