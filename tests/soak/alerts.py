"""Whether every alert came."""

from __future__ import annotations

import asyncio
import contextlib

from streamguard.alerts.deliveries import Delivery, DeliveryStatus
from streamguard.server.app import Server
from streamguard.types import Event, EventKind
from tests.soak.receiver import Receiver
from tests.soak.report import AlertsDocument

_LOOK = 0.5
_PAGE = 500


class AlertBook:
    """Remembers what had to be sent, and compares it with the outbox and the receiver.

    Args:
        server: whose events count from now on.
        receiver: gets them all.
    """

    def __init__(self, server: Server, receiver: Receiver) -> None:
        assert server.hub.desk is not None
        self._alerts, self._receiver = server.hub.desk.alerts, receiver
        self._expected: set[str] = set()
        self._opened: set[str] = set()
        server.events.added.listen(self._take)

    def _take(self, event: Event) -> None:
        if event.kind is EventKind.FAKE_OPENED:
            self._opened.add(event.id)
        # Of those a rule tells one a minute.
        if event.kind is not EventKind.FAKE_UPDATED:
            self._expected.add(event.id)

    async def settled(self, patience: float, *, cut_short: bool = False) -> AlertsDocument:
        """Wait until everything has come, or for so many seconds; then say what did not.

        What is still to be sent then is lost, unless the run was `cut_short`.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                while await self._missing():  # noqa: ASYNC110 - nobody tells what the database holds
                    await asyncio.sleep(_LOOK)
        rows = await self._rows()
        received = {row.event for row in rows if self._came(row)}
        waiting = {row.event for row in rows if cut_short and row.status is DeliveryStatus.PENDING} - received
        settled = received | waiting
        return AlertsDocument(
            events=len(self._expected),
            sent=len(rows),
            received=sum(self._came(row) for row in rows),
            repeated=self._receiver.repeated,
            lost=len(self._expected - settled) + len({row.event for row in rows} - self._expected - settled),
            waiting=len(waiting),
            without_evidence=await self._without_evidence(),
        )

    async def _missing(self) -> bool:
        rows = await self._rows()
        return bool(self._expected - {row.event for row in rows if self._came(row)})

    def _came(self, row: Delivery) -> bool:
        return row.status is DeliveryStatus.DELIVERED and row.webhook_id in self._receiver.ids

    async def _rows(self) -> list[Delivery]:
        rows: list[Delivery] = []
        while page := await self._alerts.deliveries.list(after=rows[-1].seq if rows else 0, limit=_PAGE):
            rows += page
        return rows

    async def _without_evidence(self) -> int:
        kept = [await self._alerts.outbox.event(id) for id in self._opened]
        return sum(1 for event in kept if event is None or not event.evidence)
