"""Incidents as rows: written in the transaction of the events they are made of."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from ulid import ULID

from streamguard.alerts.formats import text
from streamguard.alerts.rows import insert
from streamguard.alerts.tables import incident_scores, incidents
from streamguard.clock import utc
from streamguard.types import Box, Closing, Event, EventKind

MOST_SAMPLES = 600
"""Of one incident."""
INTERRUPTED = "the server or the stream was interrupted while the face was called fake"


class Mark(StrEnum):
    """Review of an incident by a person."""

    CONFIRMED = "confirmed"
    FALSE_ALARM = "false_alarm"


@dataclass(frozen=True, slots=True)
class Sample:
    """Verdicts of a face within about a second.

    Attributes:
        at: UTC epoch seconds.
        epoch, time: the connection, and media seconds within it.
        score: mean calibrated fake probability of its judged frames, 0..1.
        judged, fake: frames, at least 1 and 0.
    """

    at: float
    epoch: int
    time: float
    score: float
    judged: int
    fake: int


Samples: TypeAlias = tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Incident:
    """One person called fake in one stream.

    Attributes:
        id: ULID.
        stream: the stream's name.
        opened, updated: when it first opened and was last heard of, UTC.
        closed, cause: when and why it closed; None while it is open.
        openings: how often it opened: once, and each time it was taken up again.
        epoch, track, box: of the newest event.
        opened_time, time: media seconds, of the first opening and the newest event, each within its connection.
        score, share: the highest of its events, 0..1.
        judged, fake: frames of the face while it was called fake.
        model, engine: what judged.
        mark, note: what a person said; None and empty before.
        marked_by, marked_at: who and when, UTC; None where nobody has, or where nobody is told apart.
    """

    id: str
    stream: str
    opened: datetime
    updated: datetime
    closed: datetime | None
    cause: Closing | None
    openings: int
    epoch: int
    track: int
    opened_time: float | None
    time: float | None
    box: Box | None
    score: float
    share: float
    judged: int
    fake: int
    model: str
    engine: str
    mark: Mark | None
    note: str
    marked_by: str | None
    marked_at: datetime | None


def incident_of(row: sa.Row[Any]) -> Incident:
    """The incident of a row of the table."""
    values = dict(row._mapping)
    for name in ("opened", "updated", "closed", "marked_at"):
        values[name] = utc(values[name]) if values[name] is not None else None
    values["cause"] = Closing(values["cause"]) if values["cause"] else None
    values["mark"] = Mark(values["mark"]) if values["mark"] else None
    values["box"] = tuple(json.loads(values["box"])) if values["box"] else None
    return Incident(**values)


async def write_incident(connection: AsyncConnection, event: Event) -> None:
    """Open, change or close the incident of a face's event; other events change nothing."""
    if event.incident is None or event.track is None:
        return
    opens, closes = event.kind is EventKind.FAKE_OPENED, event.kind is EventKind.FAKE_CLOSED
    at = event.at.timestamp()
    row = {
        "id": event.incident,
        "stream": text(event.stream),
        "opened": at,
        "updated": at,
        "closed": at if closes else None,
        "cause": event.cause.value if closes and event.cause else None,
        "openings": int(opens),
        "epoch": event.epoch,
        "track": event.track,
        "opened_time": event.time,
        "time": event.time,
        "box": json.dumps(event.box) if event.box else None,
        "score": event.score or 0.0,
        "share": event.share or 0.0,
        "judged": 0,
        "fake": 0,
        "model": text(event.model),
        "engine": text(event.engine),
        "note": "",
    }
    statement = insert(connection, incidents).values(row)
    new, old = statement.excluded, incidents.c
    newest = ("closed", "cause", "epoch", "track", "time", "model", "engine")
    changed: dict[str, sa.ColumnElement[Any]] = {name: new[name] for name in newest}
    changed["box"] = sa.func.coalesce(new.box, old.box)
    for name in ("updated", "score", "share"):
        changed[name] = sa.case((new[name] > old[name], new[name]), else_=old[name])
    changed["openings"] = old.openings + new.openings
    await connection.execute(statement.on_conflict_do_update(index_elements=[old.id], set_=changed))


async def write_samples(connection: AsyncConnection, incident: str, samples: Samples) -> None:
    """Keep the samples of an incident since it last opened; those of earlier openings stay, thinned where too many.

    An incident that is not there is left alone.
    """
    if not samples:
        return
    query = sa.select(incident_scores.c.samples).where(incident_scores.c.incident == incident).with_for_update()
    before = [one for one in load_samples(await connection.scalar(query)) if one.at < round(samples[0].at, 2)]
    # Each for itself, so that what comes again is known by its time.
    room = max(MOST_SAMPLES - len(samples), MOST_SAMPLES // 2)
    whole = (*thinned(before, room), *thinned(samples, max(MOST_SAMPLES - len(before), MOST_SAMPLES // 2)))
    last = samples[-1].at
    values = {
        "judged": sum(one.judged for one in whole),
        "fake": sum(one.fake for one in whole),
        "updated": sa.case((incidents.c.updated < last, last), else_=incidents.c.updated),
    }
    done = await connection.execute(incidents.update().where(incidents.c.id == incident).values(**values))
    if done.rowcount:
        statement = insert(connection, incident_scores).values(incident=incident, samples=dump_samples(whole))
        new = {"samples": statement.excluded.samples}
        await connection.execute(statement.on_conflict_do_update(index_elements=[incident_scores.c.incident], set_=new))


def thinned(samples: Sequence[Sample], most: int) -> Samples:
    """Samples, at most so many: neighbours are joined in pairs until they fit."""
    kept = list(samples)
    while len(kept) > most:
        kept = [joined(*kept[n : n + 2]) for n in range(0, len(kept), 2)]
    return tuple(kept)


def joined(first: Sample, *others: Sample) -> Sample:
    """One sample of the frames of several, at the first one's time."""
    every = (first, *others)
    judged = sum(one.judged for one in every)
    score = sum(one.score * one.judged for one in every) / judged
    return replace(first, score=score, judged=judged, fake=sum(one.fake for one in every))


def dump_samples(samples: Sequence[Sample]) -> str:
    """Samples as stored."""
    rows = [
        [round(one.at, 2), one.epoch, round(one.time, 2), round(one.score, 4), one.judged, one.fake] for one in samples
    ]
    return json.dumps(rows, separators=(",", ":"))


def load_samples(document: str | None) -> Samples:
    """Samples as stored by `dump_samples`."""
    return tuple(Sample(*row) for row in json.loads(document)) if document else ()


def interrupted(left: Incident, at: datetime) -> Event:
    """The closing of an incident that its stream, or server, left open."""
    return Event(
        id=str(ULID()),
        kind=EventKind.FAKE_CLOSED,
        stream=left.stream,
        epoch=left.epoch,
        at=at,
        track=left.track,
        time=left.time,
        score=left.score,
        share=left.share,
        model=left.model,
        engine=left.engine,
        detail=INTERRUPTED,
        cause=Closing.STREAM_BROKE,
        incident=left.id,
        box=left.box,
    )
