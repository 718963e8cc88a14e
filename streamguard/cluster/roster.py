"""Which streams there are in a cluster, and how each is fetched and judged: sealed in the shared database."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa
from pydantic import Secret, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from streamguard.alerts import Database, Sealer
from streamguard.alerts.rows import insert
from streamguard.alerts.tables import stream_leases
from streamguard.clock import wall_clock
from streamguard.config import StreamSettings
from streamguard.errors import ConfigError, NameInUse, UnknownStream

WantedBy: TypeAlias = Literal["file", "api"]


@dataclass(frozen=True, slots=True)
class WantedStream:
    """A stream that is wanted.

    Attributes:
        settings: how it is fetched and judged; its source holds passwords perhaps.
        origin: who asked for it.
        revision: rises with each change.
    """

    settings: StreamSettings
    origin: WantedBy
    revision: int


class Roster:
    """The streams that workers fetch. Those that are sent to a worker are not in it.

    Args:
        database: PostgreSQL.
        sealer: encrypts what is told of them; every worker has the same key.
    """

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database, self._sealer = database, sealer

    async def find(self, names: Collection[str] | None = None) -> dict[str, WantedStream]:
        """Those of these names; all where None are named.

        Raises:
            ConfigError: they were sealed by another key, or written by another version.
            OutboxError: the database failed.
        """
        of = stream_leases.c
        query = sa.select(of.stream, of.sealed, of.origin, of.revision).where(of.sealed.is_not(None), ~of.ending)
        if names is not None:
            query = query.where(of.stream.in_(list(names)))
        async with self._database.read() as connection:
            rows = (await connection.execute(query.order_by(of.stream))).all()
        return {row.stream: WantedStream(self._opened(row), row.origin, row.revision) for row in rows}

    async def add(self, stream: StreamSettings, origin: WantedBy) -> None:
        """Want one more.

        Raises:
            NameInUse: there is one of that name.
            OutboxError: the database failed.
        """
        async with self._database.write() as connection:
            if not await self._insert(connection, stream, origin):
                cause = f"there is a stream `{stream.name}` already"
                raise NameInUse(stream.name, cause, "choose another name")

    async def change(self, stream: StreamSettings) -> None:
        """Want it in another way.

        Raises:
            UnknownStream: there is none.
            OutboxError: the database failed.
        """
        async with self._database.write() as connection:
            if not await self._update(connection, stream):
                raise _unknown(stream.name)

    async def remove(self, name: str) -> None:
        """Want it no more; whoever holds it closes it first.

        Raises:
            UnknownStream: there is none.
            OutboxError: the database failed.
        """
        of = stream_leases.c
        async with self._database.write() as connection:
            leaving = stream_leases.update().where(of.stream == name, ~of.ending)
            done = await connection.execute(leaving.values(ending=True, target=None))
            if not done.rowcount:
                raise _unknown(name)
            await connection.execute(stream_leases.delete().where(of.stream == name, of.ending, of.owner.is_(None)))

    async def settle(self, streams: Iterable[StreamSettings]) -> None:
        """Want these of the configuration's file, and no others of it.

        Raises:
            NameInUse: one was added over the API, or is sent to a worker.
            OutboxError: the database failed; what was done until then stays done.
        """
        wanted = {stream.name: stream for stream in streams}
        present = await self.find()
        for name, stream in wanted.items():
            before = present.get(name)
            if before is None:
                await self.add(stream, "file")
            elif before.origin != "file":
                cause = "a stream of that name was added over the API"
                raise NameInUse(name, cause, "choose another name, or remove that one")
            elif before.settings != stream:
                await self.change(stream)
        for name, before in present.items():
            if before.origin == "file" and name not in wanted:
                await self.remove(name)

    async def _insert(self, connection: AsyncConnection, stream: StreamSettings, origin: WantedBy) -> bool:
        row = {
            "stream": stream.name,
            "priority": stream.priority,
            "published": False,
            "ending": False,
            "epoch": 0,
            "changed": 0.0,
            "sealed": self._sealed(stream),
            "origin": origin,
            "revision": 0,
            "created": wall_clock(),
        }
        done = await connection.execute(insert(connection, stream_leases).values(row).on_conflict_do_nothing())
        return bool(done.rowcount)

    async def _update(self, connection: AsyncConnection, stream: StreamSettings) -> bool:
        of = stream_leases.c
        there = stream_leases.update().where(of.stream == stream.name, ~of.ending, of.sealed.is_not(None))
        values = {"priority": stream.priority, "sealed": self._sealed(stream), "revision": of.revision + 1}
        return bool((await connection.execute(there.values(values))).rowcount)

    def _sealed(self, stream: StreamSettings) -> str:
        return self._sealer.seal_text(json.dumps(_revealed(stream.model_dump(exclude_defaults=True)), default=str))

    def _opened(self, row: Any) -> StreamSettings:
        document = json.loads(self._sealer.unseal_text(row.sealed))
        try:
            return StreamSettings.model_validate(document)
        except ValidationError:
            cause = "another version of streamguard wrote how it is fetched"
            raise ConfigError(f"streams.{row.stream}", cause, "use one version, or add it anew") from None


def _revealed(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.get_secret_value()
    if isinstance(value, Mapping):
        return {key: _revealed(each) for key, each in value.items()}
    return [_revealed(each) for each in value] if isinstance(value, list) else value


def _unknown(name: str) -> UnknownStream:
    return UnknownStream(name, f"there is no stream `{name}`", "list the streams at /api/v1/streams")
