"""One stream's events on their way into the outbox, those that open with their evidence."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import structlog

from streamguard.errors import StreamguardError
from streamguard.server.evidence import EvidenceKeeper, Material
from streamguard.types import Event, EventKind

log = structlog.get_logger("streamguard.alerts")
PATIENCE = 5.0
"""Seconds that evidence may take; then the alert goes without."""
MOST_MATERIAL = 4
MOST_WAITING = 1000


class AlertFeed:
    """Hands a stream's events over in their order; an alert waits for its evidence, and never long.

    At most 4 alerts wait with what their evidence is made of; later ones go without. At most 1,000 events wait, then
    the oldest update (or the oldest of all) is given up.

    Args:
        stream: the stream's name.
        submit: takes an event into the outbox without waiting.
        keeper: makes evidence; None where none is wanted.
    """

    def __init__(self, stream: str, submit: Callable[[Event], None], keeper: EvidenceKeeper | None) -> None:
        self._stream, self._submit, self._keeper = stream, submit, keeper
        self._waiting: deque[tuple[Event, Material | None]] = deque()
        self._task: asyncio.Task[None] | None = None
        self.dropped = 0
        """Events given up."""

    @property
    def wants_material(self) -> bool:
        """Whether evidence is made."""
        return self._keeper is not None

    def put(self, event: Event, material: Material | None = None) -> None:
        """Add an event; never waits."""
        if self._task is None and (material is None or self._keeper is None):
            self._submit(event)
            return
        if sum(one is not None for _, one in self._waiting) >= MOST_MATERIAL:
            material = None
        if len(self._waiting) >= MOST_WAITING:
            self._drop()
        self._waiting.append((event, material))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"evidence of {self._stream}")

    async def aclose(self) -> None:
        """Hand over what waits."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        try:
            while self._waiting:
                event, material = self._waiting[0]
                if material is not None:
                    event = await self._with_evidence(event, material)
                self._waiting.popleft()
                self._submit(event)
        finally:
            # Ended early, the rest goes as it is.
            while self._waiting:
                self._submit(self._waiting.popleft()[0])
            self._task = None

    async def _with_evidence(self, event: Event, material: Material) -> Event:
        assert self._keeper is not None
        why = "it took too long"
        try:
            async with asyncio.timeout(PATIENCE):
                return replace(event, evidence=await self._keeper.save(event, material))
        except TimeoutError:
            pass
        except StreamguardError as error:
            why = str(error)
        except Exception:
            log.exception("evidence failed", stream=self._stream, id=event.id)
            why = "an error inside the server"
        log.error("alert without evidence", stream=self._stream, id=event.id, detail=why)
        return event

    def _drop(self) -> None:
        # The first one is being worked at.
        rest = range(1, len(self._waiting))
        spare = next((n for n in rest if self._waiting[n][0].kind is EventKind.FAKE_UPDATED), 1)
        log.error("event given up", stream=self._stream, id=self._waiting[spare][0].id)
        del self._waiting[spare]
        self.dropped += 1
