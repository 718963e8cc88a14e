"""Alerts as one service: events in, signed webhooks out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections import deque
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Self

from streamguard.alerts.clock import Clock, wall_clock
from streamguard.alerts.database import Database
from streamguard.alerts.deliverer import Deliverer, Limits
from streamguard.alerts.deliveries import Deliveries
from streamguard.alerts.keys import Sealer, key_of
from streamguard.alerts.outbox import Outbox
from streamguard.alerts.sender import TIMEOUT, Sender
from streamguard.alerts.subscriptions import Subscriptions
from streamguard.alerts.targets import TargetPolicy
from streamguard.errors import OutboxError
from streamguard.types import Event, EventKind

log = logging.getLogger(__name__)

BATCH = 100
MOST_WAITING = 10_000
LONGEST_BACKOFF = 30.0


class Alerts:
    """Everything about alerts behind one door. Made by `open`.

    Attributes:
        subscriptions: who is told what.
        deliveries: the log, replays and tests.
        outbox: commits events; `submit` does so in the background.
        deliverer: sends.
        dropped: events given up since the start, because the database could not be written for so long that 10,000
            were waiting. Updates are given up first.
    """

    def __init__(
        self, subscriptions: Subscriptions, deliveries: Deliveries, outbox: Outbox, deliverer: Deliverer
    ) -> None:
        self.subscriptions, self.deliveries, self.outbox, self.deliverer = subscriptions, deliveries, outbox, deliverer
        self.dropped = 0
        self._waiting: deque[Event] = deque()
        self._holds: dict[str, float] = {}
        self._changed = asyncio.Event()
        self._closing = False

    @classmethod
    @contextlib.asynccontextmanager
    async def open(
        cls,
        url: str,
        key_file: Path,
        *,
        targets: TargetPolicy | None = None,
        tls: ssl.SSLContext | None = None,
        send_timeout: float = TIMEOUT,
        limits: Limits | None = None,
        clock: Clock = wall_clock,
    ) -> AsyncIterator[Self]:
        """Open the database, bring its tables up to date, and begin to deliver what lies in it.

        Args:
            url: `sqlite:///path` or `postgresql://user:password@host/name`.
            key_file: holds the key that seals webhook secrets; made on first use. Every process that shares the
                database needs the same one.
            targets: where webhooks may go; public https only by default.
            tls: certificates to trust; the system's by default.
            send_timeout: seconds for a whole try.
            limits: how much is sent at a time.
            clock: UTC epoch seconds.

        Raises:
            ConfigError: a wrong URL or key file, or a missing driver.
            OutboxError: the database cannot be opened.
        """
        targets = targets or TargetPolicy()
        sealer = Sealer(await asyncio.to_thread(key_of, key_file))
        async with contextlib.AsyncExitStack() as stack:
            database = await stack.enter_async_context(await Database.open(url))
            sender = await stack.enter_async_context(Sender(targets, timeout=send_timeout, tls=tls, clock=clock))
            outbox = Outbox(database, clock=clock)
            deliverer = Deliverer(database, sealer, sender, outbox=outbox, clock=clock, limits=limits)
            alerts = cls(
                Subscriptions(database, sealer, targets, clock=clock, changed=deliverer.wake),
                Deliveries(database, clock=clock, changed=deliverer.wake),
                outbox,
                deliverer,
            )
            await stack.enter_async_context(deliverer)
            writer = asyncio.create_task(alerts._write(), name="alert writer")
            try:
                yield alerts
            finally:
                alerts._closing = True
                alerts._changed.set()
                await writer

    def submit(self, event: Event, hold: float = 0.0) -> None:
        """Take an event in without waiting; it is committed in the background, in order.

        What is submitted and not yet committed lies in memory, for milliseconds while the database works. `record`
        waits for the commit.

        Args:
            event: what happened.
            hold: seconds after the commit that it may wait for `attach` before it is sent.
        """
        if len(self._waiting) >= MOST_WAITING:
            self._drop()
        self._waiting.append(event)
        if hold:
            self._holds[event.id] = hold
        self._changed.set()

    async def record(self, event: Event) -> None:
        """Commit one event, after those submitted before; on return a kill loses it no more.

        Raises:
            OutboxError: it was not kept; record it again.
        """
        while self._waiting:
            await self._commit()
        await self.outbox.record([event])
        self.deliverer.wake()

    async def committed(self, event: str) -> None:
        """Wait until an event that was submitted is committed: on return a kill loses it no more.

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
            if not self._waiting:
                if self._closing:
                    return
                self._changed.clear()
                await self._changed.wait()
                continue
            try:
                await self._commit()
                pause = 0.0
            except OutboxError as error:
                if self._closing and pause:
                    # Tried at least twice: the process has to end.
                    log.error("%d events could not be kept: %s", len(self._waiting), error)
                    self.dropped += len(self._waiting)
                    self._waiting.clear()
                    self._holds.clear()
                    continue
                pause = min(max(2 * pause, 0.1), LONGEST_BACKOFF)
                log.warning("%d events wait %g s to be kept: %s", len(self._waiting), pause, error)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        while not self._closing:
                            self._changed.clear()
                            await self._changed.wait()

    async def _commit(self) -> None:
        batch = [self._waiting[n] for n in range(min(BATCH, len(self._waiting)))]
        try:
            await self.outbox.record(batch, hold=self._holds)
        except OutboxError:
            raise
        except Exception:
            await self._one_by_one(batch)
        kept = {event.id for event in batch}
        while self._waiting and self._waiting[0].id in kept:
            self._holds.pop(self._waiting.popleft().id, None)
        self.deliverer.wake()

    async def _one_by_one(self, batch: list[Event]) -> None:
        """One event that cannot be kept, for a fault of ours, must not hold up the others."""
        for event in batch:
            try:
                await self.outbox.record([event], hold=self._holds)
            except OutboxError:
                raise
            except Exception:
                self.dropped += 1
                log.exception("event %s (%s) could not be kept", event.id, event.kind)

    def _drop(self) -> None:
        self.dropped += 1
        spare = next((event for event in self._waiting if event.kind is EventKind.FAKE_UPDATED), self._waiting[0])
        self._waiting.remove(spare)
        self._holds.pop(spare.id, None)
        log.error("event %s (%s) was given up: %d others wait", spare.id, spare.kind, len(self._waiting))
