"""State machine of a rule for one incident or stream: an alert is raised, updated and cleared.

Times are UTC epoch seconds. The state is small, JSON-able and stored together with the event that changed it, so
that a process killed at any moment goes on where it was.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from streamguard.alerts.rules import Rule
from streamguard.types import Event, EventKind

CLOSING = {EventKind.FAKE_OPENED: EventKind.FAKE_CLOSED, EventKind.STREAM_DOWN: EventKind.STREAM_UP}
"""Closing event of each opening one."""
MOST_SPANS = 256
TOLERANCE = 1e-5
"""Seconds; epoch seconds as floats are exact to less than that."""


@dataclass(frozen=True, slots=True)
class Told:
    """Event to be sent now.

    Attributes:
        event: the event's id.
        kind: as what it is told: an update that first reaches the least score is told as the opening.
        flapping: told as the one for many.
    """

    event: str
    kind: EventKind
    flapping: bool = False


@dataclass(frozen=True, slots=True)
class RuleState:
    """The state for one subject of one subscription.

    Attributes:
        opened: the event whose opening still holds (it was not closed).
        since: since when the subject counts (opened, and strong enough); None while it does not.
        spans: earlier (start, end) of counting that may still lie in the window of M of N.
        raised: when the alert was raised; None while it is not.
        ended: when the subject last stopped counting.
        cleared: when the alert was last cleared.
        spoken: when the opening or an update was last told.
        raises: when alerts were raised, as far back as flapping counts.
        flapping: the raised alert was told as flapping.
        opening, update, closing: ids of events that wait to be told.
    """

    opened: str | None = None
    since: float | None = None
    spans: tuple[tuple[float, float], ...] = ()
    raised: float | None = None
    ended: float | None = None
    cleared: float | None = None
    spoken: float | None = None
    raises: tuple[float, ...] = ()
    flapping: bool = False
    opening: str | None = None
    update: str | None = None
    closing: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """Result of a step.

    Attributes:
        gate: the state after it; None when nothing needs to be remembered.
        told: what is to be told, in order.
        due: when the gate must be stepped again without an event; None when only an event can change it.
    """

    gate: RuleState | None
    told: tuple[Told, ...]
    due: float | None


def dump(gate: RuleState) -> dict[str, Any]:
    """The gate as JSON, without what is at its default."""
    return {name: value for name, value in asdict(gate).items() if value not in (None, (), False)}


def load(document: dict[str, Any]) -> RuleState:
    """The gate of a JSON document made by `dump`."""
    spans = tuple((start, end) for start, end in document.get("spans", ()))
    return RuleState(**{**document, "spans": spans, "raises": tuple(document.get("raises", ()))})


def step(rule: Rule, gate: RuleState | None, now: float, event: Event | None = None, *, face: bool = True) -> Step:
    """Take in one event, or none when time alone has passed.

    Args:
        rule: what is wanted; the caller has seen that it matches the stream. Every kind is handled here: which of
            them are sent is the caller's choice.
        gate: the state before; None at the first event.
        now: UTC epoch seconds; a time before the newest one of the state counts as that one (a clock set back).
        event: what happened to this face or stream.
        face: the subject is a face. For a stream, M of N and hold do not count.
    """
    gate = gate or RuleState()
    marks = (gate.since, gate.raised, gate.ended, gate.cleared, gate.spoken)
    now = max(now, *(mark for mark in marks if mark is not None), now)
    told: list[Told] = []
    quiet = rule.quiet_until(datetime.fromtimestamp(now, UTC))
    if event is not None:
        plain = event.kind is EventKind.STREAM_UP and gate.opened is None and gate.raised is None
        if plain or event.kind is EventKind.STREAM_DEGRADED:
            # Worth telling by itself; nothing is raised or cleared by it.
            if quiet is None:
                told.append(Told(event.id, event.kind))
        else:
            gate = _take(rule, gate, now, event, face)
    if quiet is None:
        gate = _speak(rule, gate, now, told, face)
    return _rest(rule, gate, now, tuple(told), face, quiet)


def _take(rule: Rule, gate: RuleState, now: float, event: Event, face: bool) -> RuleState:
    if event.kind in CLOSING.values():
        if gate.since is not None:
            spans = (*gate.spans, (gate.since, now))[-MOST_SPANS:]
            gate = replace(gate, spans=spans, ended=now)
        closing = event.id if gate.raised is not None else None
        return replace(gate, opened=None, since=None, opening=None, update=None, closing=closing)
    if event.kind in CLOSING:
        gate = replace(gate, opened=event.id)
    if gate.opened is None:
        return gate
    if gate.since is None and (not face or rule.strong(event)):
        return replace(gate, since=now, opening=event.id, closing=None)
    if gate.raised is not None and event.kind is EventKind.FAKE_UPDATED:
        return replace(gate, update=event.id)
    return gate


def _speak(rule: Rule, gate: RuleState, now: float, told: list[Told], face: bool) -> RuleState:
    """Return the event that may be sent at `now`."""
    opening = EventKind.FAKE_OPENED if face else EventKind.STREAM_DOWN
    if gate.raised is None and gate.opening is not None and _reached(_raise_at(rule, gate, now, face), now):
        raises = (*(at for at in gate.raises if now - at < rule.flap_seconds), now)
        flapping = len(raises) >= rule.flap_count
        told.append(Told(gate.opening, opening, flapping))
        gate = replace(gate, raised=now, spoken=now, raises=raises, flapping=flapping, opening=None, update=None)
    elif gate.update is not None and _reached(_update_at(rule, gate, now), now):
        told.append(Told(gate.update, EventKind.FAKE_UPDATED, gate.flapping))
        gate = replace(gate, spoken=now, update=None)
    if gate.raised is not None and gate.closing is not None and _reached(_clear_at(rule, gate, face), now):
        told.append(Told(gate.closing, CLOSING[opening], gate.flapping))
        gate = replace(gate, raised=None, cleared=now, flapping=False, closing=None)
    return gate


def _rest(rule: Rule, gate: RuleState, now: float, told: tuple[Told, ...], face: bool, quiet: datetime | None) -> Step:
    """Return the time of the gate's next step, and whether its state must be kept."""
    moments = []
    if gate.raised is None and gate.opening is not None:
        moments.append(_raise_at(rule, gate, now, face))
    if gate.update is not None:
        moments.append(_update_at(rule, gate, now))
    if gate.closing is not None:
        moments.append(_clear_at(rule, gate, face))
    if moments:
        due = min(moments)
        return Step(gate, told, max(due, quiet.timestamp()) if quiet is not None else due)
    if gate.raised is not None or gate.opened is not None:
        return Step(gate, told, None)
    forgotten = max(
        (gate.ended or 0.0) + (rule.within_seconds if face else 0.0),
        (gate.cleared or 0.0) + rule.cool_down_seconds,
        (gate.spoken or 0.0) + rule.update_seconds,
        (gate.raises[-1] if gate.raises else 0.0) + rule.flap_seconds,
    )
    return Step(None, told, None) if _reached(forgotten, now) else Step(gate, told, forgotten)


def _reached(moment: float, now: float) -> bool:
    return moment <= now + TOLERANCE


def _raise_at(rule: Rule, gate: RuleState, now: float, face: bool) -> float:
    moment = _counted_at(rule, gate, now) if face and rule.for_seconds else now
    return moment if gate.cleared is None else max(moment, gate.cleared + rule.cool_down_seconds)


def _update_at(rule: Rule, gate: RuleState, now: float) -> float:
    return now if gate.spoken is None else gate.spoken + rule.update_seconds


def _clear_at(rule: Rule, gate: RuleState, face: bool) -> float:
    assert gate.raised is not None
    held = gate.raised + (rule.hold_seconds if face else 0.0)
    return max(held, (gate.ended or gate.raised) + rule.flap_seconds) if gate.flapping else held


def _counted_at(rule: Rule, gate: RuleState, now: float) -> float:
    """The first moment from `now` on at which M of the last N seconds count, if the subject goes on counting.

    What counts in the window never falls while the subject counts: it gains a second each second, and loses at most
    one. Between the moments at which an earlier span's start or end leaves the window it grows evenly.
    """
    assert gate.since is not None
    spans = (*gate.spans, (gate.since, float("inf")))
    window = rule.within_seconds

    def counted(moment: float) -> float:
        return sum(max(0.0, min(end, moment) - max(start, moment - window)) for start, end in spans)

    edges = sorted({edge + window for span in gate.spans for edge in span if edge + window > now})
    moments = [now, *edges, max([now, gate.since, *edges]) + window]
    for start, end in pairwise(moments):
        low, high = counted(start), counted(end)
        if low >= rule.for_seconds - TOLERANCE:
            return start
        if high >= rule.for_seconds - TOLERANCE:
            return start + (rule.for_seconds - low)
    return moments[-1]
