"""Leases of streams, and how they change hands. Pure: rows, time and numbers are given, changes are returned.

A worker tells each second that it lives, in one row of its own: that is the heartbeat of all its leases. A lease names
its owner and the owner's fencing epoch; what is written under another epoch is refused where it is written. So nothing
here need be certain of who lives: to take a stream from a worker that was merely slow costs a reconnect, never truth.
All times are the database's clock, UTC epoch seconds; no worker's clock is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from streamguard.cluster.placement import Moves, Sitting, WorkerSeat, balance, place

Order: TypeAlias = Literal["", "drain", "stop"]
"""Order of the operator to a worker; `drain`: give up the streams and take no more; `stop`: end, too."""


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """How patient the cluster is, in seconds.

    Attributes:
        beat: between two heartbeats of a worker.
        lost: without a heartbeat, after which a worker's streams are given to others.
        plan: between two looks for streams without a place.
        gather: that workers have to be heard of before the first streams are placed, or after the database was away.
        alone: that a worker that cannot reach the database judges on; its events wait in memory.
        rest: that a stream stays where it is before it may be moved for balance.
    """

    beat: float = 1.0
    lost: float = 5.0
    plan: float = 1.0
    gather: float = 2.5
    alone: float = 90.0
    rest: float = 60.0


@dataclass(frozen=True, slots=True)
class WorkerPlace:
    """Where a worker lives.

    Attributes:
        node: the machine's name, the same after a restart.
        host: its address for others.
        domain: what fails with it as one.
        number: of the worker on this machine, from 0.
    """

    node: str
    host: str
    domain: str
    number: int = 0

    @property
    def seat(self) -> str:
        """Unique in the cluster; a later life in it ends an earlier one."""
        return f"{self.node}/{self.number}"


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker, in one of its lives.

    Attributes:
        id: unique to this life.
        seat: where it lives, as `node/0`; a later life in the same place puts an end to this one.
        domain: what fails with it as one.
        life: rises with each life of any worker.
        heartbeat: when it was last heard of.
        capacity, limit: as of `WorkerSeat`.
        able: it can judge; not so where its detector cannot be loaded, or its engine hangs.
        order: what was asked of it.
        lost: it was given up. It joins anew by its next heartbeat, without streams.
    """

    id: str
    seat: str
    domain: str
    life: int
    heartbeat: float
    capacity: float = 1.0
    limit: int = 32
    able: bool = True
    order: Order = ""
    lost: bool = False


@dataclass(frozen=True, slots=True)
class StreamLease:
    """A stream and who holds it.

    Attributes:
        stream: its name.
        priority: as of `Sitting`.
        published: somebody sends it to its owner, so that it cannot be moved; it is forgotten with its lease.
        ending: it was removed, and is forgotten once its owner has closed it.
        target: the worker that is to hold it.
        owner: the worker that holds it.
        epoch: rises with each owner.
        changed: when owner or target last changed.
    """

    stream: str
    priority: int = 1
    published: bool = False
    ending: bool = False
    target: str | None = None
    owner: str | None = None
    epoch: int = 0
    changed: float = 0.0


@dataclass(frozen=True, slots=True)
class PlanClock:
    """When plans were made: after a pause nobody is given up before he had time to be heard of.

    Attributes:
        last: the newest plan.
        steady: since when plans have been made without a pause.
    """

    last: float = 0.0
    steady: float = 0.0


@dataclass(frozen=True, slots=True)
class LeaseChanges:
    """Changes to be written.

    Attributes:
        leases: as they are from now on.
        forgotten: streams.
        lost: workers that are given up.
        clock: of the plans.
    """

    leases: tuple[StreamLease, ...] = ()
    forgotten: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    clock: PlanClock = PlanClock()


def turn_over(
    worker: str,
    leases: Iterable[StreamLease],
    given_up: Mapping[str, int],
    now: float,
    new_epoch: Callable[[], int],
) -> LeaseChanges:
    """Return the changes by a worker's heartbeat: it hands back what it has closed, and takes what is free for it.

    Args:
        worker: its id.
        leases: those that name it as owner or target.
        given_up: streams that it has closed -> the epoch in which it held them.
        now: the database's clock.
        new_epoch: makes numbers that rise for ever.
    """
    changed, forgotten = [], []
    for lease in leases:
        new = lease
        if lease.owner == worker and given_up.get(lease.stream) == lease.epoch:
            if lease.ending or lease.published:
                forgotten.append(lease.stream)
                continue
            new = replace(lease, owner=None, changed=now)
        # One that was closed in this very moment is not opened again before the next.
        elif lease.owner is None and lease.target == worker and not lease.ending:
            new = replace(lease, owner=worker, epoch=new_epoch(), changed=now)
        if new is not lease:
            changed.append(new)
    return LeaseChanges(tuple(changed), tuple(forgotten))


def plan_leases(
    workers: Sequence[WorkerRow],
    leases: Sequence[StreamLease],
    clock: PlanClock,
    now: float,
    terms: LeaseTerms,
) -> LeaseChanges:
    """Give up workers that are not heard of, and find places for streams.

    Args:
        workers, leases: all there are.
        clock: as of the plan before.
        now: the database's clock.
        terms: how patient to be.
    """
    pause = now - clock.last
    # The database was away, or its clock was set: everybody gets the time to be heard of again.
    steady = clock.steady if 0.0 <= pause < terms.lost / 2 else now
    newest: dict[str, int] = {}
    for each in workers:
        newest[each.seat] = max(each.life, newest.get(each.seat, 0))
    gone = {
        each.id
        for each in workers
        if not each.lost and (_silence(each, now, steady) > terms.lost or each.life < newest[each.seat])
    }
    known = {each.id: each for each in workers if not each.lost and each.id not in gone}
    seats = [_seat(each) for each in known.values() if each.able and not each.order]
    taking = {seat.id for seat in seats}
    rows: dict[str, StreamLease] = {}
    forgotten = []
    for lease in leases:
        new = lease
        if lease.owner is not None and lease.owner not in known:
            new = replace(lease, owner=None, changed=now)
        if new.owner is None and (new.ending or new.published):
            forgotten.append(new.stream)
        else:
            rows[new.stream] = new
    leaving = {row.stream for row in rows.values() if row.ending or (row.published and row.owner not in taking)}
    staying = [
        # Who sends a stream comes back by the front door, and is sent elsewhere there.
        Sitting(row.stream, row.priority, row.target, row.published or now - row.changed < terms.rest)
        for row in rows.values()
        if row.stream not in leaving
    ]
    moves: Moves = {}
    # Before that, whoever is heard of first would get everything.
    if now - steady >= terms.gather:
        moves = place(staying, seats)
        if not moves and all(row.owner == row.target for row in rows.values()):
            # Never while streams are on their way: one thing after the other.
            moves = balance(staying, seats, max(1, len(staying) // 50))
    for stream, worker in (*dict.fromkeys(leaving).items(), *moves.items()):
        row = rows[stream]
        # Better judged by one that is to end than by nobody.
        stays = worker is None and row.owner is not None and row.owner not in taking and stream not in leaving
        target = row.owner if stays else worker
        if row.target != target:
            rows[stream] = replace(row, target=target, changed=now)
    before = {lease.stream: lease for lease in leases}
    return LeaseChanges(
        tuple(row for stream, row in rows.items() if row is not before[stream]),
        tuple(forgotten),
        tuple(sorted(gone)),
        PlanClock(now, steady),
    )


def _silence(worker: WorkerRow, now: float, steady: float) -> float:
    # A heartbeat of the future is one from before the database's clock was set back.
    return now - (max(worker.heartbeat, steady) if worker.heartbeat <= now else steady)


def _seat(worker: WorkerRow) -> WorkerSeat:
    return WorkerSeat(worker.id, worker.domain, worker.capacity, worker.limit)
