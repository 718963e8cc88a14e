"""Alerts as one service: events in, signed webhooks out."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self

from streamguard.alerts.audit import AuditEntry, AuditLog
from streamguard.alerts.database import Database
from streamguard.alerts.deliverer import Deliverer, Limits
from streamguard.alerts.deliveries import Deliveries
from streamguard.alerts.fencing import Fence
from streamguard.alerts.history import History
from streamguard.alerts.incident_rows import Incident, Samples
from streamguard.alerts.kept_streams import KeptStreams
from streamguard.alerts.keys import Sealer, key_of
from streamguard.alerts.notices import NoticeOptions, Notifier
from streamguard.alerts.outbox import Outbox
from streamguard.alerts.sender import WebhookSender
from streamguard.alerts.subscriptions import Subscriptions
from streamguard.alerts.targets import TargetPolicy
from streamguard.clock import Clock, wall_clock
from streamguard.errors import OutboxError
from streamguard.logs import get_logger
from streamguard.types import Event, EventKind

log = get_logger(__name__)

BATCH = 100
MOST_WAITING = 10_000
MOST_SAMPLED = 1000
LONGEST_BACKOFF = 30.0


class Alerts:
    """Alerts: outbox, deliveries, history and evidence in one service. Made by `open`.

    Attributes:
        subscriptions: who is told what.
        deliveries: the log, replays and tests.
        outbox: commits events; `submit` does so in the background.
        deliverer: sends.
        history: events and incidents, to be read.
        streams: those that are kept over a restart.
        audit: who did what.
        dropped: events given up since the start, because the database could not be written for so long that 10,000
            were waiting. Updates are given up first.
        refused: events since the start of streams that another worker held by then.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        deliveries: Deliveries,
        outbox: Outbox,
        deliverer: Deliverer,
        history: History,
        streams: KeptStreams,
        audit: AuditLog,
    ) -> None:
        self.subscriptions, self.deliveries, self.outbox, self.deliverer = subscriptions, deliveries, outbox, deliverer
        self.history, self.streams, self.audit = history, streams, audit
        self.dropped = self.refused = 0
        self._samples: dict[str, tuple[Samples, Fence | None]] = {}
        self._entries: deque[AuditEntry] = deque(maxlen=MOST_WAITING)
        self._waiting: deque[Event] = deque()
        self._holds: dict[str, float] = {}
        self._fences: dict[str, Fence] = {}
        self._changed = asyncio.Event()
        self._closing = False

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        url: str | None,
        key_file: Path | None,
        *,
        targets: TargetPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        notices: NoticeOptions | None = None,
        limits: Limits | None = None,
        clock: Clock = wall_clock,
    ) -> AsyncIterator[Self]:
        """Open the database, bring its tables up to date, and begin to deliver what lies in it.

        Args:
            url: `sqlite:///path` or `postgresql://user:password@host/name`; None keeps all in memory.
            key_file: holds the key that seals webhook secrets; made on first use. Every process that shares the
                database needs the same one. None makes one that is gone with the process.
            targets: where webhooks may go; public https only by default.
            tls: certificates to trust; the system's by default.
            notices: what those to people are made of.
            limits: how much is sent at a time.
            clock: UTC epoch seconds.

        Raises:
            ConfigError: a wrong URL or key file, or a missing driver.
            OutboxError: the database cannot be opened.
        """
        targets = targets or TargetPolicy()
        sealer = Sealer(await asyncio.to_thread(key_of, key_file) if key_file is not None else Sealer.new_key())
        async with contextlib.AsyncExitStack() as stack:
            database = await stack.enter_async_context(
                await (Database.open(url) if url is not None else Database.in_memory())
            )
            sender = await stack.enter_async_context(WebhookSender(targets, tls=tls, clock=clock))
            notifier = await stack.enter_async_context(Notifier(notices or NoticeOptions()))
            outbox = Outbox(database, clock=clock)
            deliverer = Deliverer(database, sealer, sender, outbox=outbox, clock=clock, limits=limits)
            deliverer.notifier = notifier
            alerts = cls(
                Subscriptions(database, sealer, targets, clock=clock, changed=deliverer.wake),
                Deliveries(database, clock=clock, changed=deliverer.wake),
                outbox,
                deliverer,
                History(database, clock=clock),
                KeptStreams(database, sealer, clock=clock),
                AuditLog(database),
            )
            await alerts.history.count_marks()
            await stack.enter_async_context(deliverer)
            writer = asyncio.create_task(alerts._write(), name="alert writer")
            try:
                yield alerts
            finally:
                alerts._closing = True
                alerts._changed.set()
                await writer

    def submit(self, event: Event, hold: float = 0.0, fence: Fence | None = None) -> None:
        """Take an event in without waiting; it is committed in the background, in order.

        What is submitted and not yet committed lies in memory, for milliseconds while the database works. `record`
        waits for the commit.

        Args:
            event: what happened.
            hold: seconds after the commit that it may wait for `attach` before it is sent.
            fence: what must hold at the commit for it to be kept at all.
        """
        if len(self._waiting) >= MOST_WAITING:
            self._drop()
        self._waiting.append(event)
        if hold:
            self._holds[event.id] = hold
        if fence is not None:
            self._fences[event.id] = fence
        self._changed.set()

    def submit_samples(self, incident: str, samples: Samples, fence: Fence | None = None) -> None:
        """Take in an incident's scores since it last opened; they are kept in the background, or lost by a kill."""
        self._samples[incident] = (samples, fence)
        if len(self._samples) > MOST_SAMPLED:
            del self._samples[next(iter(self._samples))]
        self._changed.set()

    def submit_audit(self, entry: AuditEntry) -> None:
        """Keep an entry in the background; the oldest of 10,000 that wait is lost."""
        self._entries.append(entry)
        self._changed.set()

    async def settle_audit(self) -> None:
        """Keep the entries that were submitted.

        Raises:
            OutboxError: they could not be kept yet, and go on waiting.
        """
        while batch := [self._entries[n] for n in range(min(BATCH, len(self._entries)))]:
            try:
                await self.audit.save(batch)
            except OutboxError:
                raise
            except Exception:
                # They are in the log; what follows must not be held up.
                log.exception("audit entries could not be kept")
            while self._entries and self._entries[0] in batch:
                self._entries.popleft()

    async def recent(self, stream: str, since: datetime) -> list[Incident]:
        """Return the same as `History`, with all events submitted so far.

        Raises:
            OutboxError: the database failed.
        """
        await self.settle()
        return await self.history.recent(stream, since)

    async def settle(self) -> None:
        """Commit what was submitted: what is read on return is not older than the call.

        Raises:
            OutboxError: it could not be kept yet; it goes on waiting in memory.
        """
        while self._waiting:
            await self._commit()

    async def record(self, event: Event) -> None:
        """Commit one event, after those submitted before; after the return a kill cannot lose it.

        Raises:
            OutboxError: it was not kept; record it again.
        """
        await self.settle()
        await self.outbox.record([event])
        self.deliverer.wake()

    async def committed(self, event: str) -> None:
        """Wait until an event that was submitted is committed: after the return a kill cannot lose it.

        Args:
            event: its id.

        Raises:
            OutboxError: it could not be kept yet; it goes on waiting in memory.
        """
        while any(waiting.id == event for waiting in self._waiting):
            await self._commit()

    async def attach(self, event: str, links: Sequence[str]) -> None:
        """Give an event that was submitted its links to evidence, and send what waited for them.

        Args:
            event: its id.
            links: none where no evidence could be made.

        Raises:
            OutboxError: they could not be kept; the event goes out without once its hold is over.
        """
        await self.committed(event)
        await self.outbox.attach(event, links)
        self.deliverer.wake()

    async def _write(self) -> None:
        pause = 0.0
        while True:
            if not self._waiting and not self._samples and not self._entries:
                if self._closing:
                    return
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                await (self._commit() if self._waiting else self._keep_samples())
                await self.settle_audit()
                pause = 0.0
            except OutboxError as error:
                if self._closing and pause:
                    # Tried at least twice: the process has to end.
                    log.error("events could not be kept", count=len(self._waiting), detail=str(error))
                    self.dropped += len(self._waiting)
                    self._waiting.clear()
                    self._holds.clear()
                    self._fences.clear()
                    self._samples.clear()
                    self._entries.clear()
                    continue
                pause = min(max(2 * pause, 0.1), LONGEST_BACKOFF)
                log.warning("events wait to be kept", count=len(self._waiting), seconds=pause, detail=str(error))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        while not self._closing:
                            self._changed.clear()
                            await self._changed.wait()

    async def _commit(self) -> None:
        batch = [self._waiting[n] for n in range(min(BATCH, len(self._waiting)))]
        # Their own: another commit of the same events, done first, forgets what it was told of them.
        holds, fences = dict(self._holds), dict(self._fences)
        try:
            refused = (await self.outbox.record(batch, hold=holds, fences=fences)).refused
        except OutboxError:
            raise
        except Exception:
            refused = await self._one_by_one(batch, holds, fences)
        kept = {event.id for event in batch}
        while self._waiting and self._waiting[0].id in kept:
            id = self._waiting.popleft().id
            self._holds.pop(id, None)
            self._fences.pop(id, None)
            # Two may commit the same batch; who takes an event out counts it.
            if id in refused:
                self.refused += 1
                log.warning("late event refused: another worker holds the stream", id=id)
        self.deliverer.wake()

    async def _keep_samples(self) -> None:
        pending = dict(self._samples)
        try:
            samples = {incident: found for incident, (found, _) in pending.items()}
            fences = {incident: fence for incident, (_, fence) in pending.items() if fence is not None}
            await self.history.save_samples(samples, fences)
        except OutboxError:
            raise
        except Exception:
            log.exception("scores could not be kept")
        for incident, kept in pending.items():
            if self._samples.get(incident) is kept:
                del self._samples[incident]

    async def _one_by_one(
        self, batch: list[Event], holds: Mapping[str, float], fences: Mapping[str, Fence]
    ) -> frozenset[str]:
        """One event that cannot be kept, for a fault of ours, must not hold up the others."""
        refused: frozenset[str] = frozenset()
        for event in batch:
            try:
                refused |= (await self.outbox.record([event], hold=holds, fences=fences)).refused
            except OutboxError:
                raise
            except Exception:
                self.dropped += 1
                log.exception("event could not be kept", id=event.id, kind=event.kind.value)
        return refused

    def _drop(self) -> None:
        self.dropped += 1
        spare = next((event for event in self._waiting if event.kind is EventKind.FAKE_UPDATED), self._waiting[0])
        self._waiting.remove(spare)
        self._holds.pop(spare.id, None)
        self._fences.pop(spare.id, None)
        log.error("event given up", id=spare.id, kind=spare.kind.value, waiting=len(self._waiting))
