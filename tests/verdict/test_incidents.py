"""Which incident a fake takes up, against a search through everything that ever happened."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.types import Box, Closing, Event, EventKind
from streamguard.verdict import IncidentBook, PastIncident

START = datetime(2026, 3, 2, tzinfo=UTC)
WITHIN = 60.0
OPENED, UPDATED, CLOSED = EventKind.FAKE_OPENED, EventKind.FAKE_UPDATED, EventKind.FAKE_CLOSED
LEFT: Box = (0.1, 0.2, 0.3, 0.6)
RIGHT: Box = (0.7, 0.2, 0.9, 0.6)


def event(kind: EventKind, second: float, track: int = 1, *, epoch: int = 0, **more: object) -> Event:
    """An event of a face; its media time is that of its connection."""
    at, id = START + timedelta(seconds=second), f"{kind}{second}{epoch}{track}"
    return Event(id, kind, "door", epoch, at, track, time=second, **more)  # type: ignore[arg-type]


def book() -> IncidentBook:
    """A book whose incidents are numbered."""
    numbers = count(1)
    return IncidentBook(WITHIN, new_id=lambda: str(next(numbers)))


@dataclass
class Search:
    """The same rule by brute force: all that happened is looked through for each opening."""

    told: list[tuple[Event, frozenset[int]]] = field(default_factory=list)
    numbers: count[int] = field(default_factory=lambda: count(1))

    def take(self, event: Event, present: frozenset[int]) -> str:
        """The incident of the next event."""
        id = self._held().get((event.epoch, event.track))
        if id is None:
            id = self._same(event) or self._nearest(event, present) or str(next(self.numbers))
        self.told.append((replace(event, incident=id), present))
        return id

    def _held(self) -> dict[tuple[int, int | None], str | None]:
        last = {(one.epoch, one.track): one for one, _ in self.told}
        return {face: one.incident for face, one in last.items() if one.kind is not CLOSED}

    def _free(self) -> list[Event]:
        """The last event of every incident that nobody holds, in the order in which they closed."""
        last = {one.incident: one for one, _ in self.told}
        order = sorted(last.values(), key=[each for each, _ in self.told].index)
        return [one for one in order if one.incident not in self._held().values()]

    def _same(self, event: Event) -> str | None:
        found = [one for one in self._free() if (one.epoch, one.track) == (event.epoch, event.track)]
        return found[-1].incident if found else None

    def _nearest(self, event: Event, present: frozenset[int]) -> str | None:
        best: tuple[float, str | None] = (math.inf, None)
        for one in self._free():
            passed = (event.time or 0.0) - (one.time or 0.0)
            if one.epoch != event.epoch:
                passed = (event.at - one.at).total_seconds()
            in_sight = one.epoch == event.epoch and one.track in present
            if one.cause is Closing.SUPERSEDED or in_sight or passed > WITHIN:
                continue
            assert one.box is not None
            assert event.box is not None
            apart = abs(one.box[0] - event.box[0])
            if apart <= best[0]:
                best = (apart, one.incident)
        return best[1]


@st.composite
def stories(draw: st.DrawFn) -> list[tuple[Event, frozenset[int]]]:
    """Faces that open and close in one stream, over its connections; each with who else is in sight."""
    second, epoch, told = 0.0, 0, []
    held: dict[int, Box] = {}
    for _ in range(draw(st.integers(1, 40))):
        second += draw(st.sampled_from([0.5, 5.0, 31.0, 70.0]))
        left = draw(st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.75]))
        box = (left, 0.25, left + 0.125, 0.5)
        track = draw(st.integers(1, 3))
        present = frozenset(draw(st.sets(st.integers(1, 3)))) | held.keys() - {track}
        if track not in held:
            told.append((event(OPENED, second, track, epoch=epoch, box=box), present))
            held[track] = box
        elif draw(st.booleans()):
            told.append((event(UPDATED, second, track, epoch=epoch, box=box), present))
        elif draw(st.booleans()):
            cause = draw(st.sampled_from([Closing.CLEARED, Closing.LOST]))
            told.append((event(CLOSED, second, track, epoch=epoch, box=box, cause=cause), present))
            del held[track]
        else:
            cause = draw(st.sampled_from([Closing.STREAM_BROKE, Closing.SUPERSEDED, Closing.STREAM_ENDED]))
            for each, last in held.items():
                told.append((event(CLOSED, second, each, epoch=epoch, box=last, cause=cause), present))
            held.clear()
            epoch += 1
    return told


@given(stories())
def test_it_is_what_a_search_finds(story: list[tuple[Event, frozenset[int]]]) -> None:
    ours, theirs = book(), Search()
    open_now: dict[tuple[int, int | None], str | None] = {}
    for told, present in story:
        taken = ours.take(told, present)
        assert taken.incident == theirs.take(told, present)
        assert replace(taken, incident=None) == told
        face = (told.epoch, told.track)
        assert open_now.get(face, taken.incident) == taken.incident
        open_now[face] = taken.incident
        assert len(set(open_now.values())) == len(open_now), "two faces hold one incident"
        if told.kind is CLOSED:
            del open_now[face]


def test_twins_are_two_and_each_is_found_again_where_it_was() -> None:
    of = book()
    ids = {track: of.take(event(OPENED, 1, track, box=box)).incident for track, box in ((1, LEFT), (2, RIGHT))}
    assert len(set(ids.values())) == 2
    for track, box in ((1, LEFT), (2, RIGHT)):
        of.take(event(CLOSED, 20, track, box=box, cause=Closing.STREAM_BROKE))
    assert of.take(event(OPENED, 0, 1, epoch=1, box=RIGHT)).incident == ids[2]
    assert of.take(event(OPENED, 0, 2, epoch=1, box=LEFT)).incident == ids[1]
    assert of.take(event(OPENED, 0, 3, epoch=1, box=LEFT)).incident == "3", "both are held by open faces"


@pytest.mark.parametrize(("second", "same"), [(79.9, True), (81.0, False), (3600.0, False)])
def test_who_comes_back_late_is_somebody_new(second: float, same: bool) -> None:
    of = book()
    first = of.take(event(OPENED, 0, box=LEFT)).incident
    of.take(event(CLOSED, 20, box=LEFT, cause=Closing.LOST))
    assert (of.take(event(OPENED, second, 2, box=LEFT)).incident == first) is same


def test_the_same_track_is_the_same_person_at_any_time() -> None:
    of = book()
    first = of.take(event(OPENED, 0)).incident
    of.take(event(CLOSED, 20, cause=Closing.CLEARED))
    assert of.take(event(OPENED, 3600)).incident == first


def test_a_face_that_was_cleared_and_is_in_sight_is_somebody_else() -> None:
    of = book()
    of.take(event(OPENED, 0, 1, box=LEFT))
    of.take(event(CLOSED, 20, 1, box=LEFT, cause=Closing.CLEARED))
    assert of.take(event(OPENED, 25, 2, box=LEFT), present={1, 2}).incident == "2"


def test_another_source_shows_other_people() -> None:
    of = book()
    of.take(event(OPENED, 0, box=LEFT))
    of.take(event(CLOSED, 1, box=LEFT, cause=Closing.SUPERSEDED))
    assert of.take(event(OPENED, 2, epoch=1, box=LEFT)).incident == "2"


def test_what_an_earlier_process_knew() -> None:
    past = [
        PastIncident("far", START, Closing.LOST, RIGHT),
        PastIncident("near", START - timedelta(seconds=30), None, LEFT),
        PastIncident("old", START - timedelta(seconds=90), None, LEFT),
    ]
    of = IncidentBook(WITHIN, past)
    # Its track of the same number is not ours.
    assert of.take(event(OPENED, 5, 1, box=LEFT), present={1}).incident == "near"
    assert of.take(event(OPENED, 5, 2, box=LEFT)).incident == "far"
    assert of.take(event(OPENED, 5, 3)).incident not in {"near", "far", "old"}


def test_events_of_streams_and_strangers_stay_as_they_are() -> None:
    of = book()
    up = Event("x", EventKind.STREAM_UP, "door", 0, START)
    assert of.take(up) is up
    stranger = event(CLOSED, 1, cause=Closing.LOST, incident="theirs")
    assert of.take(stranger) is stranger
