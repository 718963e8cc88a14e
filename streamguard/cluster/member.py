"""A worker's part in the cluster: it tells that it lives, and opens and closes streams as the leases say."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Protocol

from streamguard.alerts import Fence
from streamguard.cluster.holdings import Holdings, Steps
from streamguard.cluster.leases import WorkerRow
from streamguard.cluster.store import BeatAnswer, LeaseStore, WorkerCard
from streamguard.errors import OutboxError, Overloaded, StreamguardError
from streamguard.logs import get_logger

log = get_logger("streamguard.cluster")
FAILED_REST = 10.0
"""Seconds after which a stream that could not be opened is handed back, to be tried again."""
STALLED = 20.0
"""Seconds that the loop may be busy; a worker that judges no more must not say that it lives."""
_LATER = "try again in a few seconds"


class StreamOpener(Protocol):
    """Opens and closes streams on this machine."""

    async def open(self, stream: str) -> int:
        """Open it, or change it to what is wanted now; the revision of that. Raises StreamguardError."""
        ...

    async def close(self, stream: str, *, moved: bool) -> None:
        """Close it; `moved`: another worker goes on with it."""
        ...

    async def settle(self) -> None:
        """Commit what is to be told of streams that were closed, as far as it can be."""
        ...

    def told(self, row: WorkerRow) -> tuple[WorkerRow, WorkerCard]:
        """The worker as it is now."""
        ...


class SharedClock:
    """The database's clock, as far as it is known here; between two readings this machine's monotonic one goes on."""

    def __init__(self) -> None:
        self._offset: float | None = None

    def __call__(self) -> float:
        """UTC epoch seconds."""
        return time.time() if self._offset is None else time.monotonic() + self._offset

    @property
    def skew(self) -> float:
        """Seconds that this machine's own wall clock is ahead."""
        return time.time() - self()

    def read(self, theirs: float, asked: float, answered: float) -> None:
        """Set it by an answer that says `theirs`, asked for and come at these monotonic seconds."""
        offset = theirs - (asked + answered) / 2
        # A reading is as good as the answer was quick.
        if self._offset is None or abs(offset - self._offset) > answered - asked:
            self._offset = offset


class ClusterMember:
    """Holds streams for as long as `run` runs. It is the `Ownership` of the worker's hub.

    Args:
        store: the shared truth, on the loop of whoever makes this.
        url: of the same database; heartbeats have a connection of their own.
        row: the worker, in this life.
        clock: set by each answer.

    Attributes:
        holdings: what it holds.
        counts: `beats`, `missed` (heartbeats without an answer), `opened`, `closed`, `failed`, since the start.
        over: set once the worker is to end: it was told to stop and holds nothing, or a later life has begun.
    """

    def __init__(self, store: LeaseStore, url: str, row: WorkerRow, clock: SharedClock) -> None:
        self._store, self._url, self._row, self._clock = store, url, row, clock
        self.holdings = Holdings(row.id, store.terms, time.monotonic())
        self.counts: Counter[str] = Counter()
        self.over = asyncio.Event()
        self._opener: StreamOpener | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = (row, WorkerCard("", "", ""))
        self._pulse = time.monotonic()
        self._silent = threading.Event()
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._revisions: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._ending: frozenset[str] = frozenset()

    @property
    def id(self) -> str:
        """Of the worker, in this life."""
        return self._row.id

    def fence(self, stream: str) -> Fence:
        """As of `Ownership`: the epoch in which the stream is held now, or one that was never valid."""
        return Fence(stream, self._row.id, self.holdings.held.get(stream, 0))

    async def take(self, stream: str) -> None:
        """As of `Ownership`.

        Raises:
            NameInUse: somebody has a stream of that name.
            Overloaded: the worker gives its streams up, or the database cannot be asked.
        """
        if self._row.order or self.over.is_set():
            raise Overloaded(stream, "this worker gives up its streams", _LATER)
        try:
            lease = await self._store.claim(self._row.id, stream)
        except OutboxError as error:
            raise Overloaded(stream, f"the database cannot be asked ({error.cause})", _LATER) from None
        self.holdings.take(lease)

    def leave(self, stream: str) -> None:
        """As of `Ownership`: it is closed already."""
        self.holdings.leave(stream)
        self._spawn(self._settled(stream), f"end of {stream}")

    async def run(self, opener: StreamOpener) -> None:
        """Live until `over` is set, or cancelled; at the end all is closed and handed back.

        Args:
            opener: opens and closes streams here.
        """
        self._opener, self._loop = opener, asyncio.get_running_loop()
        self._told = opener.told(self._row)
        self._pulse = time.monotonic()
        beating = threading.Thread(target=lambda: asyncio.run(self._beats()), name="heartbeat", daemon=True)
        beating.start()
        try:
            while not self.over.is_set():
                self._told = opener.told(self._row)
                self._pulse = time.monotonic()
                self._do(self.holdings.look(self._pulse))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._store.terms.beat):
                        await self.over.wait()
        finally:
            self.over.set()
            # What is handed back from now on must not be taken again.
            self._silent.set()
            left = tuple(self.holdings.held)
            for stream in left:
                self.holdings.leave(stream)
            self._do(Steps(close=left))
            while self._tasks:
                await asyncio.wait(self._tasks)
            await asyncio.to_thread(beating.join)

    async def _beats(self) -> None:
        """Tell that the worker lives, on a thread and by a connection of its own: judging never delays it."""
        while not self._silent.is_set():
            try:
                async with LeaseStore.open(self._url, self._store.terms) as store:
                    await self._beat_on(store)
            except StreamguardError as error:
                log.warning("no heartbeat: the database cannot be opened", detail=str(error))
                await asyncio.sleep(self._store.terms.beat)

    async def _beat_on(self, store: LeaseStore) -> None:
        while not self._silent.is_set():
            began = time.monotonic()
            if began - self._pulse < STALLED:
                await self._beat(store, began)
            else:
                log.error("this worker hangs, and gives no sign of life", seconds=round(began - self._pulse))
            await asyncio.sleep(max(0.0, began + store.terms.beat - time.monotonic()))

    async def _beat(self, store: LeaseStore, asked: float) -> None:
        row, card = self._told
        try:
            async with asyncio.timeout(store.terms.lost):
                answer = await store.beat(row, card, dict(self.holdings.given_up))
        except (StreamguardError, TimeoutError) as error:
            self.counts["missed"] += 1
            detail = str(error) or "it took too long"
            log.warning("no answer to the heartbeat", detail=detail, alone=round(self.holdings.alone(asked), 1))
            return
        self.counts["beats"] += 1
        self._clock.read(answer.now, asked, time.monotonic())
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._learn, answer, asked)
        try:
            async with asyncio.timeout(store.terms.lost):
                await store.plan()
        except (StreamguardError, TimeoutError) as error:
            log.info("no plan was made", detail=str(error) or "it took too long")

    def _learn(self, answer: BeatAnswer, asked: float) -> None:
        if self._silent.is_set():
            return
        if answer.order != self._row.order:
            log.info("ordered", order=answer.order or "take streams again")
        self._row = replace(self._row, order=answer.order)
        self._ending = frozenset(each.stream for each in answer.leases if each.ending)
        self._do(self.holdings.learn(answer.leases, asked))
        for stream, epoch in self.holdings.held.items():
            revision = answer.revisions.get(stream, 0)
            if self._revisions.get(stream, revision) < revision:
                self._revisions[stream] = revision
                self._spawn(self._open(stream, epoch), f"change of {stream}")
        if answer.replaced:
            log.warning("a later life has begun in this worker's place")
        if answer.replaced or (answer.order == "stop" and not answer.leases):
            self.over.set()

    def _do(self, steps: Steps) -> None:
        for stream in steps.close:
            self._spawn(self._close(stream), f"close {stream}")
        for lease in steps.open:
            self._spawn(self._open(lease.stream, lease.epoch), f"open {lease.stream}")

    async def _open(self, stream: str, epoch: int) -> None:
        assert self._opener is not None
        async with self._turns[stream]:
            if self.holdings.held.get(stream) != epoch:
                return
            try:
                self._revisions[stream] = await self._opener.open(stream)
                self.counts["opened"] += 1
                return
            except StreamguardError as error:
                log.error("a stream cannot be opened here", stream=stream, detail=str(error))
            except Exception:
                log.exception("a stream cannot be opened here", stream=stream)
        self.counts["failed"] += 1
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FAILED_REST):
                await self.over.wait()
        if self.holdings.held.get(stream) == epoch:
            self.holdings.leave(stream)
            self.holdings.closed(stream)

    async def _close(self, stream: str) -> None:
        assert self._opener is not None
        async with self._turns[stream]:
            try:
                await self._opener.close(stream, moved=stream not in self._ending)
                await self._opener.settle()
            except Exception:
                log.exception("a stream was not closed in good order", stream=stream)
            self._revisions.pop(stream, None)
            self.counts["closed"] += 1
            self.holdings.closed(stream)

    async def _settled(self, stream: str) -> None:
        if self._opener is not None:
            await self._opener.settle()
        self.holdings.closed(stream)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
