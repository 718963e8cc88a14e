"""A cluster in simulated time: the very code of leases and placement, with clocks, network and workers made up.

A worker beats, asks for plans, opens and closes streams as a real one does. Each stream it believes to hold gives an
event a second, which the database takes or refuses by its fence. What must always hold is checked as it happens.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streamguard.cluster.holdings import Holdings
from streamguard.cluster.leases import (
    LeaseTerms,
    PlanClock,
    StreamLease,
    WorkerRow,
    plan_leases,
    turn_over,
)

ANSWER_WITHIN = 2.0
"""Seconds that a worker waits for the database."""
OPENING = 1.5
"""Seconds from a lease to the first judged frame."""
TERMS = LeaseTerms()
BOUND = 15.0


@dataclass
class Wire:
    """The network between one worker and the database.

    Attributes:
        latency: the longest that a message takes, in seconds.
        loss: share of messages lost.
        cut: no message comes through.
    """

    latency: float = 0.02
    loss: float = 0.0
    cut: bool = False


class SimulatedDatabase:
    """Rows as PostgreSQL holds them: each call is one transaction.

    Args:
        world: knows the time.
        offset: of its clock, in seconds.
    """

    def __init__(self, world: World, offset: float = 0.0) -> None:
        self._world, self.offset = world, offset
        self.workers: dict[str, WorkerRow] = {}
        self.leases: dict[str, StreamLease] = {}
        self.concern: defaultdict[str, set[str]] = defaultdict(set)
        self.clock = PlanClock()
        self.away = False
        self.accepted: Counter[str] = Counter()
        self.refused = 0
        self.moves: Counter[str] = Counter()
        self._epochs = itertools.count(1)
        self._newest: dict[str, tuple[int, str]] = {}

    @property
    def now(self) -> float:
        """The database's clock."""
        return 1e9 + self._world.now + self.offset

    def beat(self, row: WorkerRow, given_up: Mapping[str, int]) -> tuple[StreamLease, ...]:
        """A heartbeat: hand back, take over, and tell what the worker holds."""
        old = self.workers.get(row.id)
        life, order = (old.life, old.order) if old else (next(self._epochs), row.order)
        self.workers[row.id] = replace(row, life=life, heartbeat=self.now, order=order, lost=False)
        concerned = [self.leases[name] for name in sorted(self.concern[row.id])]
        changes = turn_over(row.id, concerned, given_up, self.now, lambda: next(self._epochs))
        for lease in changes.leases:
            self.put(lease)
        for name in changes.forgotten:
            self.forget(name)
        return tuple(self.leases[name] for name in self.concern[row.id])

    def plan(self) -> None:
        """Look for streams without a place, no more often than once in `TERMS.plan`."""
        if 0 <= self.now - self.clock.last < TERMS.plan:
            return
        changes = plan_leases(list(self.workers.values()), list(self.leases.values()), self.clock, self.now, TERMS)
        for lease in changes.leases:
            if lease.target is not None and lease.target != self.leases[lease.stream].target:
                self.moves[lease.stream] += 1
            self.put(lease)
        for name in changes.forgotten:
            self.forget(name)
        for id in changes.lost:
            self.workers[id] = replace(self.workers[id], lost=True)
        self.clock = changes.clock

    def record(self, stream: str, owner: str, epoch: int) -> None:
        """Take an event in, or refuse it: the fence of the outbox."""
        lease = self.leases.get(stream)
        if lease is None or (lease.owner, lease.epoch) != (owner, epoch):
            self.refused += 1
            return
        newest = self._newest.get(stream, (0, ""))
        assert newest[0] <= epoch, f"{stream}: an event of epoch {epoch} after one of {newest[0]}"
        assert newest[0] < epoch or newest[1] in {"", owner}, f"{stream}: two owners in epoch {epoch}"
        self._newest[stream] = (epoch, owner)
        self.accepted[stream] += 1

    def put(self, lease: StreamLease) -> None:
        """Write a row."""
        old = self.leases.get(lease.stream)
        for worker in {old.owner, old.target} - {None} if old else ():
            self.concern[worker or ""].discard(lease.stream)
        self.leases[lease.stream] = lease
        for worker in {lease.owner, lease.target} - {None}:
            self.concern[worker or ""].add(lease.stream)

    def forget(self, stream: str) -> None:
        """Delete a row."""
        lease = self.leases.pop(stream)
        for worker in {lease.owner, lease.target} - {None}:
            self.concern[worker or ""].discard(stream)


class SimulatedWorker:
    """One seat: a process that may be killed and come back, be paused, or be cut off.

    Args:
        world: the time and the others.
        row: what it tells of itself.
        drift: seconds of its own clock in a second.
    """

    def __init__(self, world: World, row: WorkerRow, drift: float) -> None:
        self._world, self._template, self._drift = world, row, drift
        self.wire = Wire()
        self.paused = self.dead = False
        self._lives = itertools.count(1)
        self._waiting: list[Callable[[], None]] = []
        self.id = ""
        self.live()

    @property
    def domain(self) -> str:
        """What fails with it as one."""
        return self._template.domain

    @property
    def clock(self) -> float:
        """Its monotonic clock."""
        return self._world.now * self._drift

    def live(self) -> None:
        """Begin a new life in the same seat."""
        self.dead = self.paused = False
        self._waiting.clear()
        self.id = f"{self._template.seat}#{next(self._lives)}"
        self.holdings = Holdings(self.id, TERMS, self.clock)
        self.judging: dict[str, int] = {}
        self._turn = 0
        self._at(self._world.chance.uniform(0, TERMS.beat), self._beat)

    def kill(self) -> None:
        """The process is gone, with all it knew."""
        self.dead = True
        self.id += " (dead)"

    def go_on(self) -> None:
        """What came while it was paused happens now."""
        self.paused = False
        waiting, self._waiting = self._waiting, []
        for step in waiting:
            step()

    def _at(self, delay: float, step: Callable[[], None]) -> None:
        life = self.id

        def run() -> None:
            if self.id != life:
                return
            if self.paused:
                self._waiting.append(run)
            else:
                step()

        self._world.at(delay / self._drift, run)

    def _beat(self) -> None:
        self._emit()
        for stream in self.holdings.look(self.clock).close:
            self._close(stream)
        self._turn += 1
        turn, asked, given_up, life = self._turn, self.clock, dict(self.holdings.given_up), self.id
        row = replace(self._template, id=life)
        database = self._world.database

        def arrives() -> None:
            if database.away:
                return
            # Whoever sent it may be dead by now; the database does not know.
            leases = database.beat(row, given_up)
            database.plan()
            if self._passes():
                self._world.at(
                    self._delay(), lambda: self._at(0.0, lambda: answered(leases)) if self.id == life else None
                )

        def answered(leases: Sequence[StreamLease]) -> None:
            if turn != self._turn:
                # It was given up long ago, and another heartbeat is under way.
                return
            self._turn += 1
            self._learn(leases, asked)
            self._at(max(0.0, asked + TERMS.beat - self.clock), self._beat)

        def too_late() -> None:
            if turn == self._turn:
                self._beat()

        if self._passes():
            self._world.at(self._delay(), arrives)
        self._at(ANSWER_WITHIN, too_late)

    def _learn(self, leases: Iterable[StreamLease], asked: float) -> None:
        steps = self.holdings.learn(leases, asked)
        for stream in steps.close:
            self._close(stream)
        for lease in steps.open:
            self._at(OPENING, lambda lease=lease: self._opened(lease))  # type: ignore[misc]

    def _opened(self, lease: StreamLease) -> None:
        if self.holdings.held.get(lease.stream) == lease.epoch:
            self.judging[lease.stream] = lease.epoch
            self._world.judged(lease.stream)

    def _close(self, stream: str) -> None:
        epoch = self.judging.pop(stream, None)
        if epoch is not None:
            # The closing events of what was held for fake.
            self._send(stream, epoch)
        self._at(self._world.chance.uniform(0.01, 0.3), lambda: self.holdings.closed(stream))

    def _emit(self) -> None:
        for stream, epoch in self.judging.items():
            self._send(stream, epoch)

    def _send(self, stream: str, epoch: int) -> None:
        database, owner = self._world.database, self.id
        if self._passes():
            # An event that cannot be kept waits in the worker; here it is enough that a later one is kept.
            self._world.at(self._delay(), lambda: None if database.away else database.record(stream, owner, epoch))

    def _passes(self) -> bool:
        return not self.wire.cut and self._world.chance.random() >= self.wire.loss

    def _delay(self) -> float:
        return self._world.chance.uniform(0.001, self.wire.latency)


@dataclass
class Outage:
    """A stream without a judge: since when, and for how long."""

    stream: str
    since: float
    seconds: float


@dataclass
class World:
    """Simulated time, and what lives in it.

    Attributes:
        chance: all that is left to chance.
        now: seconds.
        gaps: streams that were judged again, and after how long.
    """

    chance: random.Random
    now: float = 0.0
    gaps: list[Outage] = field(default_factory=list)
    workers: list[SimulatedWorker] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()
        self._unjudged: dict[str, float] = {}
        self.database = SimulatedDatabase(self)

    @classmethod
    def made(cls, seed: int, workers: int, streams: int, racks: int, *, capacity: float | None = None) -> World:
        """A cluster whose clocks all differ, and that has not begun yet."""
        world = cls(random.Random(seed))
        world.database.offset = world.chance.uniform(-1e6, 1e6)
        room = capacity or max(2.0, 1.5 * streams / workers)
        for number in range(workers):
            world.add_worker(f"node{number}/0", f"rack{number % racks}", room)
        for number in range(streams):
            world.add_stream(f"stream{number}", priority=1 + number % 3)
        return world

    def add_worker(self, seat: str, domain: str, capacity: float) -> SimulatedWorker:
        """One more machine."""
        row = WorkerRow("", seat, domain, 0, 0.0, capacity, limit=max(4, int(4 * capacity)))
        worker = SimulatedWorker(self, row, self.chance.uniform(0.98, 1.02))
        self.workers.append(worker)
        return worker

    def add_stream(self, name: str, priority: int = 1) -> None:
        """One more stream, without a place yet."""
        self.database.put(StreamLease(name, priority))
        self._unjudged[name] = self.now

    def end_stream(self, name: str) -> None:
        """A stream is removed by its owner."""
        if name in self.database.leases:
            self.database.put(replace(self.database.leases[name], ending=True))
        self._unjudged.pop(name, None)

    def at(self, delay: float, step: Callable[[], None]) -> None:
        """Let something happen later."""
        heapq.heappush(self._queue, (self.now + delay, next(self._count), step))

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.now + seconds
        while self._queue and self._queue[0][0] <= until:
            self.now, _, step = heapq.heappop(self._queue)
            step()
        self.now = until

    def judged(self, stream: str) -> None:
        """A worker judges the stream from now on."""
        since = self._unjudged.pop(stream, None)
        if since is not None:
            self.gaps.append(Outage(stream, since, self.now - since))

    def fell(self, workers: Iterable[SimulatedWorker]) -> list[str]:
        """The streams of workers that were killed, paused or cut off at this moment: from now on nobody's."""
        fallen = [name for worker in workers for name in worker.judging]
        self._unjudged.update(dict.fromkeys(fallen, self.now))
        return fallen

    @property
    def unjudged(self) -> list[str]:
        """Streams that nobody judges who can be heard of."""
        heard = {
            name for each in self.workers if not (each.dead or each.paused or each.wire.cut) for name in each.judging
        }
        return sorted(name for name, row in self.database.leases.items() if not row.ending and name not in heard)

    def loads(self) -> list[int]:
        """Streams that each worker that lives holds."""
        return [len(each.judging) for each in self.workers if not each.dead]
