"""Streams that were added to a running server, kept over its restart."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from streamguard.alerts.database import Database
from streamguard.alerts.keys import Sealer
from streamguard.alerts.rows import insert
from streamguard.alerts.tables import kept_streams
from streamguard.clock import Clock, wall_clock


@dataclass(frozen=True, slots=True)
class KeptStream:
    """One of them.

    Attributes:
        name: the stream's.
        document: how it is fetched and judged, as its keeper wrote it. JSON values; may hold passwords.
    """

    name: str
    document: dict[str, Any]

    def __repr__(self) -> str:
        return f"KeptStream({self.name!r}, ***)"


class KeptStreams:
    """The streams of all servers that share a database, sealed like webhook secrets.

    Args:
        database: the outbox's.
        sealer: encrypts them.
        clock: UTC epoch seconds.
    """

    def __init__(self, database: Database, sealer: Sealer, *, clock: Clock = wall_clock) -> None:
        self._database, self._sealer, self._clock = database, sealer, clock

    async def list(self, server: str) -> list[KeptStream]:
        """A server's streams, the oldest first.

        Raises:
            ConfigError: they were sealed by another key.
            OutboxError: the database cannot be read.
        """
        query = sa.select(kept_streams).where(kept_streams.c.server == server)
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(kept_streams.c.created, kept_streams.c.name))).all()
        return [KeptStream(row.name, json.loads(self._sealer.unseal_text(row.sealed))) for row in rows]

    async def put(self, server: str, stream: KeptStream) -> None:
        """Keep a stream, in place of an earlier one of that name.

        Raises:
            OutboxError: the database cannot be written.
        """
        row = {
            "server": server,
            "name": stream.name,
            "sealed": self._sealer.seal_text(json.dumps(stream.document)),
            "created": self._clock(),
        }
        async with self._database.write() as connection:
            statement = insert(connection, kept_streams).values(row)
            await connection.execute(
                statement.on_conflict_do_update(
                    index_elements=[kept_streams.c.server, kept_streams.c.name],
                    set_={"sealed": statement.excluded.sealed},
                )
            )

    async def remove(self, server: str, name: str) -> None:
        """Remove the kept stream. A no-op where there is none.

        Raises:
            OutboxError: the database cannot be written.
        """
        where = (kept_streams.c.server == server) & (kept_streams.c.name == name)
        async with self._database.write() as connection:
            await connection.execute(kept_streams.delete().where(where))
