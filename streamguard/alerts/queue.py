"""Deliveries under way: claimed for a while by one worker, settled when the answer is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from streamguard.alerts.database import Database
from streamguard.alerts.formats import text
from streamguard.alerts.owner import is_gone
from streamguard.alerts.subscriptions import Status, set_status
from streamguard.alerts.tables import deliveries, subscriptions
from streamguard.alerts.tally import Backlog

SKEW = 60.0
"""Seconds by which clocks may differ; a row written further in the future means that a clock was set back."""


class AttemptOutcome(StrEnum):
    """Result of an attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    DEAD = "dead"
    GONE = "gone"
    """Dead, and its endpoint wants nothing more (410)."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Delivery to be tried now; no other process tries it before `lease_until`.

    Attributes:
        seq: its row.
        webhook_id, content_type, body: what is sent, the same at every try.
        subscription, url, format, sealed: whom to, how, and the sealed secrets: of a notice, its whole URL.
        attempts: tries so far.
        asked: when it was made, or last asked for again; UTC epoch seconds.
    """

    seq: int
    webhook_id: str
    subscription: str
    url: str
    format: str
    sealed: str
    content_type: str
    body: str
    attempts: int
    asked: float


@dataclass(frozen=True, slots=True)
class Settled:
    """The end of a try.

    Attributes:
        claim: what was tried.
        outcome: what became of it.
        at: UTC epoch seconds.
        next_try: when it is tried again, for RETRY.
        code: the HTTP status; None when there was no answer.
        answer: the beginning of the answer, or why there was none.
        endpoint_waits: until when nothing is to be sent to the endpoint; 0 for no wait.
    """

    claim: Claim
    outcome: AttemptOutcome
    at: float
    next_try: float = 0.0
    code: int | None = None
    answer: str = ""
    endpoint_waits: float = 0.0


class Queue:
    """The deliveries of one database, seen by one worker.

    Args:
        database: the outbox's.
        owner: the worker, as `this_owner` names it.
        lease: seconds a claim holds; longer than any try takes.
    """

    def __init__(self, database: Database, owner: str, *, lease: float) -> None:
        self._database, self._owner, self._lease = database, owner, lease

    async def waiting(self, now: float) -> list[str]:
        """Subscriptions with something to be sent now.

        Raises:
            OutboxError: the database cannot be read.
        """
        async with self._database.read() as connection:
            return await _waiting(connection, now)

    async def backlog(self) -> list[Backlog]:
        """Return the waiting deliveries, one entry per status of a subscription.

        Raises:
            OutboxError: the database cannot be read.
        """
        pending = (deliveries.c.subscription == subscriptions.c.id) & (deliveries.c.status == "pending")
        query = (
            sa.select(
                subscriptions.c.status,
                sa.func.count(sa.distinct(subscriptions.c.id)),
                sa.func.count(deliveries.c.seq),
                sa.func.min(deliveries.c.asked),
            )
            .select_from(subscriptions.outerjoin(deliveries, pending))
            .group_by(subscriptions.c.status)
        )
        async with self._database.read() as connection:
            found = {row[0]: Backlog(Status(row[0]), *row[1:]) for row in await connection.execute(query)}
        return [found.get(status.value, Backlog(status, 0)) for status in Status]

    async def turn(
        self, settled: Sequence[Settled], now: float, plan: Callable[[Sequence[str]], Mapping[str, int]]
    ) -> list[Claim]:
        """Settle what is done and claim what comes next, in one transaction.

        Args:
            settled: finished tries.
            now: UTC epoch seconds.
            plan: how many deliveries to claim of each subscription that has some.

        Raises:
            OutboxError: nothing was changed; give the same tries again.
        """
        async with self._database.write() as connection:
            # Always in the same order, so that two workers never wait for each other.
            await self._settle(connection, sorted(settled, key=lambda one: one.claim.seq))
            claims: list[Claim] = []
            for subscription, most in plan(await _waiting(connection, now)).items():
                if most > 0:
                    claims += await self._claim(connection, subscription, most, now)
        return claims

    async def mend(self, now: float) -> None:
        """Take back what dead processes of this machine held, and what a clock set back would keep waiting.

        Raises:
            OutboxError: nothing was changed.
        """
        held = (deliveries.c.status == "pending") & (deliveries.c.owner != "")
        async with self._database.write() as connection:
            rows = await connection.execute(sa.select(deliveries.c.owner).where(held).distinct())
            for owner in [row.owner for row in rows]:
                if owner != self._owner and is_gone(owner):
                    await _release(connection, deliveries.c.owner == owner)
            late = (deliveries.c.status == "pending") & (deliveries.c.touched > now + SKEW)
            late &= deliveries.c.owner != self._owner
            values = {"next_try": now, "touched": now, "owner": "", "lease_until": 0.0}
            await connection.execute(deliveries.update().where(late).values(**values))
            too_long = subscriptions.c.wait_until > now + 24 * 3600.0 + SKEW
            await connection.execute(subscriptions.update().where(too_long).values(wait_until=0.0))

    async def release(self) -> None:
        """Give back everything this worker holds.

        Raises:
            OutboxError: nothing was changed; the leases run out by themselves.
        """
        async with self._database.write() as connection:
            await _release(connection, deliveries.c.owner == self._owner)

    async def _claim(self, connection: AsyncConnection, subscription: str, most: int, now: float) -> list[Claim]:
        one, earlier = deliveries.alias("one"), deliveries.alias("earlier")
        first = ~sa.exists(
            sa.select(sa.literal(1)).where(
                earlier.c.subscription == one.c.subscription,
                earlier.c.order_key == one.c.order_key,
                earlier.c.status == "pending",
                earlier.c.seq < one.c.seq,
            )
        )
        heads = (
            sa.select(one.c.seq)
            .where(one.c.subscription == subscription, _ready(one, now), first)
            .order_by(one.c.next_try, one.c.seq)
            .limit(most)
            .with_for_update(skip_locked=True, of=one)
            .cte("heads")
        )
        claim = (
            deliveries.update()
            .where(deliveries.c.seq.in_(sa.select(heads.c.seq)))
            .values(owner=self._owner, lease_until=now + self._lease, touched=now)
            .returning(deliveries)
        )
        endpoint = (
            await connection.execute(sa.select(subscriptions).where(subscriptions.c.id == subscription))
        ).one_or_none()
        if endpoint is None:
            return []
        rows = (await connection.execute(claim)).all()
        return [
            Claim(
                seq=row.seq,
                webhook_id=row.webhook_id,
                subscription=subscription,
                url=endpoint.url,
                format=endpoint.format,
                sealed=endpoint.secrets,
                content_type=row.content_type,
                body=row.body,
                attempts=row.attempts,
                asked=row.asked,
            )
            for row in sorted(rows, key=lambda row: int(row.seq))
        ]

    async def _settle(self, connection: AsyncConnection, settled: Sequence[Settled]) -> None:
        """Write what became of tries.

        A lease that ran out may have gone to another worker: its answer counts then. That a message arrived counts
        always.
        """
        pending = (deliveries.c.seq == sa.bindparam("row")) & (deliveries.c.status == "pending")
        mine = pending & (deliveries.c.owner == self._owner)
        for outcome, where in ((AttemptOutcome.DELIVERED, pending), (None, mine)):
            rows = [
                _values(one) for one in settled if (one.outcome is AttemptOutcome.DELIVERED) is (outcome is not None)
            ]
            if rows:
                await connection.execute(deliveries.update().where(where), rows)
        for one in settled:
            if one.outcome is AttemptOutcome.GONE:
                reason = "the endpoint answered 410 Gone"
                await set_status(connection, one.claim.subscription, Status.DISABLED, reason, one.at)
            elif one.endpoint_waits:
                waits = subscriptions.update().where(subscriptions.c.id == one.claim.subscription)
                await connection.execute(waits.values(wait_until=one.endpoint_waits))


def _values(one: Settled) -> dict[str, object]:
    retry = one.outcome is AttemptOutcome.RETRY
    return {
        "row": one.claim.seq,
        "attempts": one.claim.attempts + 1,
        "code": one.code,
        "answer": text(one.answer),
        "touched": one.at,
        "owner": "",
        "lease_until": 0.0,
        "status": "pending" if retry else "delivered" if one.outcome is AttemptOutcome.DELIVERED else "dead",
        "next_try": one.next_try if retry else one.at,
        "done": None if retry else one.at,
    }


def _ready(one: sa.FromClause, now: float) -> sa.ColumnElement[bool]:
    return sa.and_(one.c.status == "pending", one.c.next_try <= now, one.c.lease_until <= now)


async def _waiting(connection: AsyncConnection, now: float) -> list[str]:
    some = sa.exists(
        sa.select(sa.literal(1)).where(deliveries.c.subscription == subscriptions.c.id, _ready(deliveries, now))
    )
    query = sa.select(subscriptions.c.id).where(
        subscriptions.c.status == Status.ACTIVE.value, subscriptions.c.wait_until <= now, some
    )
    return [row.id for row in await connection.execute(query.order_by(subscriptions.c.id))]


async def _release(connection: AsyncConnection, whose: sa.ColumnElement[bool]) -> None:
    held = deliveries.update().where((deliveries.c.status == "pending") & whose)
    await connection.execute(held.values(owner="", lease_until=0.0))
