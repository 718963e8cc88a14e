"""Which worker holds which stream: least loaded first, spread over failure domains, as few moves as can be. Pure."""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

SLACK = 0.2
"""Difference of fill from which a stream is moved for balance: what capacities are measured to wavers by less."""
_LEAST = 0.01


@dataclass(frozen=True, slots=True)
class WorkerSeat:
    """A worker that takes streams.

    Attributes:
        id: the worker's.
        domain: what fails with it as one: a rack, a zone.
        capacity: streams that it judges as often as asked for; as measured, so it may be a fraction.
        limit: streams that it takes at all, at least 1.
    """

    id: str
    domain: str
    capacity: float
    limit: int


@dataclass(frozen=True, slots=True)
class Sitting:
    """A stream and where it is.

    Attributes:
        stream: its name.
        priority: who comes first where there is not room for all.
        at: the worker it is at, or is to be; None or one without a seat for a stream that needs a new place.
        fixed: it is not moved for balance: somebody sends it there, or it has moved a moment ago.
    """

    stream: str
    priority: int
    at: str | None
    fixed: bool = False


Moves: TypeAlias = dict[str, str | None]
"""stream -> the worker it is to be at from now on; None where there is no room."""


def place(sittings: Iterable[Sitting], seats: Sequence[WorkerSeat]) -> Moves:
    """Find places for the streams that have none; nobody else is moved, but where all are full.

    The domain with the least load for its capacity comes first, and in it the worker with the least. Beyond their
    measured capacities workers are filled evenly, up to their limits. Beyond those a stream takes the place of one of
    a lower priority.

    Args:
        sittings: all streams.
        seats: all workers that take streams.

    Returns:
        Those whose place changes.
    """
    book = _Book(seats)
    homeless, seated = [], []
    for each in sittings:
        if each.at is not None and each.at in book.seats:
            book.sit(each.at)
            seated.append(each)
        else:
            homeless.append(each)
    moves: Moves = {}
    homeless.sort(key=lambda each: (-each.priority, each.stream))
    book.open()
    for number, each in enumerate(homeless):
        best = book.take()
        if best is None:
            moves.update(_displaced(homeless[number:], seated) if seats else dict.fromkeys(_names(homeless[number:])))
            break
        moves[each.stream] = best
    return {each.stream: moves[each.stream] for each in (*homeless, *seated) if each.stream in moves}


def balance(sittings: Iterable[Sitting], seats: Sequence[WorkerSeat], most: int) -> Moves:
    """Move streams from the fullest worker to the emptiest while they differ by more than `SLACK`.

    Args:
        sittings: all streams, each at a seat.
        seats: all workers that take streams.
        most: moves at the most.
    """
    at: defaultdict[str, list[Sitting]] = defaultdict(list)
    loads: Counter[str] = Counter()
    for each in sittings:
        if each.at is not None:
            loads[each.at] += 1
            if not each.fixed:
                at[each.at].append(each)
    for movable in at.values():
        # The last one goes first: of the lowest priority.
        movable.sort(key=lambda each: (-each.priority, each.stream))
    moves: Moves = {}
    givers = [seat for seat in seats if at[seat.id]]
    while givers and len(moves) < most:
        full = max(givers, key=lambda seat: (_fill(loads, seat), seat.id))
        takers = [seat for seat in seats if loads[seat.id] < seat.limit and seat is not full]
        if not takers:
            break
        empty = min(takers, key=lambda seat: (_fill(loads, seat), seat.id))
        after = (loads[empty.id] + 1) / max(empty.capacity, _LEAST), (loads[full.id] - 1) / max(full.capacity, _LEAST)
        if _fill(loads, full) - _fill(loads, empty) <= SLACK or after[0] > after[1]:
            break
        moves[at[full.id].pop().stream] = empty.id
        loads[full.id] -= 1
        loads[empty.id] += 1
        givers = [seat for seat in givers if at[seat.id]]
    return moves


class _Book:
    """Loads of workers and domains, with the least loaded at hand."""

    def __init__(self, seats: Sequence[WorkerSeat]) -> None:
        self.seats: Mapping[str, WorkerSeat] = {seat.id: seat for seat in seats}
        self._loads = dict.fromkeys(self.seats, 0)
        self._domain_loads = {seat.domain: 0 for seat in seats}
        self._capacity = dict.fromkeys(self._domain_loads, 0.0)
        self._within: dict[str, list[tuple[float, str]]] = {domain: [] for domain in self._domain_loads}
        self._domains: list[tuple[float, str]] = []

    def sit(self, worker: str) -> None:
        """Count a stream that stays where it is."""
        self._loads[worker] += 1
        self._domain_loads[self.seats[worker].domain] += 1

    def open(self) -> None:
        """Make the order in which workers are filled."""
        for seat in self.seats.values():
            self._capacity[seat.domain] += max(seat.capacity, _LEAST)
            if self._loads[seat.id] < seat.limit:
                self._within[seat.domain].append((_fill(self._loads, seat), seat.id))
        for domain, workers in self._within.items():
            heapq.heapify(workers)
            if workers:
                self._domains.append((self._domain_loads[domain] / self._capacity[domain], domain))
        heapq.heapify(self._domains)

    def take(self) -> str | None:
        """The worker that the next stream goes to; None where all are full."""
        if not self._domains:
            return None
        domain = self._domains[0][1]
        workers = self._within[domain]
        best = workers[0][1]
        self.sit(best)
        seat = self.seats[best]
        if self._loads[best] < seat.limit:
            heapq.heapreplace(workers, (_fill(self._loads, seat), best))
        else:
            heapq.heappop(workers)
        if workers:
            heapq.heapreplace(self._domains, (self._domain_loads[domain] / self._capacity[domain], domain))
        else:
            heapq.heappop(self._domains)
        return best


def _displaced(homeless: Sequence[Sitting], seated: Sequence[Sitting]) -> Moves:
    """Return which streams take others' places where all are full; homeless ones come by falling priority."""
    lowest = sorted((each for each in seated if not each.fixed), key=lambda each: (each.priority, each.stream))
    moves: Moves = {}
    for each, victim in zip(homeless, lowest, strict=False):
        if each.priority <= victim.priority:
            break
        moves[each.stream], moves[victim.stream] = victim.at, None
    return {**dict.fromkeys(_names(homeless)), **moves}


def _names(sittings: Iterable[Sitting]) -> list[str]:
    return [each.stream for each in sittings]


def _fill(loads: Mapping[str, int], seat: WorkerSeat) -> float:
    return loads[seat.id] / max(seat.capacity, _LEAST)
