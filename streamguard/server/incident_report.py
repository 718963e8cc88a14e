"""An incident as a self-contained page to read, print and pass on; and why it was judged so, in sentences."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime

from streamguard.alerts import Incident, Mark, Sample
from streamguard.alerts.formats import NOTICE
from streamguard.pipeline.guard import Guard
from streamguard.provenance import Credentials, credentials_told
from streamguard.report import render_page
from streamguard.types import Closing, Event, EventKind

MOST_EVENTS = 50
"""Events that a report lists."""
_GAP = 10.0
"""Seconds without a sample, beside what samples are apart, after which the line is broken."""
_CLOSED = {
    Closing.CLEARED: "It was cleared: the face was judged, and is no longer called fake.",
    Closing.LOST: "It is not cleared: the face was lost from sight.",
    Closing.STREAM_BROKE: "It is not cleared: the stream, or the server, was interrupted.",
    Closing.STREAM_ENDED: "It is not cleared: the stream ended.",
    Closing.SUPERSEDED: "It is not cleared: the stream was given another source.",
}
_MARKS = {Mark.CONFIRMED: "confirmed as fake", Mark.FALSE_ALARM: "false alarm", None: "not looked at yet"}
_KINDS = {EventKind.FAKE_OPENED: "opened", EventKind.FAKE_UPDATED: "goes on", EventKind.FAKE_CLOSED: "closed"}
_CAPTIONS = {
    "picture": "The frame",
    "mask": "The same, what looks manipulated painted",
    "face": "The face as the network saw it",
}


def explanation(incident: Incident, guard: Guard | None) -> list[str]:
    """Return the reasons for the verdict, in sentences.

    Args:
        incident: what is explained.
        guard: judges with the detector of the incident; None where that is here no more.
    """
    told = []
    if guard is not None:
        spec = guard.spec
        told.append(
            "The network looks for manipulated pixels in the face and nothing else: no sound, no background, no "
            f"identity. A frame counts as fake where one connected patch of more than {spec.smallest_component} pixels "
            f"(of 256 x 256 around the face) is above {spec.threshold:.0%}."
        )
        told.append(
            f"Faces below {spec.smallest_face:g} pixels, or too blurred or cut off, are not judged and do not count."
        )
    share = f"At the worst moment {incident.share:.0%} of the judged frames in the window were fake"
    told.append(f"{share}, with a mean score of {incident.score:.2f} (highest).")
    if incident.judged:
        told.append(f"While it was called fake {incident.judged} frames were judged, {incident.fake} of them fake.")
    if incident.openings > 1:
        told.append(f"It opened {incident.openings} times, and was taken for the same person each time.")
    told.append(
        "No detector sees every kind of fake: kinds it was not taught, strong compression and filters are missed, or "
        f"taken for fakes. How often is on the card of {incident.model.partition('@')[0] or 'the detector'}."
    )
    told.append(_CLOSED[incident.cause] if incident.cause else "It is still open.")
    return told


def incident_report(
    incident: Incident,
    events: Sequence[Event],
    samples: Sequence[Sample],
    pictures: Sequence[tuple[Event, dict[str, bytes]]],
    guard: Guard | None,
    credentials: Credentials | None = None,
) -> str:
    """The page, as HTML. Takes milliseconds: keep it off the loop.

    Args:
        incident: what is reported.
        events: its events, oldest first.
        samples: its score over time.
        pictures: JPEG by kind, of those events that have some.
        guard: as for `explanation`.
        credentials: of the file that the stream plays; None where it plays none.
    """
    facts = [
        ("Incident", incident.id),
        ("State", "closed" if incident.closed else "open"),
        ("Opened", _moment(incident.opened)),
        ("Closed", _moment(incident.closed) if incident.closed else "-"),
        ("Highest score", f"{incident.score:.2f}"),
        ("Fake frames", f"{incident.fake} of {incident.judged} judged" if incident.judged else f"{incident.share:.0%}"),
        ("Detector", incident.model),
        ("Engine", incident.engine),
    ]
    marked = _MARKS[incident.mark]
    if incident.marked_at is not None and incident.mark is not None:
        marked = f"{marked} ({_moment(incident.marked_at)}{f', {incident.marked_by}' if incident.marked_by else ''})"
    rows = [
        (_moment(each.at), _KINDS.get(each.kind, each.kind.value), _seconds(each), _number(each.score), each.detail)
        for each in events[-MOST_EVENTS:]
    ]
    shown = [
        (f"{_CAPTIONS[kind]}, {_moment(event.at)}", _inlined(jpeg))
        for event, found in pictures
        for kind, jpeg in found.items()
    ]
    return render_page(
        "incident.html",
        title=f"Incident in {incident.stream}",
        heading=f"A face called fake in “{incident.stream}”",
        facts=facts,
        notice=NOTICE,
        mark=marked,
        note=incident.note,
        explanation=explanation(incident, guard),
        credentials=credentials_told(credentials) if credentials is not None else None,
        runs=_runs(samples),
        span=(_moment(_utc(samples[0].at)), _moment(_utc(samples[-1].at))) if samples else None,
        pictures=shown,
        rows=rows,
        left_out=max(0, len(events) - MOST_EVENTS),
    )


def _runs(samples: Sequence[Sample]) -> list[list[tuple[float, float]]]:
    """Lines of (place 0..1 in time, score), broken where the face was not judged."""
    if not samples:
        return []
    first, last = samples[0].at, samples[-1].at
    length = max(last - first, 1.0)
    apart = length / len(samples)
    runs: list[list[tuple[float, float]]] = []
    before = None
    for each in samples:
        if before is None or each.at - before > _GAP + 2 * apart:
            runs.append([])
        runs[-1].append(((each.at - first) / length, each.score))
        before = each.at
    return runs


def _inlined(jpeg: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _seconds(event: Event) -> str:
    return f"{event.time:.1f} s" if event.time is not None else "-"


def _number(value: float | None) -> str:
    return f"{value:.2f}" if value is not None else "-"
