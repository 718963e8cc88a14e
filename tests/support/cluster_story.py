"""Workers of a cluster whose streams are stories of faces that open and close: made to be killed and paused.

Run as a module. Each line of its input is a life: JSON of url, key, ca (PEM file), seat and pause (seconds between two
things that happen). It is lived by a process of its own, forked, so that libraries are loaded once. Prints the
process's number, then the ids of events that are committed, then how it ended; a line of JSON each.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import os
import ssl
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from ulid import ULID

from streamguard.alerts import Alerts, TargetPolicy
from streamguard.clock import time_kept_by
from streamguard.cluster.leases import LeaseTerms, WorkerRow
from streamguard.cluster.member import ClusterMember, SharedClock
from streamguard.cluster.store import LeaseStore, WorkerCard
from streamguard.streams.alert_feed import AlertRuntime
from streamguard.streams.live_events import LiveEvents
from streamguard.streams.stream_events import StreamEvents
from streamguard.types import Closing
from tests.support.incident_worker import Story, live_each_line

TERMS = LeaseTerms(beat=0.2, lost=1.2, plan=0.1, gather=0.3, alone=20.0)
_WITHIN = 0.0
"""Each opening is an incident of its own."""


class Stories:
    """Opens a story for each stream that the member holds.

    Args:
        alerts: where events are committed.
        pause: seconds between two things that happen.
    """

    def __init__(self, alerts: Alerts, pause: float) -> None:
        self._alerts, self._pause = alerts, pause
        self.member: ClusterMember | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def open(self, stream: str) -> int:
        """As of `StreamOpener`."""
        assert self.member is not None
        live, made = LiveEvents(), list[str]()
        live.added.listen(lambda event: made.append(event.id))
        told = StreamEvents(live, AlertRuntime(self._alerts, None).feed(stream, self.member.fence(stream)), _WITHIN)
        self._tasks[stream] = asyncio.create_task(self._tell(stream, told, made), name=stream)
        return 0

    async def close(self, stream: str, *, moved: bool) -> None:
        """As of `StreamOpener`."""
        task = self._tasks.pop(stream)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def settle(self) -> None:
        """As of `StreamOpener`."""
        await self._alerts.settle()

    def told(self, row: WorkerRow) -> tuple[WorkerRow, WorkerCard]:
        """As of `StreamOpener`."""
        return row, WorkerCard(row.seat, "", "0", pid=os.getpid())

    async def _tell(self, stream: str, told: StreamEvents, made: list[str]) -> None:
        await told.begin()
        story = Story(told, self._alerts, stream)
        try:
            while True:
                refused = self._alerts.refused
                await story.step()
                if self._alerts.refused == refused:
                    print(json.dumps(made), flush=True)
                made.clear()
                await asyncio.sleep(self._pause)
        finally:
            told.end("the stream went to another worker", Closing.STREAM_BROKE)


async def live(settings: dict[str, Any]) -> None:
    """One life."""
    targets = TargetPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))
    tls = ssl.create_default_context(cafile=settings["ca"])
    clock = SharedClock()
    with time_kept_by(clock):
        async with (
            LeaseStore.open(settings["url"], TERMS) as store,
            Alerts.open(settings["url"], Path(settings["key"]), targets=targets, tls=tls, clock=clock) as alerts,
        ):
            clock.read(await store.now(), time.monotonic(), time.monotonic())
            row = WorkerRow(str(ULID()), settings["seat"], settings["seat"], 0, 0.0, 10.0, 10)
            row = replace(row, life=await store.join(row, WorkerCard(settings["seat"], "", "0")))
            stories = Stories(alerts, settings["pause"])
            member = stories.member = ClusterMember(store, settings["url"], row, clock)
            await member.run(stories)


if __name__ == "__main__":
    live_each_line(live)
