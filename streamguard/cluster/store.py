"""Leases in PostgreSQL. Each call is one transaction; the database's clock is the only one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamguard.alerts import Database
from streamguard.alerts.database import read_url
from streamguard.alerts.rows import insert
from streamguard.alerts.tables import cluster_plans, cluster_workers, stream_leases
from streamguard.cluster.leases import (
    LeaseChanges,
    LeaseTerms,
    Order,
    PlanClock,
    StreamLease,
    WorkerRow,
    plan_leases,
    turn_over,
)
from streamguard.errors import ConfigError, NameInUse, OutboxError, redact

_EPOCHS = sa.Sequence("lease_epochs")
_NOW: sa.ColumnElement[float] = sa.cast(sa.func.extract("epoch", sa.func.clock_timestamp()), sa.Double())
_FORGOTTEN_AFTER = 3600.0
"""Seconds after which a worker that was lost is told of no more."""
_KINDS = {"stream", "priority", "published", "ending", "target", "owner", "epoch", "changed"}


@dataclass(frozen=True, slots=True)
class WorkerCard:
    """Card of a worker, for people and the front door.

    Attributes:
        node: the machine's name or address.
        url: where it is reached.
        version: of streamguard.
        model, engine: what judges there.
        pid: its process.
        streams: that it holds.
        room: how many more it could judge; None before that is measured.
        detail: why it cannot judge; empty where it can.
    """

    node: str
    url: str
    version: str
    model: str = ""
    engine: str = ""
    pid: int = 0
    streams: int = 0
    room: int | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class WorkerEntry:
    """A worker as the database has it.

    Attributes:
        row: for the rules.
        card: for people.
        silent: seconds since it was last heard of, by the database's clock.
    """

    row: WorkerRow
    card: WorkerCard
    silent: float


@dataclass(frozen=True, slots=True)
class BeatAnswer:
    """Answer to a heartbeat.

    Attributes:
        leases: those that name the worker.
        revisions: stream -> how often its request was changed.
        order: what was asked of the worker.
        replaced: a later life has begun in its seat: it is to end.
        now: the database's clock.
    """

    leases: tuple[StreamLease, ...]
    revisions: Mapping[str, int]
    order: Order
    replaced: bool
    now: float


class LeaseStore:
    """The shared truth of a cluster. Made by `open`.

    Args:
        database: PostgreSQL.
        terms: how patient the cluster is.
    """

    def __init__(self, database: Database, terms: LeaseTerms) -> None:
        self.database, self.terms = database, terms

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str | None, terms: LeaseTerms, *, patience: float = 60.0) -> AsyncIterator[Self]:
        """Connect, and bring the tables up to date.

        Args:
            url: `postgresql://user:password@host/name`.
            terms: how patient the cluster is.
            patience: seconds that opening goes on trying.

        Raises:
            ConfigError: it is no PostgreSQL.
            OutboxError: it cannot be reached.
        """
        check_shared(url)
        assert url is not None
        # A heartbeat that takes longer is no use: the next one is due.
        async with await Database.open(url, patience=patience, answer=terms.lost) as database:
            yield cls(database, terms)

    async def join(self, row: WorkerRow, card: WorkerCard) -> int:
        """Enter a worker's new life; its number."""
        async with self.database.write() as connection:
            life = int(await connection.scalar(sa.select(_EPOCHS.next_value())) or 0)
            now = await _now(connection)
            values = {**_worker_values(row), "life": life, "heartbeat": now, "card": json.dumps(asdict(card))}
            await connection.execute(cluster_workers.insert().values(values))
            old = cluster_workers.c.lost & (cluster_workers.c.heartbeat < now - _FORGOTTEN_AFTER)
            await connection.execute(cluster_workers.delete().where(old))
        return life

    async def beat(self, row: WorkerRow, card: WorkerCard, given_up: Mapping[str, int]) -> BeatAnswer:
        """Tell that a worker lives, hand back what it has closed, and take what is free and meant for it.

        Raises:
            OutboxError: nothing was changed, or nobody knows.
        """
        workers, leases = cluster_workers.c, stream_leases.c
        async with self.database.write() as connection:
            now = await _now(connection)
            told = {
                "heartbeat": now,
                "lost": False,
                "capacity": row.capacity,
                "most": row.limit,
                "able": row.able,
                "card": json.dumps(asdict(card)),
            }
            living = cluster_workers.update().where(workers.id == row.id).values(told).returning(workers.ordered)
            order = await connection.scalar(living)
            later = sa.select(sa.func.max(workers.life)).where(workers.seat == row.seat)
            newest = await connection.scalar(later)
            if order is None:
                # Somebody cleared the tables.
                return BeatAnswer((), {}, "", True, now)
            mine = (leases.owner == row.id) | (leases.target == row.id)
            query = sa.select(stream_leases).where(mine).order_by(leases.stream).with_for_update()
            found = (await connection.execute(query)).all()
            before = {each.stream: _lease(each) for each in found}
            free = sum(each.owner is None for each in before.values())
            epochs = await _epochs(connection, free) if free else []
            changes = turn_over(row.id, before.values(), given_up, now, lambda: epochs.pop(0))
            await _write(connection, changes, before)
            after = {**before, **{each.stream: each for each in changes.leases}}
        for name in changes.forgotten:
            del after[name]
        revisions = {each.stream: each.revision for each in found}
        return BeatAnswer(tuple(after.values()), revisions, order, (newest or 0) > row.life, now)

    async def plan(self) -> LeaseChanges | None:
        """Find places for streams, if it is time and nobody else is at it; what was changed.

        Raises:
            OutboxError: nothing was changed.
        """
        async with self.database.write() as connection:
            plans = cluster_plans.c
            query = sa.select(plans.last, plans.steady).where(plans.id == 1).with_for_update(skip_locked=True)
            row = (await connection.execute(query)).one_or_none()
            now = await _now(connection)
            if row is None:
                first = insert(connection, cluster_plans).values(id=1, last=0.0, steady=0.0)
                await connection.execute(first.on_conflict_do_nothing())
                return None
            if 0.0 <= now - row.last < self.terms.plan:
                return None
            workers = [_worker(each) for each in await connection.execute(sa.select(cluster_workers))]
            leases = [_lease(each) for each in await connection.execute(sa.select(stream_leases))]
            changes = plan_leases(workers, leases, PlanClock(row.last, row.steady), now, self.terms)
            clock = {"last": changes.clock.last, "steady": changes.clock.steady}
            await connection.execute(cluster_plans.update().where(plans.id == 1).values(clock))
            # Workers before leases, as in a heartbeat: who locks in another order is locked out.
            heard = {each.id: each.heartbeat for each in workers}
            for id in changes.lost:
                mute = (cluster_workers.c.id == id) & (cluster_workers.c.heartbeat == heard[id])
                gone = await connection.execute(cluster_workers.update().where(mute).values(lost=True))
                if not gone.rowcount:
                    raise OutboxError("cluster", f"worker {id} was heard of in the last moment", "it is tried again")
            await _write(connection, changes, {each.stream: each for each in leases})
        return changes

    async def claim(self, worker: str, stream: str) -> StreamLease:
        """Take a name for a stream that somebody begins to send to the worker.

        Raises:
            NameInUse: there is a stream of that name.
            OutboxError: the database failed; it is not taken.
        """
        async with self.database.write() as connection:
            now, epoch = await _now(connection), (await _epochs(connection, 1))[0]
            lease = StreamLease(stream, 1, True, False, worker, worker, epoch, now)
            values = {**asdict(lease), "sealed": None, "origin": "published", "revision": 0, "created": now}
            statement = insert(connection, stream_leases).values(values).on_conflict_do_nothing()
            if not (await connection.execute(statement)).rowcount:
                cause = f"there is a stream `{stream}` already, or it has just lost its worker"
                raise NameInUse(stream, cause, "choose another name, or try again in ten seconds")
        return lease

    async def workers(self) -> list[WorkerEntry]:
        """All workers, also those lost within the last hour, by seat and life."""
        async with self.database.read() as connection:
            now = await _now(connection)
            of = cluster_workers.c
            rows = (await connection.execute(sa.select(cluster_workers).order_by(of.seat, of.life))).all()
        entries = [WorkerEntry(_worker(row), WorkerCard(**json.loads(row.card)), now - row.heartbeat) for row in rows]
        # Where no other worker lives, nobody writes down that one is lost.
        gone = [each.silent > self.terms.lost or each.row.lost for each in entries]
        return [replace(each, row=replace(each.row, lost=lost)) for each, lost in zip(entries, gone, strict=True)]

    async def leases(self, streams: Collection[str] | None = None) -> list[StreamLease]:
        """Leases by stream; those of all where None are named."""
        query = sa.select(stream_leases).order_by(stream_leases.c.stream)
        if streams is not None:
            query = query.where(stream_leases.c.stream.in_(list(streams)))
        async with self.database.read() as connection:
            return [_lease(row) for row in await connection.execute(query)]

    async def order(self, workers: Collection[str], order: Order) -> None:
        """Ask something of workers."""
        async with self.database.write() as connection:
            those = cluster_workers.update().where(cluster_workers.c.id.in_(list(workers)))
            await connection.execute(those.values(ordered=order))

    async def leave(self, worker: str) -> None:
        """A worker has ended in good order: its streams are free at once."""
        async with self.database.write() as connection:
            await connection.execute(cluster_workers.delete().where(cluster_workers.c.id == worker))
            leases, now = stream_leases.c, await _now(connection)
            over = (leases.owner == worker) & (leases.published | leases.ending)
            await connection.execute(stream_leases.delete().where(over))
            mine = stream_leases.update().where(leases.owner == worker)
            await connection.execute(mine.values(owner=None, target=None, changed=now))

    async def now(self) -> float:
        """The database's clock, UTC epoch seconds."""
        async with self.database.read() as connection:
            return await _now(connection)


def check_shared(url: str | None) -> str:
    """The URL of a database that many machines can share.

    Raises:
        ConfigError: it is none.
    """
    remedy = "set alerts.database to postgresql://user:password@host/name"
    if url is None or read_url(url).get_backend_name() == "sqlite":
        shown = redact(url) if url is not None else "alerts.database"
        cause = "a cluster needs PostgreSQL: an SQLite file belongs to one machine, and cannot say who holds a stream"
        raise ConfigError(shown, cause, remedy)
    return url


async def _now(connection: AsyncConnection) -> float:
    return float(await connection.scalar(sa.select(_NOW)) or 0.0)


async def _epochs(connection: AsyncConnection, count: int) -> list[int]:
    numbers = sa.select(_EPOCHS.next_value()).select_from(sa.func.generate_series(1, count).alias())
    return sorted(int(row[0]) for row in await connection.execute(numbers))


async def _write(connection: AsyncConnection, changes: LeaseChanges, before: Mapping[str, StreamLease]) -> None:
    """Write changes of leases, each only where it is still as it was read."""
    of = stream_leases.c
    unchanged = (
        (of.stream == sa.bindparam("key"))
        & of.owner.is_not_distinct_from(sa.bindparam("old_owner", type_=sa.String()))
        & of.target.is_not_distinct_from(sa.bindparam("old_target", type_=sa.String()))
        & (of.epoch == sa.bindparam("old_epoch"))
        & (of.ending == sa.bindparam("old_ending"))
    )

    def key(lease: StreamLease) -> dict[str, Any]:
        old = {"old_owner": lease.owner, "old_target": lease.target, "old_epoch": lease.epoch}
        return {"key": lease.stream, **old, "old_ending": lease.ending}

    if changes.leases:
        names = ("owner", "target", "epoch", "changed")
        values = {name: sa.bindparam(f"new_{name}", type_=of[name].type) for name in names}
        rows = [
            {**key(before[each.stream]), **{f"new_{name}": getattr(each, name) for name in names}}
            for each in sorted(changes.leases, key=lambda one: one.stream)
        ]
        await connection.execute(stream_leases.update().where(unchanged).values(values), rows)
    if changes.forgotten:
        gone = [key(before[name]) for name in sorted(changes.forgotten)]
        await connection.execute(stream_leases.delete().where(unchanged), gone)


def _worker(row: sa.Row[Any]) -> WorkerRow:
    return WorkerRow(
        id=row.id,
        seat=row.seat,
        domain=row.domain,
        life=row.life,
        heartbeat=row.heartbeat,
        capacity=row.capacity,
        limit=row.most,
        able=row.able,
        order=row.ordered,
        lost=row.lost,
    )


def _worker_values(row: WorkerRow) -> dict[str, Any]:
    values = asdict(row)
    values["most"], values["ordered"] = values.pop("limit"), values.pop("order")
    return values


def _lease(row: sa.Row[Any]) -> StreamLease:
    return StreamLease(**{name: value for name, value in row._mapping.items() if name in _KINDS})
