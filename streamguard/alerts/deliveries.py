"""Deliveries: their states, the endpoints' answers, and sending again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from ulid import ULID

from streamguard.alerts.database import Database
from streamguard.alerts.documents import load_event
from streamguard.alerts.formats import TEST, render_payload, text
from streamguard.alerts.rows import delivery_row, insert
from streamguard.alerts.subscriptions import Status, Subscription, subscription_of
from streamguard.alerts.tables import deliveries, events, subscriptions
from streamguard.clock import Clock, utc, wall_clock
from streamguard.errors import SubscriptionError, UnknownSubscription
from streamguard.types import Event, EventKind

MOST_LISTED = 500
MOST_REPLAYED = 10_000


class DeliveryStatus(StrEnum):
    """State of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    """Every try failed, or the endpoint answered 410."""
    CANCELLED = "cancelled"
    """Its subscription was disabled before it was sent."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one subscription.

    Attributes:
        seq: rises with each delivery; a page of the log continues after it.
        webhook_id: as in the header; the same at every try and replay.
        subscription, event: whose, and which event.
        kind, at: what happened, and when (UTC epoch seconds).
        status: where it stands.
        attempts: tries that ended.
        next_try: when it is tried next, for a pending one.
        code: HTTP status of the last answer; None when there was none.
        answer: the beginning of the last answer, or why there was none.
        created, done: UTC epoch seconds; done is None while pending.
    """

    seq: int
    webhook_id: str
    subscription: str
    event: str
    kind: str
    at: float
    status: DeliveryStatus
    attempts: int
    next_try: float
    code: int | None
    answer: str
    created: float
    done: float | None


class Deliveries:
    """The log of deliveries, and replays.

    Args:
        database: the outbox's.
        clock: UTC epoch seconds.
        changed: called when something is to be sent.
    """

    def __init__(
        self, database: Database, *, clock: Clock = wall_clock, changed: Callable[[], None] = lambda: None
    ) -> None:
        self._database, self._clock, self._changed = database, clock, changed

    async def list(
        self,
        subscription: str | None = None,
        *,
        status: DeliveryStatus | None = None,
        after: int = 0,
        before: int | None = None,
        newest: bool = False,
        limit: int = 100,
    ) -> list[Delivery]:
        """A page of the log.

        Args:
            subscription: of this one only.
            status: of this status only.
            after, before: only deliveries with a higher, a lower `seq`.
            newest: newest first; oldest first otherwise.
            limit: 1 to 500.

        Raises:
            OutboxError: the database cannot be read.
        """
        order = deliveries.c.seq.desc() if newest else deliveries.c.seq
        query = sa.select(deliveries).where(deliveries.c.seq > after).order_by(order)
        if before is not None:
            query = query.where(deliveries.c.seq < before)
        if subscription is not None:
            query = query.where(deliveries.c.subscription == text(subscription))
        if status is not None:
            query = query.where(deliveries.c.status == status.value)
        async with self._database.read() as connection:
            rows = await connection.execute(query.limit(max(1, min(limit, MOST_LISTED))))
            return [_delivery(row) for row in rows]

    async def get(self, webhook_id: str) -> Delivery:
        """One of them.

        Raises:
            UnknownSubscription: there is none of that id.
        """
        query = sa.select(deliveries).where(deliveries.c.webhook_id == text(webhook_id))
        async with self._database.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise UnknownSubscription(f"delivery `{webhook_id}`", "there is none of that id", "look into the log")
        return _delivery(row)

    async def replay(self, webhook_id: str) -> Delivery:
        """Send one again, now, with its whole schedule before it; a pending one is tried at once.

        Raises:
            UnknownSubscription: there is none of that id.
            OutboxError: the database cannot be written.
        """
        await self.get(webhook_id)
        async with self._database.write() as connection:
            await self._again(connection, deliveries.c.webhook_id == webhook_id)
        self._changed()
        return await self.get(webhook_id)

    async def replay_range(self, subscription: str, since: float, until: float) -> int:
        """Send again what happened in `since <= t < until` (UTC epoch seconds); how many.

        What the subscription's rule let pass then goes out as it was, under its old id. Events that it was never
        told, because it was made later or was disabled, go out if stream, kind, score and share fit; periods such as
        M of N and quiet hours do not count for them. A face's events go out in order.

        Raises:
            UnknownSubscription: there is none of that id.
            SubscriptionError: an empty range, or more than 10,000 events in it.
            OutboxError: the database cannot be written.
        """
        if not since < until:
            raise SubscriptionError("time range", "its end is not after its start", "give since and until")
        now = self._clock()
        async with self._database.write() as connection:
            told = await _subscription(connection, subscription)
            within = (events.c.at >= since) & (events.c.at < until)
            query = sa.select(events.c.document).where(within).order_by(events.c.at, events.c.id)
            rows = (await connection.execute(query.limit(MOST_REPLAYED + 1))).all()
            if len(rows) > MOST_REPLAYED:
                cause = f"there are more than {MOST_REPLAYED} events in it"
                raise SubscriptionError("time range", cause, "replay it in parts")
            before = (deliveries.c.subscription == told.id) & (deliveries.c.at >= since) & (deliveries.c.at < until)
            known = {row.event for row in await connection.execute(sa.select(deliveries.c.event).where(before))}
            count = await self._again(connection, before & (deliveries.c.status != "pending"))
            fresh = [
                delivery_row(told.id, event, message, now)
                for event in (load_event(row.document) for row in rows)
                if event.id not in known
                and told.rule.matches(event.stream)
                and event.kind in told.rule.kinds
                and (event.track is None or told.rule.strong(event))
                and (message := render_payload(told.format, event)) is not None
            ]
            if fresh:
                await connection.execute(insert(connection, deliveries).on_conflict_do_nothing(), fresh)
        self._changed()
        return count + len(fresh)

    async def test(self, subscription: str) -> Delivery:
        """Send a message of the type `webhook.test`, past the rule, with the usual retries.

        Raises:
            UnknownSubscription: there is none of that id.
            SubscriptionError: it is disabled, or its format has no words for a test.
            OutboxError: the database cannot be written.
        """
        now = self._clock()
        event = Event(
            id=str(ULID()), kind=EventKind.STREAM_UP, stream="test", epoch=0, at=utc(now), detail="A test: nothing."
        )
        async with self._database.write() as connection:
            told = await _subscription(connection, subscription)
            if told.status is Status.DISABLED:
                raise SubscriptionError(f"subscription `{told.id}`", "it is disabled", "resume it first")
            message = render_payload(told.format, event, test=True)
            if message is None:
                cause = f"{told.format} has no words for a test"
                raise SubscriptionError(f"subscription `{told.id}`", cause, "choose another format")
            row = {**delivery_row(told.id, event, message, now), "kind": TEST, "order_key": f"test {event.id}"}
            await connection.execute(deliveries.insert().values(**row))
        self._changed()
        return await self.get(str(row["webhook_id"]))

    async def _again(self, connection: AsyncConnection, which: sa.ColumnElement[bool]) -> int:
        now = self._clock()
        values = {"status": "pending", "attempts": 0, "next_try": now, "touched": now, "asked": now, "done": None}
        # What is being sent at this moment is left to its worker.
        idle = deliveries.c.lease_until <= now
        return (await connection.execute(deliveries.update().where(which & idle).values(**values))).rowcount


async def _subscription(connection: AsyncConnection, id: str) -> Subscription:
    query = sa.select(subscriptions).where(subscriptions.c.id == text(id))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise UnknownSubscription(f"subscription `{id}`", "there is none of that id", "list the subscriptions")
    return subscription_of(row)


def _delivery(row: sa.Row[tuple[object, ...]]) -> Delivery:
    values = row._mapping
    return Delivery(
        seq=values["seq"],
        webhook_id=values["webhook_id"],
        subscription=values["subscription"],
        event=values["event"],
        kind=values["kind"],
        at=values["at"],
        status=DeliveryStatus(values["status"]),
        attempts=values["attempts"],
        next_try=values["next_try"],
        code=values["code"],
        answer=values["answer"],
        created=values["created"],
        done=values["done"],
    )
