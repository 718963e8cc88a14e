"""Which incident a face's event belongs to: one person called fake in one stream, however often the track changes.

A fake that opens takes up an earlier incident of its stream where it is plausibly the same person: its own track's, at
any time; or one whose face is out of sight, for a bounded time. What another open face holds is never taken up, nor
what was seen in another source.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from ulid import ULID

from streamguard.types import Box, Closing, Event, EventKind

WITHIN = 60.0
MOST_PAST = 64


@dataclass(frozen=True, slots=True)
class PastIncident:
    """An incident that may be taken up again.

    Attributes:
        id: ULID.
        ended: when it closed, UTC; of one that was open when its server died, when it was last heard of.
        cause: why it closed; None where its server died.
        box: where the face was, as of `Event.box`; None where nobody knows.
        epoch, track, time: of the newest event; an epoch of None is another process's, and its track and time are not
            to be compared with ours.
    """

    id: str
    ended: datetime
    cause: Closing | None = None
    box: Box | None = None
    epoch: int | None = None
    track: int | None = None
    time: float | None = None


class IncidentBook:
    """The incidents of one stream, as its events come. Memory is bounded: the longest closed ones are forgotten.

    Args:
        within: seconds after its closing that another track may take up an incident, at least 0.
        past: those of earlier processes.
        new_id: makes the id of an incident.
    """

    def __init__(
        self,
        within: float = WITHIN,
        past: Iterable[PastIncident] = (),
        new_id: Callable[[], str] = lambda: str(ULID()),
    ) -> None:
        self._within, self._new_id = within, new_id
        self._open: dict[tuple[int, int], tuple[str, Box | None]] = {}
        self._past: dict[str, PastIncident] = {}
        for each in sorted(past, key=lambda one: one.ended):
            self._keep(each)

    def take(self, event: Event, present: Collection[int] = ()) -> Event:
        """The event with its incident; those of streams, and of faces that never opened, stay as they are.

        Args:
            event: the stream's next one.
            present: tracks in sight now, of the event's epoch: whoever held them is somebody else.
        """
        if event.track is None:
            return event
        face = (event.epoch, event.track)
        if event.kind is EventKind.FAKE_OPENED and face not in self._open:
            found = self._same(event) or self._plausible(event, present)
            if found is not None:
                del self._past[found.id]
            self._open[face] = (found.id if found else self._new_id(), found.box if found else None)
        if face not in self._open:
            return event
        id, box = self._open[face]
        self._open[face] = (id, event.box or box)
        if event.kind is EventKind.FAKE_CLOSED:
            del self._open[face]
            self._keep(PastIncident(id, event.at, event.cause, event.box or box, *face, event.time))
        return replace(event, incident=id)

    def _same(self, event: Event) -> PastIncident | None:
        same = [one for one in self._past.values() if (one.epoch, one.track) == (event.epoch, event.track)]
        return same[-1] if same else None

    def _plausible(self, event: Event, present: Collection[int]) -> PastIncident | None:
        found = [
            one
            for one in self._past.values()
            if one.cause is not Closing.SUPERSEDED
            and not (one.epoch == event.epoch and one.track in present)
            and _gap(one, event) <= self._within
        ]
        # The newest comes last.
        return min(reversed(found), key=lambda one: _distance(one.box, event.box), default=None)

    def _keep(self, past: PastIncident) -> None:
        self._past[past.id] = past
        if len(self._past) > MOST_PAST:
            del self._past[next(iter(self._past))]


def _gap(past: PastIncident, event: Event) -> float:
    """Seconds; of the media where both are of one connection, so that a file gives the same at any speed."""
    if past.epoch == event.epoch and past.time is not None and event.time is not None:
        return event.time - past.time
    return (event.at - past.ended).total_seconds()


def _distance(one: Box | None, other: Box | None) -> float:
    if one is None or other is None:
        return math.inf
    return math.dist(_middle(one), _middle(other))


def _middle(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
