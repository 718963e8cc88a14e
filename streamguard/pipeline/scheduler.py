"""Whose frame is analysed next: a few at a time, evenly between streams, so that nothing waits in a queue.

A stream that gets its turn takes the newest frame it has then. Whatever is scarce (processors, the engine), all streams
are slowed down alike, and a frame's way through the analysis stays short. The order between streams is start-time fair
queueing (Goyal, Vin and Cheng, 1996) with frames as the unit of work.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

TARGET = 0.2
"""Seconds that a frame's analysis may take under load; most take less."""
FLOOR = 1.0
"""Seconds after which a stream goes before all others, whatever their priority."""
LEAST, MOST, FIRST = 1, 64, 8
"""Frames that are analysed at a time: at the least, at the most, and at the beginning."""
_SLOWER = 4.0
"""Quick frames that make up for one that was slow."""
SPARE = 0
"""The weight of what gets a turn only while nothing else is analysed, but for one in each `FLOOR` seconds."""


def next_limit(limit: float, took: float, *, contended: bool, least: int = LEAST) -> float:
    """Number of frames that may be analysed at a time, after one of them.

    By Little's law, frames at a time = frames per second x seconds each: as many as keep each of them within `TARGET`
    are enough to keep the machine busy, and more would only wait for each other.

    Args:
        limit: until now, `least` to `MOST`.
        took: seconds that the frame's analysis took.
        contended: whether a stream waits; otherwise there is no reason for more.
        least: fewer would leave processors idle: a frame's way is of several steps, with waits between them.
    """
    if took > TARGET:
        return max(float(least), limit - _SLOWER / limit)
    return min(float(MOST), limit + 1 / limit) if contended else limit


@dataclass(slots=True, eq=False)
class Seat:
    """A stream's place among the others; made by `Scheduler.seat`.

    Attributes:
        weight: frames it gets while one of weight 1 gets one, where both want more; `SPARE` for the last of all.
        due: the virtual time from which its next frame counts.
        served: seconds of the clock at its last turn.
    """

    weight: int
    due: float
    served: float


class Turn:
    """The right to analyse one frame; to be released when that is done.

    Args:
        turns: where it is from; None for one that nobody waits for.
        began: seconds of the clock.
        spare: it was one that nobody else wanted.
    """

    def __init__(self, turns: Scheduler | None = None, began: float = 0.0, *, spare: bool = False) -> None:
        self._turns, self._began, self._spare = turns, began, spare

    def release(self, *_: object) -> None:
        """Give the place back, whether the work was done or not; more calls do nothing."""
        turns, self._turns = self._turns, None
        if turns is not None:
            turns._released(self._began, spare=self._spare)


class Scheduler:
    """Shared by all streams of a machine; used on one event loop.

    Args:
        clock: seconds.
        least: frames that are analysed at a time however long they take, at least 1.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, least: int = LEAST) -> None:
        self._clock, self._least = clock, least
        self._wishes: dict[Seat, asyncio.Future[Turn]] = {}
        self._limit = float(max(FIRST, least))
        self._virtual = 0.0
        self._since = 0.0
        self._contended = 0.0
        self.busy = 0
        """Frames in analysis now."""
        self._spared = 0
        self.done = 0
        """Frames whose analysis has ended, since the start."""

    @property
    def limit(self) -> int:
        """Frames that are analysed at a time."""
        return int(self._limit)

    @property
    def contended(self) -> float:
        """Seconds since the start in which at least one stream waited for its turn; what is spare never counts."""
        return self._contended + (self._clock() - self._since if self._pressed() else 0.0)

    def seat(self, weight: int = 1) -> Seat:
        """A place for one more stream.

        Args:
            weight: at least 1, or `SPARE`.
        """
        return Seat(weight, self._virtual, self._clock())

    async def take(self, seat: Seat) -> Turn:
        """Wait for the stream's turn; one caller per seat at a time."""
        if self.busy < self.limit and not self._pressed() and self._may(seat):
            return self._grant(seat)
        wish: asyncio.Future[Turn] = asyncio.get_running_loop().create_future()
        if seat.weight != SPARE and not self._pressed():
            self._since = self._clock()
        self._wishes[seat] = wish
        try:
            return await wish
        except asyncio.CancelledError:
            if wish.done() and not wish.cancelled():
                wish.result().release()
            else:
                self._withdraw(seat)
            raise

    def _released(self, began: float, *, spare: bool) -> None:
        self.busy -= 1
        self._spared -= spare
        self.done += 1
        took = self._clock() - began
        self._limit = next_limit(self._limit, took, contended=self._pressed(), least=self._least)
        # A wish that was cancelled is withdrawn by who made it, a moment later.
        while self.busy < self.limit and (waiting := self._waiting()):
            seat = min(waiting, key=self._order)
            self._withdraw(seat).set_result(self._grant(seat))

    def _waiting(self) -> list[Seat]:
        return [seat for seat, wish in self._wishes.items() if not wish.done() and self._may(seat)]

    def _may(self, seat: Seat) -> bool:
        """Return whether it may have a turn now; a spare one only while no other frame is in analysis, or overdue."""
        return seat.weight != SPARE or self.busy == self._spared or self._overdue(seat)

    def _withdraw(self, seat: Seat) -> asyncio.Future[Turn]:
        before = self._pressed()
        wish = self._wishes.pop(seat)
        if before and not self._pressed():
            self._contended += self._clock() - self._since
        return wish

    def _pressed(self) -> bool:
        """Return whether anybody waits who counts."""
        return any(seat.weight != SPARE for seat in self._wishes)

    def _order(self, seat: Seat) -> tuple[bool, bool, float]:
        if self._overdue(seat):
            return False, False, seat.served
        return True, seat.weight == SPARE, seat.due

    def _overdue(self, seat: Seat) -> bool:
        return self._clock() - seat.served >= FLOOR

    def _grant(self, seat: Seat) -> Turn:
        # What a stream gets because it was overdue does not move the others' time, and what is spare never does.
        if not (seat.weight == SPARE or self._overdue(seat)):
            self._virtual = max(self._virtual, seat.due)
        seat.due, seat.served = self._virtual + 1 / max(seat.weight, 1), self._clock()
        spare = seat.weight == SPARE
        self.busy += 1
        self._spared += spare
        return Turn(self, seat.served, spare=spare)
