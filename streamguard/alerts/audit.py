"""Audit trail in the alerts database: who viewed, marked or erased pictures of faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

import sqlalchemy as sa
from ulid import ULID

from streamguard.alerts.database import Database
from streamguard.alerts.formats import text
from streamguard.alerts.rows import insert
from streamguard.alerts.tables import audit
from streamguard.clock import utc

MOST_ENTRIES = 1_000_000


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Action of a caller.

    Attributes:
        at: UTC.
        who: the token's name; None where no token was needed.
        address: where the request came from.
        action: the operation, as the OpenAPI document names it.
        target: path of what it was done to.
        id: ULID.
    """

    at: datetime
    who: str | None
    address: str
    action: str
    target: str
    id: str = field(default_factory=lambda: str(ULID()))


class AuditLog:
    """The entries of one database.

    Args:
        database: the outbox's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, entries: Sequence[AuditEntry]) -> None:
        """Keep entries; those that are there already are not kept twice.

        Raises:
            OutboxError: none was kept.
        """
        rows = [
            {name: text(value) if isinstance(value, str) else value for name, value in asdict(each).items()}
            | {"at": each.at.timestamp()}
            for each in entries
        ]
        async with self._database.write() as connection:
            for row in rows:
                await connection.execute(insert(connection, audit).values(row).on_conflict_do_nothing())

    async def find(
        self,
        *,
        limit: int,
        who: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
    ) -> tuple[list[AuditEntry], str | None]:
        """Entries, newest first, and the cursor of the page after them.

        Args:
            limit: most entries returned, at least 1.
            who, action: only these.
            since, until: UTC; `since` is in, `until` is not.
            cursor: as returned for the page before.

        Raises:
            OutboxError: the database cannot be read.
        """
        query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit + 1)
        wanted = {audit.c.who: who, audit.c.action: action}
        query = query.where(*(column == text(value) for column, value in wanted.items() if value is not None))
        if since is not None:
            query = query.where(audit.c.at >= since.timestamp())
        if until is not None:
            query = query.where(audit.c.at < until.timestamp())
        if cursor is not None:
            query = query.where(audit.c.id < text(cursor))
        async with self._database.read() as connection:
            rows = (await connection.execute(query)).all()
        found = [AuditEntry(**{**row._mapping, "at": utc(row.at)}) for row in rows[:limit]]
        return found, found[-1].id if len(rows) > limit else None

    async def purge(self, before: float, most: int = MOST_ENTRIES) -> None:
        """Forget entries older than that (UTC epoch seconds), and the oldest beyond `most`.

        Raises:
            OutboxError: the database cannot be written.
        """
        async with self._database.write() as connection:
            await connection.execute(audit.delete().where(audit.c.at < before))
            newest = sa.select(audit.c.id).order_by(audit.c.id.desc())
            oldest = await connection.scalar(newest.offset(most).limit(1))
            if oldest is not None:
                await connection.execute(audit.delete().where(audit.c.id <= oldest))
