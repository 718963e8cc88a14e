"""Events into the outbox: the event, the rules' states and the deliveries in one transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeAlias

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection
from ulid import ULID

from streamguard.alerts import rule_state
from streamguard.alerts.database import Database
from streamguard.alerts.documents import dump_event, load_event
from streamguard.alerts.fencing import NO_FENCES, Fence, fallen
from streamguard.alerts.formats import render_payload, text
from streamguard.alerts.incident_rows import INTERRUPTED, incident_of, interrupted, write_incident
from streamguard.alerts.rows import delivery_row, insert, subject_of, webhook_id
from streamguard.alerts.subscriptions import Status, Subscription, subscription_of
from streamguard.alerts.tables import deliveries, events, gates, incidents, subscriptions
from streamguard.clock import Clock, utc, wall_clock
from streamguard.types import Closing, Event, EventKind

BATCH = 200
"""Gates stepped in one transaction."""
NOTHING_HELD: Mapping[str, float] = MappingProxyType({})

_Key: TypeAlias = tuple[str, str, str]
"""subscription, stream, incident"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """Result of a transaction: new events, deliveries made, ids of events that were refused."""

    events: int = 0
    deliveries: int = 0
    refused: frozenset[str] = frozenset()


class Outbox:
    """Takes events in. Nothing is sent before it is committed here.

    Args:
        database: the outbox's.
        clock: UTC epoch seconds, for time that passes without an event; an event counts at its own time.
    """

    def __init__(self, database: Database, *, clock: Clock = wall_clock) -> None:
        self._database, self._clock = database, clock

    async def record(
        self,
        happened: Sequence[Event],
        *,
        hold: Mapping[str, float] = NOTHING_HELD,
        fences: Mapping[str, Fence] = NO_FENCES,
    ) -> Recorded:
        """Commit events and their deliveries, all or nothing.

        An event known already is left as it is, so that a caller who does not know whether a commit came through
        simply records again. The events of one incident are recorded in order, by one caller at a time.

        Args:
            happened: the events.
            hold: event id -> seconds that its first deliveries may wait for `attach`; they go out after it anyway.
            fences: event id -> what must hold for it to be kept: the event of a worker that has lost its stream is
                refused, in this very transaction, and nothing of it is told.

        Raises:
            OutboxError: nothing was kept; record again.
        """
        if not happened:
            return Recorded()
        async with self._database.write() as connection:
            late = await fallen(connection, {fences[event.id] for event in happened if event.id in fences})
            refused = frozenset(event.id for event in happened if fences.get(event.id) in late)
            happened = [event for event in happened if event.id not in refused]
            if not happened:
                return Recorded(refused=refused)
            work = _Work(connection, await _subscriptions(connection), self._clock())
            if not (happened := await work.unended(happened)):
                return Recorded(refused=refused)
            new = await work.insert(happened, hold)
            await work.load({text(event.stream) for event in new})
            for event in new:
                await work.take(event)
            made = await work.save()
        return Recorded(len(new), made, refused)

    async def close_stale(self, before: float) -> list[Event]:
        """Close incidents without an event since `before` (UTC epoch seconds): their server died.

        Returns:
            The closings.

        Raises:
            OutboxError: nothing was changed.
        """
        stale = sa.select(incidents).where(incidents.c.closed.is_(None), incidents.c.updated < before)
        # Two servers may look at the same time; each incident is closed by one of them.
        stale = stale.order_by(incidents.c.id).limit(BATCH).with_for_update(skip_locked=True)
        async with self._database.write() as connection:
            left = [incident_of(row) for row in await connection.execute(stale)]
            if not left:
                return []
            now = self._clock()
            work = _Work(connection, await _subscriptions(connection), now)
            ends = await work.insert([interrupted(each, utc(now)) for each in left])
            await work.load({event.stream for event in ends})
            for end in ends:
                await work.take(end)
            await work.save()
        return ends

    async def attach(self, id: str, links: Sequence[str]) -> int:
        """Give an event its links to evidence, and let what waited for them go out; how many deliveries did.

        What was tried already stays as it is: the same id always comes with the same bytes.

        Args:
            id: the event's; one that is not known is left alone.
            links: none where no evidence could be made.

        Raises:
            OutboxError: nothing was changed; the deliveries go out as they are once their time has come.
        """
        now = self._clock()
        async with self._database.write() as connection:
            known = sa.select(events.c.document).where(events.c.id == id).with_for_update()
            document = await connection.scalar(known)
            if document is None:
                return 0
            event = replace(load_event(document), evidence=tuple(links))
            values = {"document": dump_event(event), "held_until": 0.0}
            await connection.execute(events.update().where(events.c.id == id).values(**values))
            rows = (await connection.execute(_waiting_for(id, await _subscriptions(connection)))).all()
            for row in rows:
                message = render_payload(row.format, replace(event, kind=EventKind(row.kind)), flapping=row.flapping)
                told = {} if message is None else {"content_type": message.content_type, "body": message.body}
                free = deliveries.update().where(deliveries.c.seq == row.seq)
                await connection.execute(free.values(next_try=now, touched=now, **told))
        return len(rows)

    async def tick(self) -> Recorded:
        """Tell what has become due by time alone (M of N, hold, cool-down, quiet hours).

        Raises:
            OutboxError: what was not kept stays due.
        """
        now = self._clock()
        due = sa.select(gates).where(gates.c.due <= now).order_by(gates.c.due).limit(BATCH)
        made = 0
        async with self._database.read() as connection:
            if (await connection.execute(due.limit(1))).first() is None:
                return Recorded()
        while True:
            async with self._database.write() as connection:
                work = _Work(connection, await _subscriptions(connection), now)
                rows = (await connection.execute(due.with_for_update(skip_locked=True))).all()
                for row in rows:
                    work.pass_time(row)
                made += await work.save()
            if len(rows) < BATCH:
                return Recorded(0, made)

    async def event(self, id: str) -> Event | None:
        """A recorded event."""
        async with self._database.read() as connection:
            document = await connection.scalar(sa.select(events.c.document).where(events.c.id == id))
        return load_event(document) if document is not None else None

    async def purge(self, before: float) -> int:
        """Forget events, closed incidents and finished deliveries from before `before` (UTC epoch seconds).

        Returns:
            How many deliveries.
        """
        async with self._database.write() as connection:
            finished = (deliveries.c.created < before) & (deliveries.c.status != "pending")
            gone = (await connection.execute(deliveries.delete().where(finished))).rowcount
            # A rule may still wait to tell an event; its gate names it.
            open_streams = sa.select(gates.c.stream)
            over = incidents.c.closed.is_not(None) & (incidents.c.updated < before)
            await connection.execute(incidents.delete().where(over))
            # An incident is kept whole.
            kept = events.c.incident.is_(None) | events.c.incident.not_in(sa.select(incidents.c.id))
            old = (events.c.at < before) & events.c.stream.not_in(open_streams) & kept
            await connection.execute(events.delete().where(old))
        return gone


class _Work:
    """One transaction's view of the rules' states and what they tell."""

    def __init__(self, connection: AsyncConnection, subscribed: Sequence[Subscription], now: float) -> None:
        self._connection, self._now = connection, now
        self._subscribed = {one.id: one for one in subscribed}
        self._gates: dict[_Key, rule_state.RuleState | None] = {}
        self._due: dict[_Key, float | None] = {}
        self._told: list[tuple[Subscription, rule_state.Told, str]] = []
        self._known: dict[str, Event] = {}
        self._held: dict[str, float] = {}

    async def unended(self, happened: Sequence[Event]) -> list[Event]:
        """Leave out closings of incidents that are closed: another server may have closed them in the place of ours."""
        ids = sorted({event.incident for event in happened if event.incident and event.kind is EventKind.FAKE_CLOSED})
        if not ids:
            return list(happened)
        query = sa.select(incidents.c.id, incidents.c.closed).where(incidents.c.id.in_(ids)).order_by(incidents.c.id)
        rows = await self._connection.execute(query.with_for_update())
        closed = {row.id for row in rows if row.closed is not None}
        left = []
        for event in happened:
            if event.kind is EventKind.FAKE_OPENED:
                closed.discard(event.incident)
            elif event.kind is EventKind.FAKE_CLOSED and event.incident:
                if event.incident in closed:
                    continue
                closed.add(event.incident)
            left.append(event)
        return left

    async def insert(self, happened: Iterable[Event], hold: Mapping[str, float] = NOTHING_HELD) -> list[Event]:
        """Store events; those that were not known, in the order given."""
        unique = {event.id: event for event in happened}
        held = {id: self._now + hold[id] if id in hold else 0.0 for id in unique}
        rows = [
            {
                "id": event.id,
                "at": event.at.timestamp(),
                "stream": text(event.stream),
                "kind": event.kind.value,
                "document": dump_event(event),
                "held_until": held[event.id],
                "incident": event.incident,
            }
            for event in unique.values()
        ]
        statement = insert(self._connection, events).values(rows).on_conflict_do_nothing().returning(events.c.id)
        new = {row.id for row in await self._connection.execute(statement)}
        # One that was known may have its evidence by now: it is read where it is told.
        self._known.update({id: event for id, event in unique.items() if id in new})
        self._held.update({id: until for id, until in held.items() if id in new})
        return [event for event in unique.values() if event.id in new]

    async def load(self, streams: Iterable[str]) -> None:
        """Read and lock the rules' states of the streams, always in the same order."""
        query = sa.select(gates).where(gates.c.stream.in_(list(streams)))
        query = query.order_by(gates.c.subscription, gates.c.stream, gates.c.face).with_for_update()
        for row in await self._connection.execute(query):
            self._gates[row.subscription, row.stream, row.face] = rule_state.load(json.loads(row.state))

    async def take(self, event: Event) -> None:
        """Pass the event to every rule of the stream."""
        if event.kind is EventKind.STREAM_UP:
            await self._end_faces(event)
        await write_incident(self._connection, event)
        for one in self._subscribed.values():
            if one.rule.matches(event.stream):
                self._step((one.id, text(event.stream), subject_of(event)), event.at.timestamp(), event)

    def pass_time(self, row: sa.Row[tuple[object, ...]]) -> None:
        """Pass the time to a rule."""
        values = row._mapping
        key = (values["subscription"], values["stream"], values["face"])
        self._gates[key] = rule_state.load(json.loads(values["state"]))
        if key[0] in self._subscribed:
            self._step(key, self._now, None)
        else:
            self._due[key] = None
            self._gates[key] = None

    async def save(self) -> int:
        """Write states and deliveries; how many deliveries were made."""
        changed = [key for key in self._due if self._gates[key] is not None]
        if changed:
            rows = [
                {
                    "subscription": key[0],
                    "stream": key[1],
                    "face": key[2],
                    "state": json.dumps(rule_state.dump(self._gates[key] or rule_state.RuleState())),
                    "due": self._due[key],
                }
                for key in changed
            ]
            statement = insert(self._connection, gates)
            statement = statement.on_conflict_do_update(
                index_elements=[gates.c.subscription, gates.c.stream, gates.c.face],
                set_={"state": statement.excluded.state, "due": statement.excluded.due},
            )
            await self._connection.execute(statement, rows)
        for key in self._due:
            if self._gates[key] is None:
                where = (gates.c.subscription == key[0]) & (gates.c.stream == key[1]) & (gates.c.face == key[2])
                await self._connection.execute(gates.delete().where(where))
        return await self._deliver()

    def _step(self, key: _Key, now: float, event: Event | None) -> None:
        subscription = self._subscribed[key[0]]
        done = rule_state.step(subscription.rule, self._gates.get(key), now, event, face=bool(key[2]))
        self._gates[key], self._due[key] = done.gate, done.due
        wanted = subscription.rule.kinds
        self._told.extend((subscription, told, told.event) for told in done.told if told.kind in wanted)

    async def _end_faces(self, up: Event) -> None:
        """Close the incidents that are open still: a new connection has new faces, and a killed guard closed none."""
        stream = text(up.stream)
        left = sa.select(incidents).where(incidents.c.stream == stream, incidents.c.closed.is_(None))
        rows = await self._connection.execute(left.order_by(incidents.c.id))
        ends = {row.id: replace(interrupted(incident_of(row), up.at), stream=up.stream) for row in rows}
        for key, state in self._gates.items():
            # Events recorded without an incident.
            if key[1] == stream and "/" in key[2] and _open(state):
                ends[key[2]] = _ending(up, key[2])
        if ends:
            await self.insert(ends.values())
        for end in ends.values():
            await write_incident(self._connection, end)
            for key in [key for key, state in self._gates.items() if key[1:] == (stream, subject_of(end))]:
                if key[0] in self._subscribed and _open(self._gates[key]):
                    self._step(key, end.at.timestamp(), end)

    async def _deliver(self) -> int:
        missing = {id for _, _, id in self._told} - set(self._known)
        if missing:
            query = sa.select(events.c.id, events.c.document, events.c.held_until).where(events.c.id.in_(missing))
            for row in await self._connection.execute(query):
                self._known[row.id], self._held[row.id] = load_event(row.document), row.held_until
        rows = []
        for subscription, told, id in self._told:
            if id not in self._known:
                # It was erased.
                continue
            event = replace(self._known[id], kind=told.kind)
            message = render_payload(subscription.format, event, flapping=told.flapping)
            if message is not None:
                made = delivery_row(subscription.id, event, message, self._now, flapping=told.flapping)
                rows.append({**made, "next_try": max(self._now, self._held[id])})
        if rows:
            await self._connection.execute(insert(self._connection, deliveries).on_conflict_do_nothing(), rows)
        return len(rows)


async def _subscriptions(connection: AsyncConnection) -> list[Subscription]:
    query = sa.select(subscriptions).where(subscriptions.c.status != Status.DISABLED.value)
    return [subscription_of(row) for row in await connection.execute(query.order_by(subscriptions.c.id))]


def _waiting_for(event: str, subscribed: Sequence[Subscription]) -> sa.Select[Any]:
    """Return the deliveries of an event that no process has claimed yet, not even one that was killed.

    Who claims a delivery writes `touched`, and only once `next_try` has come.
    """
    ids = [webhook_id(event, one.id) for one in subscribed]
    never = (deliveries.c.attempts == 0) & (deliveries.c.owner == "") & (deliveries.c.next_try > deliveries.c.touched)
    query = sa.select(deliveries.c.seq, deliveries.c.kind, deliveries.c.flapping, subscriptions.c.format)
    query = query.join(subscriptions, subscriptions.c.id == deliveries.c.subscription)
    query = query.where(deliveries.c.webhook_id.in_(ids), deliveries.c.status == "pending", never)
    return query.order_by(deliveries.c.seq).with_for_update(of=deliveries)


def _open(state: rule_state.RuleState | None) -> bool:
    return state is not None and (state.opened is not None or (state.raised is not None and state.closing is None))


def _ending(up: Event, face: str) -> Event:
    epoch, track = face.split("/")
    return Event(
        id=str(ULID()),
        kind=EventKind.FAKE_CLOSED,
        stream=up.stream,
        epoch=int(epoch),
        at=up.at,
        track=int(track),
        model=up.model,
        engine=up.engine,
        detail=INTERRUPTED,
        cause=Closing.STREAM_BROKE,
    )
