"""When alerts are raised, kept up and cleared: checked second by second against a plain recount."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.alerts import QuietHours, Rule, read_rule
from streamguard.alerts.rule_state import RuleState, Told, dump, load, step
from streamguard.errors import SubscriptionError
from streamguard.types import Event, EventKind
from tests.alerts.conftest import START
from tests.alerts.tools import event

OPENED, UPDATED, CLOSED = EventKind.FAKE_OPENED, EventKind.FAKE_UPDATED, EventKind.FAKE_CLOSED
LENGTH = 900
"""Seconds looked at."""


def run(rule: Rule, events: list[Event], until: float) -> list[tuple[float, Told]]:
    """Everything told, with its time: events at theirs, time passing exactly when the gate asked for it."""
    told: list[tuple[float, Told]] = []
    gate: RuleState | None = None
    due: float | None = None
    queue = sorted(events, key=lambda one: one.at)
    while True:
        now = queue[0].at.timestamp() if queue else until
        if due is not None and due < now:
            done = step(rule, gate, due)
            assert done.due is None or done.due > due, "a step without progress"
            now = due
        elif queue:
            done = step(rule, gate, now, queue.pop(0))
        else:
            return told
        told += [(now, one) for one in done.told]
        gate, due = load(dump(done.gate)) if done.gate is not None else None, done.due


@dataclass
class Recount:
    """The same, counted anew for every second from the whole history."""

    rule: Rule
    fake: list[bool]
    """Whether the face counts as fake from second n to n + 1."""

    def told(self) -> list[tuple[int, str]]:
        """(second, opened or closed), flapping written in capitals."""
        told: list[tuple[int, str]] = []
        raised: int | None = None
        cleared: int | None = None
        flapping = False
        raises: list[int] = []
        for now in range(len(self.fake)):
            if self.rule.quiet_until(datetime.fromtimestamp(START + now, UTC)):
                continue
            if raised is None and self.fake[now] and self._counts(now) and self._cool(cleared, now):
                raises = [one for one in raises if now - one < self.rule.flap_seconds] + [now]
                flapping = len(raises) >= self.rule.flap_count
                raised = now
                told.append((now, "OPENED" if flapping else "opened"))
            elif raised is not None and not self.fake[now] and now - raised >= self.rule.hold_seconds:
                calm = next(n for n in range(now, -1, -1) if n == 0 or self.fake[n - 1])
                if not flapping or now - calm >= self.rule.flap_seconds:
                    told.append((now, "CLOSED" if flapping else "closed"))
                    raised, cleared = None, now
        return told

    def _counts(self, now: int) -> bool:
        window = self.fake[max(0, now - int(self.rule.within_seconds)) : now]
        return sum(window) >= self.rule.for_seconds

    def _cool(self, cleared: int | None, now: int) -> bool:
        return cleared is None or now - cleared >= self.rule.cool_down_seconds


whole = st.integers
rules = st.builds(
    lambda need, more, **rest: Rule(for_seconds=need, within_seconds=need + more, **rest),
    need=whole(0, 20),
    more=whole(0, 30),
    hold_seconds=whole(0, 60),
    cool_down_seconds=whole(0, 60),
    flap_count=whole(2, 5),
    flap_seconds=whole(0, 200),
    quiet=st.lists(
        st.builds(
            lambda start, length: QuietHours(start=f"12:{start:02}", end=f"12:{start + length:02}"),
            whole(0, 9),
            whole(1, 5),
        ),
        max_size=2,
    ).map(tuple),
)
# Lengths of being fake and not, in turns.
spells = st.lists(st.tuples(whole(1, 40), whole(1, 60)), min_size=1, max_size=8)


@given(rules, spells, whole(0, 10))
def test_as_a_recount_of_every_second(rule: Rule, turns: list[tuple[int, int]], start: int) -> None:
    fake = [False] * start
    events = []
    for on, off in turns:
        events.append(event("fake.opened", START + len(fake)))
        fake += [True] * on
        events.append(event("fake.closed", START + len(fake)))
        fake += [False] * off
    fake += [False] * (LENGTH - len(fake))
    told = [
        (round(at - START), one.kind.value.removeprefix("fake.").upper() if one.flapping else one.kind.value[5:])
        for at, one in run(rule, events, START + LENGTH - 0.5)
    ]
    assert told == Recount(rule, fake).told()


@given(rules, st.lists(st.tuples(st.sampled_from([OPENED, UPDATED, CLOSED]), st.floats(0.0, 90.0)), max_size=30))
def test_what_is_told_always_makes_sense(rule: Rule, moves: list[tuple[EventKind, float]]) -> None:
    now, events = START, []
    for kind, wait in moves:
        now += wait
        events.append(event(kind, now))
    told = run(rule, events, now + 2 * 86400)
    assert [at for at, _ in told] == sorted(at for at, _ in told)
    openings = [one for _, one in told if one.kind is not UPDATED]
    assert [one.kind for one in openings] == [(OPENED, CLOSED)[n % 2] for n in range(len(openings))]
    raised = False
    for _, one in told:
        assert one.kind is OPENED or raised, "only what was opened is updated or closed"
        raised = one.kind is not CLOSED
    spoken = [at for at, one in told if one.kind is UPDATED]
    assert all(later - earlier >= 60 - 1e-4 for earlier, later in pairwise(spoken))
    assert len({one.event for _, one in told}) == len(told), "nothing is told twice"
    assert not any(rule.quiet_until(datetime.fromtimestamp(at, UTC)) for at, _ in told)


def test_updates_come_once_a_minute_and_the_newest_counts() -> None:
    events = [event("fake.opened", START)]
    events += [event("fake.updated", START + n) for n in range(10, 200, 10)]
    told = run(Rule(), events, START + 300)
    assert [round(at - START) for at, _ in told] == [0, 60, 120, 180, 240]
    assert [one.event for _, one in told][1] == events[6].id


def test_the_least_score_and_share_open() -> None:
    rule = Rule(least_score=0.8, least_share=0.5)
    weak, strong = event("fake.opened", START, score=0.7), event("fake.updated", START + 5, score=0.85)
    closed = event("fake.closed", START + 9, score=0.1)
    told = run(rule, [weak, strong, closed], START + 60)
    assert [(one.event, one.kind) for _, one in told] == [(strong.id, OPENED), (closed.id, CLOSED)]
    assert run(rule, [weak, closed], START + 60) == []
    assert run(rule, [replace(strong, kind=OPENED, share=0.4)], START + 60) == []


def test_flapping_is_told_once() -> None:
    events = []
    for n in range(30):
        events += [event("fake.opened", START + 4 * n), event("fake.closed", START + 4 * n + 2)]
    told = run(Rule(flap_count=3, flap_seconds=60.0), events, START + 1000)
    assert [(round(at - START), one.kind, one.flapping) for at, one in told] == [
        (0, OPENED, False),
        (2, CLOSED, False),
        (4, OPENED, False),
        (6, CLOSED, False),
        (8, OPENED, True),
        (4 * 29 + 2 + 60, CLOSED, True),
    ]


def test_a_stream_that_comes_and_goes() -> None:
    kinds = tuple(EventKind)
    rule = Rule(kinds=kinds, for_seconds=10.0, flap_count=3, flap_seconds=60.0)
    gate, told = None, []
    moves = ["stream.up", "stream.down", "stream.up", "stream.down", "stream.up", *["stream.down", "stream.up"] * 5]
    for n, kind in enumerate(moves):
        done = step(rule, gate, START + n, event(kind, START + n), face=False)
        gate = done.gate
        told += [(one.kind.value, one.flapping) for one in done.told]
    assert told == [(kind, False) for kind in moves[:5]] + [("stream.down", True)]
    assert done.due is not None
    assert [one.kind for one in step(rule, gate, done.due, face=False).told] == [EventKind.STREAM_UP]


def test_quiet_hours_over_midnight_and_by_the_day() -> None:
    hours = QuietHours(days=("fri",), start="22:00", end="06:00", zone="Europe/Warsaw")
    # 2026-03-06 is a Friday; Warsaw is an hour ahead of UTC.
    assert hours.until(datetime(2026, 3, 6, 20, 59, tzinfo=UTC)) is None
    end = datetime(2026, 3, 7, 5, 0, tzinfo=UTC)
    assert hours.until(datetime(2026, 3, 6, 21, 0, tzinfo=UTC)) == end
    assert hours.until(datetime(2026, 3, 7, 4, 59, tzinfo=UTC)) == end
    assert hours.until(end) is None
    assert hours.until(datetime(2026, 3, 7, 22, 0, tzinfo=UTC)) is None
    assert QuietHours(start="00:00", end="00:00").until(START_OF_DAY) == datetime(2026, 3, 3, tzinfo=UTC)


START_OF_DAY = datetime(2026, 3, 2, tzinfo=UTC)


def test_quiet_hours_when_the_clocks_change() -> None:
    """In the night of 2026-03-29 Warsaw skips from 02:00 to 03:00."""
    hours = QuietHours(start="22:00", end="06:00", zone="Europe/Warsaw")
    assert hours.until(datetime(2026, 3, 28, 22, 0, tzinfo=UTC)) == datetime(2026, 3, 29, 4, 0, tzinfo=UTC)


def test_periods_that_meet_are_one() -> None:
    rule = Rule(quiet=(QuietHours(start="12:00", end="13:00"), QuietHours(start="12:30", end="14:00")))
    assert rule.quiet_until(datetime(2026, 3, 2, 12, 10, tzinfo=UTC)) == datetime(2026, 3, 2, 14, 0, tzinfo=UTC)


def test_what_began_in_quiet_hours_is_told_at_their_end() -> None:
    rule = Rule(quiet=(QuietHours(start="12:00", end="12:10"),))
    stays, goes = event("fake.opened", START + 10), event("fake.opened", START + 10)
    assert [(round(at - START), one.event) for at, one in run(rule, [stays], START + 3600)] == [(600, stays.id)]
    assert run(rule, [goes, event("fake.closed", START + 20)], START + 3600) == []


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"streams": []}, "streams: name at least one pattern"),
        ({"kinds": []}, "kinds: name each kind once, and at least one"),
        ({"kinds": ["fake.maybe"]}, "kinds.0"),
        ({"least_score": 1.5}, "least_score"),
        ({"least_share": float("nan")}, "least_share"),
        ({"for_seconds": 5, "within_seconds": 4}, "within_seconds: at least for_seconds are needed"),
        ({"update_seconds": 59}, "update_seconds"),
        ({"quiet": [{"start": "25:00", "end": "06:00"}]}, "quiet.0.start: write the time as HH:MM"),
        ({"quiet": [{"start": "22:00", "end": "06:00", "zone": "Mars/Olympus"}]}, "quiet.0.zone"),
        ({"quiet": [{"start": "22:00", "end": "06:00", "days": ["someday"]}]}, "quiet.0.days"),
        ([], "valid dictionary"),
        (None, "valid dictionary"),
    ],
)
def test_a_wrong_rule_is_refused(document: object, told: str) -> None:
    with pytest.raises(SubscriptionError) as caught:
        read_rule(document)
    assert told in caught.value.cause
    assert caught.value.remedy


@given(rules)
def test_a_rule_survives_being_stored(rule: Rule) -> None:
    assert Rule.model_validate_json(rule.model_dump_json()) == rule


def test_which_streams() -> None:
    rule = Rule(streams=("door-*", "hall"))
    assert rule.matches("door-1")
    assert rule.matches("hall")
    assert not rule.matches("Hall")
    assert not rule.matches("garage")
