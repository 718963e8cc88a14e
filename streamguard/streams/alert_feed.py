"""One stream's events on their way into the outbox; those that open are given their evidence there."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from streamguard.alerts import Alerts, Incident, Samples
from streamguard.alerts.audit import MOST_ENTRIES
from streamguard.alerts.fencing import Fence
from streamguard.clock import wall_clock
from streamguard.errors import OutboxError, StreamguardError
from streamguard.logs import get_logger
from streamguard.streams.evidence import EvidenceKeeper, Material
from streamguard.types import Event

log = get_logger("streamguard.alerts")
PATIENCE = 5.0
"""Seconds that evidence may take; then the alert goes without."""
HOLD = PATIENCE + 2.0
"""Seconds after its commit that an alert is kept from going out: long enough for the links to be committed, too."""
PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds after each failed try to commit the links."""
MOST_MATERIAL = 4
STALE = 600.0
"""Seconds; an open incident is heard of each minute."""
MOST_IN_MEMORY = 10_000


class Outlet(Protocol):
    """Receiver of events and scores: `Alerts`."""

    def submit(self, event: Event, hold: float = 0.0, fence: Fence | None = None) -> None:
        """Take an event in without waiting; it is not sent for `hold` seconds, or until `attach`."""
        ...

    def submit_samples(self, incident: str, samples: Samples, fence: Fence | None = None) -> None:
        """Take in an incident's scores since it last opened, without waiting."""
        ...

    async def recent(self, stream: str, since: datetime) -> list[Incident]:
        """The stream's incidents that are open, or were heard of since; raises OutboxError."""
        ...

    async def committed(self, event: str) -> None:
        """Wait until the event is committed; raises OutboxError."""
        ...

    async def attach(self, event: str, links: Sequence[str]) -> None:
        """Give the event its links, and send what waited for them; raises OutboxError."""
        ...


@dataclass(frozen=True, slots=True)
class _Job:
    event: Event
    material: Material
    until: float


class AlertFeed:
    """Hands a stream's events over at once, in their order; evidence is made once its alert is committed.

    So a process that is killed while it makes evidence loses the evidence, not the alert: that goes out without, from
    the next process. At most 4 alerts wait for evidence; later ones go without.

    Args:
        stream: the stream's name.
        outlet: takes the events.
        keeper: makes evidence; None where none is wanted.
        fence: refuses what is handed over once another worker holds the stream; None where there are no others.
    """

    def __init__(self, stream: str, outlet: Outlet, keeper: EvidenceKeeper | None, fence: Fence | None = None) -> None:
        self._stream, self._outlet, self._keeper, self._fence = stream, outlet, keeper, fence
        self._jobs: deque[_Job] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def wants_material(self) -> bool:
        """Return whether evidence is made."""
        return self._keeper is not None

    def put(self, event: Event, material: Material | None = None) -> None:
        """Add an event; never waits."""
        if material is None or self._keeper is None or len(self._jobs) >= MOST_MATERIAL:
            self._outlet.submit(event, 0.0, self._fence)
            return
        self._outlet.submit(event, HOLD, self._fence)
        self._jobs.append(_Job(event, material, asyncio.get_running_loop().time() + PATIENCE))
        if self._task is None:
            self._task = asyncio.create_task(self._run(self._keeper), name=f"evidence of {self._stream}")

    def put_samples(self, incident: str, samples: Samples) -> None:
        """Keep an incident's scores since it last opened; never waits."""
        self._outlet.submit_samples(incident, samples, self._fence)

    async def recent(self, since: datetime) -> list[Incident]:
        """The stream's incidents that are open, or were heard of since (UTC), oldest first; raises OutboxError."""
        return await self._outlet.recent(self._stream, since)

    async def aclose(self) -> None:
        """Finish the evidence that was begun."""
        if self._task is not None:
            await self._task

    async def _run(self, keeper: EvidenceKeeper) -> None:
        try:
            while self._jobs:
                job = self._jobs[0]
                # While the database cannot be written, the event waits in memory, and evidence need not.
                with contextlib.suppress(OutboxError):
                    await self._outlet.committed(job.event.id)
                await self._attach(job.event, await self._evidence(keeper, job))
                self._jobs.popleft()
        finally:
            # What is left goes out by itself, without.
            self._jobs.clear()
            self._task = None

    async def _attach(self, event: Event, links: Sequence[str]) -> None:
        for pause in PAUSES:
            try:
                await self._outlet.attach(event.id, links)
                return
            except OutboxError as error:
                why = str(error)
                await asyncio.sleep(pause)
        log.error("alert without evidence", stream=self._stream, id=event.id, detail=why)

    async def _evidence(self, keeper: EvidenceKeeper, job: _Job) -> tuple[str, ...]:
        """The links; none where there is no evidence."""
        why = "it took too long"
        try:
            async with asyncio.timeout_at(job.until):
                return await keeper.save(job.event, job.material)
        except TimeoutError:
            pass
        except StreamguardError as error:
            why = str(error)
        except Exception:
            log.exception("evidence failed", stream=self._stream, id=job.event.id)
            why = "an error inside the server"
        log.error("alert without evidence", stream=self._stream, id=job.event.id, detail=why)
        return ()


class AlertRuntime:
    """Alerts as the server sees them.

    Attributes:
        alerts: the outbox and all around it.
        evidence: None where none is kept.
        lasting: alerts are switched on; False keeps events and incidents in memory, and sends nothing.
    """

    def __init__(self, alerts: Alerts, evidence: EvidenceKeeper | None, *, lasting: bool = True) -> None:
        self.alerts, self.evidence, self.lasting = alerts, evidence, lasting

    def feed(self, stream: str, fence: Fence | None = None) -> AlertFeed:
        """The way of a stream's events into the outbox."""
        return AlertFeed(stream, self.alerts, self.evidence, fence)

    async def tidy(self, keep: float, keep_audit: float) -> None:
        """Remove events, incidents and deliveries older than `keep` seconds, entries of the audit log older than
        `keep_audit`, and evidence that is due.

        An incident that was left open and is not heard of any more is closed: its server was killed.
        """
        now = wall_clock()
        for closed in await self.alerts.outbox.close_stale(now - STALE):
            log.warning("incident closed that was left open", stream=closed.stream, incident=closed.incident)
        await self.alerts.outbox.purge(now - keep)
        await self.alerts.audit.purge(now - keep_audit, MOST_ENTRIES if self.lasting else MOST_IN_MEMORY)
        if not self.lasting:
            await self.alerts.history.trim(MOST_IN_MEMORY)
        await self.alerts.history.count_marks()
        if self.evidence is not None:
            swept = await self.evidence.sweep()
            if swept.events:
                log.info("evidence removed", events=swept.events, bytes=swept.bytes)
