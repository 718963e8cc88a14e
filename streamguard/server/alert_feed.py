"""One stream's events on their way into the outbox; those that open are given their evidence there."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from streamguard.errors import OutboxError, StreamguardError
from streamguard.server.evidence import EvidenceKeeper, Material
from streamguard.types import Event

log = structlog.get_logger("streamguard.alerts")
PATIENCE = 5.0
"""Seconds that evidence may take; then the alert goes without."""
HOLD = PATIENCE + 2.0
"""Seconds after its commit that an alert is kept from going out: long enough for the links to be committed, too."""
PAUSES = (0.1, 0.3, 1.0, 3.0)
"""Seconds after each failed try to commit the links."""
MOST_MATERIAL = 4


class Outlet(Protocol):
    """Where events go: `Alerts`."""

    def submit(self, event: Event, hold: float = 0.0) -> None:
        """Take an event in without waiting; it is not sent for `hold` seconds, or until `attach`."""
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
    """

    def __init__(self, stream: str, outlet: Outlet, keeper: EvidenceKeeper | None) -> None:
        self._stream, self._outlet, self._keeper = stream, outlet, keeper
        self._jobs: deque[_Job] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def wants_material(self) -> bool:
        """Whether evidence is made."""
        return self._keeper is not None

    def put(self, event: Event, material: Material | None = None) -> None:
        """Add an event; never waits."""
        if material is None or self._keeper is None or len(self._jobs) >= MOST_MATERIAL:
            self._outlet.submit(event)
            return
        self._outlet.submit(event, HOLD)
        self._jobs.append(_Job(event, material, asyncio.get_running_loop().time() + PATIENCE))
        if self._task is None:
            self._task = asyncio.create_task(self._run(self._keeper), name=f"evidence of {self._stream}")

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
