"""Gathers the crops of all streams into batches for one engine.

Everything here runs on one event loop except `Engine.infer`, which has a thread of its own. Crops wait in one queue
per stream and are taken in turn, one per stream, so that a busy stream gets no more than its share. The queues are
bounded by the number of crops each stream may have in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from streamguard.errors import EngineFailed, EngineUnavailable, StreamguardError
from streamguard.inference.engine import Engine, foreign_errors, judged
from streamguard.inference.engine_thread import EngineThread
from streamguard.inference.fair_queue import FairQueue
from streamguard.types import Crop, Mask, UInt8Array

_ENOUGH = 4
"""Crops that share most of what a call of the engine costs whatever their number."""
_LOOK = 0.25
"""Seconds between two looks at a call that has not returned."""
_LEAVE = 3.0
"""Seconds after which a call that nobody waits for does not hold up the end."""
_SCHEDULED = Path("/proc/thread-self/schedstat")


@dataclass(frozen=True, slots=True)
class BatcherStats:
    """Counts since the start.

    Attributes:
        batches: batches given to the engine, failed ones included.
        failed: batches that failed.
        crops: crops in those batches.
        sizes: how many of those batches held 1, 2, ... `max_batch` crops.
        busy_seconds: time the engine was judging, without that in which its thread waited for a processor.
        infer_cpu_seconds: CPU time of the engine's own thread while it was judging. Helper threads of its library
            do not count: with one thread for inference it is all of the CPU time, with more a share of it.
    """

    batches: int = 0
    failed: int = 0
    crops: int = 0
    sizes: tuple[int, ...] = ()
    busy_seconds: float = 0.0
    infer_cpu_seconds: float = 0.0


@dataclass(slots=True, eq=False)
class _Item:
    crop: Crop
    stream: str
    deadline: float
    answer: asyncio.Future[UInt8Array]


@dataclass(frozen=True, slots=True)
class _Judged:
    outcome: UInt8Array | StreamguardError
    wall: float = 0.0
    cpu: float = 0.0


@dataclass(slots=True)
class _Stream:
    slots: asyncio.Semaphore
    in_flight: int = 0
    submits: int = 0


class Batcher:
    """Shared by all streams; made, used and closed on one event loop.

    Args:
        engine: judges the batches. The batcher's thread is the only one that calls `infer`; the engine's owner
            closes it after `aclose`.
        max_batch: largest batch; the engine's own by default.
        max_delay: seconds a crop may wait for its batch to fill, where `eager` is off or `busy` says so.
        per_stream_limit: crops a stream may have in flight: waiting or being judged.
        eager: an idle engine takes what there is at once, and batches fill while it is busy. Off, it waits until a
            batch is full or its oldest crop's deadline passes: fewer and fuller batches at the price of delay.
        busy: whether something else than the engine is scarce, processors for example. While it says so, an idle
            engine waits for a few crops: together they cost less than one by one. Asked often.
        overdue: whether the call of `infer` under way is to be given up, and as what: its batch fails, its answer is
            nobody's if it still comes, and the engine is called from another thread from then on. Asked a few times a
            second. None: there is no way on without that call, and it is waited for.

    Raises:
        ValueError: a limit is out of range.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        max_batch: int | None = None,
        max_delay: float = 0.02,
        per_stream_limit: int = 8,
        eager: bool = True,
        busy: Callable[[], bool] = lambda: False,
        overdue: Callable[[], EngineFailed | None] | None = None,
    ) -> None:
        self._busy, self._overdue = busy, overdue
        self.max_batch = engine.max_batch if max_batch is None else max_batch
        if not 1 <= self.max_batch <= engine.max_batch or per_stream_limit < 1 or max_delay < 0:
            raise ValueError(f"max_batch is 1 to {engine.max_batch}, per_stream_limit at least 1, max_delay at least 0")
        self._engine = engine
        self._max_delay = max_delay
        self._limit = per_stream_limit
        self._eager = eager
        self._streams: dict[str, _Stream] = {}
        self._waiting: FairQueue[_Item] = FairQueue()
        self._wake = asyncio.Event()
        self._closing = self._rejecting = False
        self._thread = EngineThread()
        self._runner: asyncio.Task[None] | None = None
        self._batches = self._failed = self._crops = 0
        self._sizes = [0] * self.max_batch
        self._wall = self._cpu = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose(drain=kind is None)

    def stats(self) -> BatcherStats:
        """Counts until now."""
        return BatcherStats(self._batches, self._failed, self._crops, tuple(self._sizes), self._wall, self._cpu)

    @property
    def waiting(self) -> int:
        """Crops of all streams that wait for a batch now."""
        return len(self._waiting)

    def in_flight(self, stream: str) -> int:
        """Crops of the stream that wait or are being judged."""
        state = self._streams.get(stream)
        return 0 if state is None else state.in_flight

    async def submit(self, stream: str, crops: Sequence[Crop]) -> list[Mask]:
        """Judge crops; waits while the stream has its limit in flight.

        More crops than the limit are queued as earlier ones are done. Cancelling frees their slots: at once for
        crops that wait, when the batch is done for those being judged.

        Args:
            stream: whose turn they take.
            crops: any number.

        Returns:
            One mask per crop, in their order.

        Raises:
            EngineFailed: the batch of one of these crops failed; crops of other batches are not concerned.
            EngineUnavailable: the batcher is closed, or is closed before they are judged.
        """
        if self._closing:
            raise self._closed()
        if self._runner is None:
            self._runner = asyncio.create_task(self._run(), name="streamguard-batcher")
        state = self._streams.get(stream)
        if state is None:
            state = self._streams[stream] = _Stream(asyncio.Semaphore(self._limit))
        state.submits += 1
        items: list[_Item] = []
        try:
            for crop in crops:
                await state.slots.acquire()
                items.append(self._queue(stream, state, crop))
            return [Mask(item.crop, await item.answer) for item in items]
        finally:
            for item in items:
                self._abandon(item)
            state.submits -= 1
            self._forget(stream, state)
            self._wake.set()

    async def aclose(self, *, drain: bool = True) -> None:
        """Take no more crops, finish, and join the engine's thread. Calling it again does nothing.

        Args:
            drain: judge what is queued first; otherwise those submits raise EngineUnavailable. A batch that is
                being judged is finished either way, unless it is overdue, or takes long and nobody waits for it.
        """
        self._closing = True
        self._rejecting = self._rejecting or not drain
        self._wake.set()
        if self._runner is not None:
            # Waiting for a task, unlike awaiting it, does not cancel it when the caller is cancelled.
            await asyncio.wait([self._runner])
            self._runner.result()
        self._thread.close()

    def _queue(self, stream: str, state: _Stream, crop: Crop) -> _Item:
        if self._rejecting:
            state.slots.release()
            raise self._closed()
        loop = asyncio.get_running_loop()
        item = _Item(crop, stream, loop.time() + self._max_delay, loop.create_future())
        state.in_flight += 1
        self._waiting.put(stream, item)
        self._wake.set()
        return item

    def _abandon(self, item: _Item) -> None:
        """The submit is over: what still waits is taken out, what failed is not reported a second time."""
        if item.answer.done() and not item.answer.cancelled():
            item.answer.exception()
        item.answer.cancel()
        if self._waiting.remove(item.stream, item):
            self._release(item)

    def _release(self, item: _Item) -> None:
        state = self._streams[item.stream]
        state.in_flight -= 1
        state.slots.release()
        self._forget(item.stream, state)

    def _forget(self, stream: str, state: _Stream) -> None:
        # Stream names come and go for as long as the process lives.
        if not state.submits and not state.in_flight:
            self._streams.pop(stream, None)

    async def _run(self) -> None:
        while await self._ready():
            batch = self._waiting.take(self.max_batch)
            try:
                outcome = await self._judge_in_thread(batch)
            finally:
                for item in batch:
                    self._release(item)
            self._answer(batch, outcome)

    async def _ready(self) -> bool:
        """Wait until a batch is due; False when there will be no more."""
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            if self._rejecting:
                self._reject()
            if self._closing and not any(state.submits for state in self._streams.values()):
                return False
            due = min((item.deadline for item in self._waiting.heads()), default=None)
            if due is not None:
                enough = min(_ENOUGH, self.max_batch) if self._eager else self.max_batch
                hurry = (self._eager and not self._busy()) or self._closing or len(self._waiting) >= enough
                if hurry or due <= loop.time():
                    return True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()

    def _reject(self) -> None:
        batch = self._waiting.take(len(self._waiting))
        for item in batch:
            self._release(item)
        self._answer(batch, self._closed())

    def _answer(self, batch: list[_Item], outcome: UInt8Array | StreamguardError) -> None:
        for place, item in enumerate(batch):
            if item.answer.done():
                continue
            if isinstance(outcome, StreamguardError):
                item.answer.set_exception(outcome)
            else:
                # A copy: a mask that is kept must not keep its whole batch.
                item.answer.set_result(outcome[place].copy())

    async def _judge_in_thread(self, batch: list[_Item]) -> UInt8Array | StreamguardError:
        self._batches += 1
        self._crops += len(batch)
        self._sizes[len(batch) - 1] += 1
        call = asyncio.wrap_future(self._thread.call(partial(self._judge, [item.crop for item in batch])))
        began = asyncio.get_running_loop().time()
        done = None
        while done is None:
            if (await asyncio.wait([call], timeout=_LOOK))[0]:
                done = call.result()
            elif (error := self._given_up(batch, began)) is not None:
                done = _Judged(error)
                call.cancel()
                self._thread.leave()
                self._thread = EngineThread()
        # Not counted in the thread: of a call that was given up nothing counts.
        self._wall += done.wall
        self._cpu += done.cpu
        self._failed += isinstance(done.outcome, StreamguardError)
        return done.outcome

    def _given_up(self, batch: list[_Item], began: float) -> StreamguardError | None:
        if self._overdue is None:
            return None
        for_nobody = self._closing and all(item.answer.done() for item in batch)
        if for_nobody and asyncio.get_running_loop().time() - began >= _LEAVE:
            return self._closed()
        return self._overdue()

    def _judge(self, crops: list[Crop]) -> _Judged:
        wall, cpu, waited = time.perf_counter(), time.thread_time(), _waited()
        outcome = self._outcome(crops)
        spent = max(0.0, time.perf_counter() - wall - (_waited() - waited))
        return _Judged(outcome, spent, time.thread_time() - cpu)

    def _outcome(self, crops: list[Crop]) -> UInt8Array | StreamguardError:
        try:
            with foreign_errors(self._engine.name, f"judging {len(crops)} crops"):
                return judged(self._engine, np.stack([crop.pixels for crop in crops]))
        except StreamguardError as error:
            return error

    def _closed(self) -> EngineUnavailable:
        return EngineUnavailable(self._engine.name, "the batcher is closed", "submit before it is closed")


def _waited() -> float:
    """Seconds that this thread was ready and had no processor; 0 where the kernel does not tell."""
    try:
        return int(_SCHEDULED.read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
