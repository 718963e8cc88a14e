"""Where everything is, as a front door knows it: asked of the database, and remembered while that is away."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from streamguard.channel import cancel_and_wait
from streamguard.cluster.leases import StreamLease
from streamguard.cluster.member import SharedClock
from streamguard.cluster.store import LeaseStore, WorkerEntry
from streamguard.errors import OutboxError
from streamguard.logs import get_logger

log = get_logger("streamguard.front")


class Atlas:
    """Workers and leases; an async context manager, looking again each second.

    Args:
        store: the shared truth.
        clock: set by each look.
    """

    def __init__(self, store: LeaseStore, clock: SharedClock) -> None:
        self.store, self._clock = store, clock
        self._workers: list[WorkerEntry] = []
        self._leases: dict[str, StreamLease] = {}
        self._looked = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self.reachable = False
        """Whether the database answered last."""

    async def __aenter__(self) -> Self:
        await self.refresh()
        self._task = asyncio.create_task(self._run(), name="atlas")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await cancel_and_wait(self._task)

    async def refresh(self) -> None:
        """Look now; where the database is away, what was seen last stays."""
        try:
            asked = time.monotonic()
            now = await self.store.now()
            self._clock.read(now, asked, time.monotonic())
            self._workers = await self.store.workers()
            self._leases = {each.stream: each for each in await self.store.leases()}
            self._looked, self.reachable = time.monotonic(), True
        except OutboxError as error:
            if self.reachable:
                log.warning("the database is away; streams are looked for where they were", detail=str(error))
            self.reachable = False

    async def lease(self, stream: str) -> StreamLease | None:
        """The stream's lease as it is now; as it was, while the database is away."""
        try:
            found = await self.store.leases([stream])
        except OutboxError:
            return self._leases.get(stream)
        return found[0] if found else None

    def leases(self) -> list[StreamLease]:
        """All leases, at most a second old while the database is there."""
        return list(self._leases.values())

    def workers(self) -> list[WorkerEntry]:
        """All workers, likewise."""
        return self._workers

    async def worker(self, id: str) -> WorkerEntry | None:
        """The worker of that id, if it lives as far as anybody knows."""
        for _ in range(2):
            found = next((each for each in self._workers if each.row.id == id and not each.row.lost), None)
            if found is not None:
                return found
            await self.refresh()
        return None

    async def listening(self) -> list[WorkerEntry]:
        """Workers that answer requests, those heard of last first."""
        if not self._workers:
            await self.refresh()
        lost = self.store.terms.lost
        alive = [each for each in self._workers if each.card.url and not each.row.lost]
        return sorted(alive, key=lambda each: (each.silent > lost, not each.row.able, each.silent))

    async def report(self) -> dict[str, Any]:
        """How the cluster does, as a document."""
        await self.refresh()
        counts: dict[str, int] = {}
        for each in self._leases.values():
            if each.owner is not None:
                counts[each.owner] = counts.get(each.owner, 0) + 1
        return {
            "database": "ok" if self.reachable else "away",
            "workers": [worker_report(each, counts.get(each.row.id, 0)) for each in self._workers],
            "streams": [
                {
                    "name": each.stream,
                    "owner": each.owner,
                    "target": each.target,
                    "epoch": each.epoch,
                    "priority": each.priority,
                    "published": each.published,
                    "ending": each.ending,
                }
                for each in self._leases.values()
            ],
        }

    async def targets(self) -> list[dict[str, Any]]:
        """Workers as Prometheus is told of them (http_sd_config, file_sd_config)."""
        await self.refresh()
        return [
            {
                "targets": [urlsplit(each.card.url).netloc],
                "labels": {
                    "__scheme__": urlsplit(each.card.url).scheme,
                    "node": each.card.node,
                    "seat": each.row.seat,
                    "domain": each.row.domain,
                },
            }
            for each in self._workers
            if each.card.url and not each.row.lost
        ]

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            await self.refresh()


def worker_report(entry: WorkerEntry, streams: int) -> dict[str, Any]:
    """A worker, as a document."""
    row, card = entry.row, entry.card
    return {
        "id": row.id,
        "node": card.node,
        "seat": row.seat,
        "domain": row.domain,
        "state": worker_state(entry),
        "url": card.url,
        "version": card.version,
        "model": card.model,
        "engine": card.engine,
        "process": card.pid,
        "streams": streams,
        "capacity": round(row.capacity, 1),
        "room": card.room,
        "silent_seconds": round(entry.silent, 1),
        "detail": card.detail,
    }


def worker_state(entry: WorkerEntry) -> str:
    """One word for how a worker does."""
    if entry.row.lost:
        return "lost"
    if not entry.row.able:
        return "unable"
    return {"drain": "draining", "stop": "stopping"}.get(entry.row.order, "up")
