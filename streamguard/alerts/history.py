"""Events and incidents of the database: searched, marked and erased."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

import sqlalchemy as sa

from streamguard.alerts.database import Database
from streamguard.alerts.documents import dump_event, load_event
from streamguard.alerts.fencing import NO_FENCES, Fence, fallen
from streamguard.alerts.formats import text
from streamguard.alerts.incident_rows import Incident, Mark, Samples, incident_of, load_samples, write_samples
from streamguard.alerts.tables import events, incident_scores, incidents
from streamguard.clock import Clock, wall_clock
from streamguard.errors import UnknownIncident
from streamguard.types import Event, EventKind

MOST_EVENTS = 1000
"""Of one incident, or after one event."""
MOST_NOTE = 2000
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Search:
    """Which incidents.

    Attributes:
        stream: of this one only.
        since, until: only those that were open at some time within; `since` is in, `until` is not. UTC.
        least_score: only those whose highest score reaches it.
        state: only those that are open, or closed.
        mark: only those marked so; `none` for those not marked.
    """

    stream: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    least_score: float = 0.0
    state: Literal["open", "closed"] | None = None
    mark: Mark | Literal["none"] | None = None

    def clauses(self) -> list[sa.ColumnElement[bool]]:
        """The conditions on the table."""
        of, wanted = incidents.c, [incidents.c.score >= self.least_score]
        if self.stream is not None:
            wanted.append(of.stream == text(self.stream))
        if self.since is not None:
            wanted.append(of.updated >= self.since.timestamp())
        if self.until is not None:
            wanted.append(of.opened < self.until.timestamp())
        if self.state is not None:
            wanted.append(of.closed.is_(None) if self.state == "open" else of.closed.is_not(None))
        if self.mark is not None:
            wanted.append(of.mark.is_(None) if self.mark == "none" else of.mark == self.mark.value)
        return wanted


class History:
    """Events and incidents of one database. Cursors are opaque; one that is not understood gives nothing.

    Args:
        database: the outbox's.
        clock: UTC epoch seconds.

    Attributes:
        marks: incidents by mark, as counted last.
    """

    def __init__(self, database: Database, *, clock: Clock = wall_clock) -> None:
        self._database, self._clock = database, clock
        self.marks: Mapping[Mark, int] = dict.fromkeys(Mark, 0)

    async def events(
        self,
        *,
        limit: int,
        stream: str | None = None,
        kind: EventKind | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
    ) -> tuple[list[Event], str | None]:
        """Events, newest first, and the cursor of the page after them.

        Args:
            limit: most events returned, at least 1.
            stream, kind: only these.
            since, until: UTC; `since` is in, `until` is not.
            cursor: as returned for the page before.

        Raises:
            OutboxError: the database cannot be read.
        """
        query = sa.select(events.c.document).order_by(events.c.at.desc(), events.c.id.desc())
        if stream is not None:
            query = query.where(events.c.stream == text(stream))
        if kind is not None:
            query = query.where(events.c.kind == kind.value)
        if since is not None:
            query = query.where(events.c.at >= since.timestamp())
        if until is not None:
            query = query.where(events.c.at < until.timestamp())
        if cursor is not None:
            query = query.where(_beyond(cursor, events.c.at, events.c.id))
        async with self._database.read() as connection:
            rows = (await connection.execute(query.limit(limit + 1))).all()
        found = [load_event(row.document) for row in rows[:limit]]
        return found, _cursor(found[-1].at, found[-1].id) if len(rows) > limit else None

    async def event(self, id: str) -> Event | None:
        """The event of that id, if it is still kept."""
        async with self._database.read() as connection:
            document = await connection.scalar(sa.select(events.c.document).where(events.c.id == text(id)))
        return load_event(document) if document is not None else None

    async def after(self, id: str, stream: str) -> list[Event]:
        """The stream's events after the one with that id, oldest first; where it is not kept, all. The newest 1,000."""
        query = sa.select(events.c.document).where(events.c.stream == text(stream))
        query = query.order_by(events.c.at.desc(), events.c.id.desc()).limit(MOST_EVENTS)
        async with self._database.read() as connection:
            at = await connection.scalar(sa.select(events.c.at).where(events.c.id == text(id)))
            if at is not None:
                later = (events.c.at > at) | ((events.c.at == at) & (events.c.id > text(id)))
                query = query.where(later)
            rows = (await connection.execute(query)).all()
        return [load_event(row.document) for row in reversed(rows)]

    async def incidents(
        self, search: Search, *, limit: int, cursor: str | None = None
    ) -> tuple[list[Incident], str | None]:
        """Incidents, the one that opened last first, and the cursor of the page after them.

        Raises:
            OutboxError: the database cannot be read.
        """
        query = sa.select(incidents).where(*search.clauses())
        if cursor is not None:
            query = query.where(_beyond(cursor, incidents.c.opened, incidents.c.id))
        query = query.order_by(incidents.c.opened.desc(), incidents.c.id.desc()).limit(limit + 1)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        found = [incident_of(row) for row in rows[:limit]]
        return found, _cursor(found[-1].opened, found[-1].id) if len(rows) > limit else None

    async def every(self, search: Search) -> AsyncGenerator[Incident, None]:
        """All incidents found, in the same order, read page by page."""
        cursor, more = None, True
        while more:
            found, cursor = await self.incidents(search, limit=_PAGE, cursor=cursor)
            for each in found:
                yield each
            more = cursor is not None

    async def incident(self, id: str) -> Incident:
        """The incident of that id.

        Raises:
            UnknownIncident: there is none, or it is kept no more.
            OutboxError: the database cannot be read.
        """
        async with self._database.read() as connection:
            row = (await connection.execute(sa.select(incidents).where(incidents.c.id == text(id)))).one_or_none()
        if row is None:
            raise UnknownIncident(f"incident `{id}`", "there is none of that id, or it is no longer kept", "list them")
        return incident_of(row)

    async def events_of(self, incident: str) -> list[Event]:
        """An incident's events, oldest first; the newest 1,000."""
        query = sa.select(events.c.document).where(events.c.incident == text(incident))
        query = query.order_by(events.c.at.desc(), events.c.id.desc()).limit(MOST_EVENTS)
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        return [load_event(row.document) for row in reversed(rows)]

    async def openings(self, incidents: Sequence[str]) -> list[Event]:
        """The `fake.opened` of the incidents, oldest first; the newest 1,000."""
        query = sa.select(events.c.document).where(events.c.incident.in_([text(each) for each in incidents]))
        query = query.where(events.c.kind == EventKind.FAKE_OPENED.value)
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(events.c.at.desc()).limit(MOST_EVENTS))).all()
        return [load_event(row.document) for row in reversed(rows)]

    async def samples(self, incident: str) -> Samples:
        """An incident's score over time; none where it has just opened."""
        query = sa.select(incident_scores.c.samples).where(incident_scores.c.incident == text(incident))
        async with self._database.read() as connection:
            return load_samples(await connection.scalar(query))

    async def recent(self, stream: str, since: datetime) -> list[Incident]:
        """The stream's incidents that are open, or have been heard of since (UTC), oldest first; the newest 64."""
        of = incidents.c
        query = sa.select(incidents).where(of.stream == text(stream))
        query = query.where(of.closed.is_(None) | (of.updated >= since.timestamp()))
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(of.updated.desc()).limit(64))).all()
        return [incident_of(row) for row in reversed(rows)]

    async def save_samples(self, openings: Mapping[str, Samples], fences: Mapping[str, Fence] = NO_FENCES) -> None:
        """Keep the scores over time of incidents, each since it last opened; what was kept of that time is replaced.

        Args:
            openings: incident -> its samples.
            fences: incident -> what must hold for them to be kept.

        Raises:
            OutboxError: nothing was changed.
        """
        async with self._database.write() as connection:
            late = await fallen(connection, set(fences.values()))
            for incident in sorted(each for each in openings if fences.get(each) not in late):
                await write_samples(connection, incident, openings[incident])

    async def mark(self, id: str, changes: Mapping[str, str | None], by: str | None) -> Incident:
        """Say what an incident was.

        Args:
            id: of the incident.
            changes: what is to be different: `mark`, a `Mark` or None; `note`, up to 2,000 characters.
            by: who says so.

        Raises:
            UnknownIncident: there is none, or it is kept no more.
            OutboxError: the database cannot be written.
        """
        values: dict[str, Any] = {"marked_by": by, "marked_at": self._clock()}
        if "mark" in changes:
            wanted = changes["mark"]
            values["mark"] = Mark(wanted).value if wanted is not None else None
        if "note" in changes:
            values["note"] = text(changes["note"] or "")[:MOST_NOTE]
        async with self._database.write() as connection:
            await connection.execute(incidents.update().where(incidents.c.id == text(id)).values(**values))
        await self.count_marks()
        return await self.incident(id)

    async def count_marks(self) -> None:
        """Bring `marks` up to date."""
        query = sa.select(incidents.c.mark, sa.func.count()).where(incidents.c.mark.is_not(None))
        async with self._database.read() as connection:
            found = {row[0]: row[1] for row in await connection.execute(query.group_by(incidents.c.mark))}
        self.marks = {mark: found.get(mark.value, 0) for mark in Mark}

    async def forget_evidence(self, stream: str) -> None:
        """The stream's evidence was erased: its events name none any more."""
        query = sa.select(events.c.id, events.c.document).where(events.c.stream == text(stream))
        query = query.where(events.c.kind == EventKind.FAKE_OPENED.value)
        async with self._database.write() as connection:
            for row in (await connection.execute(query)).all():
                event = load_event(row.document)
                if event.evidence:
                    bare = dump_event(replace(event, evidence=()))
                    await connection.execute(events.update().where(events.c.id == row.id).values(document=bare))

    async def erase(self, stream: str) -> int:
        """Forget the stream's closed incidents and their events; how many incidents.

        Raises:
            OutboxError: nothing was changed.
        """
        over = (incidents.c.stream == text(stream)) & incidents.c.closed.is_not(None)
        async with self._database.write() as connection:
            ids = sa.select(incidents.c.id).where(over)
            await connection.execute(events.delete().where(events.c.incident.in_(ids)))
            gone = (await connection.execute(incidents.delete().where(over))).rowcount
        await self.count_marks()
        return gone

    async def trim(self, most: int) -> None:
        """Forget the oldest events and closed incidents beyond `most` of each: for a database in memory."""
        async with self._database.write() as connection:
            for table, time in ((events, events.c.at), (incidents, incidents.c.opened)):
                oldest = await connection.scalar(sa.select(time).order_by(time.desc()).offset(most).limit(1))
                if oldest is not None:
                    over = (time <= oldest) if table is events else (time <= oldest) & incidents.c.closed.is_not(None)
                    await connection.execute(table.delete().where(over))


def _cursor(at: datetime, id: str) -> str:
    return f"{at.timestamp()!r}_{id}"


def _beyond(cursor: str, time: sa.ColumnElement[float], id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    moment, _, last = cursor.partition("_")
    try:
        at = float(moment)
    except ValueError:
        return sa.false()
    if not math.isfinite(at):
        return sa.false()
    return (time < at) | ((time == at) & (id < text(last)))
