"""Processes in which faces of one stream open, go on and close without end: made to be killed.

Run as a module. Each line of its input is a life: JSON of url, key, ca (PEM file), steps (how many; 0 for no end) and
pause (seconds between them). It is lived by a process of its own, forked, so that libraries are loaded once. Prints the
process's number, then lists of the ids of events that are committed, then how it ended; a line of JSON each.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import random
import ssl
import sys
import traceback
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ulid import ULID

from streamguard.alerts import Alerts, DeliveryStatus, TargetPolicy
from streamguard.clock import wall_time
from streamguard.streams.alert_feed import AlertRuntime
from streamguard.streams.live_events import LiveEvents
from streamguard.streams.stream_events import StreamEvents
from streamguard.types import Closing, Event, EventKind, Verdict

STREAM = "gate"
TRACKS = (1, 2, 3)
CAUSES = (Closing.CLEARED, Closing.LOST)


class Story:
    """Events of three faces, drawn by lot.

    Args:
        told: passes them on.
        alerts: where they are committed.
        stream: whose they are.
    """

    def __init__(self, told: StreamEvents, alerts: Alerts, stream: str = STREAM) -> None:
        self._told, self._alerts, self._stream = told, alerts, stream
        self._epoch, self._open = 0, set[int]()
        self._chance = random.Random()
        self._began = asyncio.get_running_loop().time()

    async def step(self) -> None:
        """One thing more happens, and is seen in a frame."""
        if self._chance.random() < 0.1:
            self._told.end("the stream broke off", Closing.STREAM_BROKE)
            self._open.clear()
            self._epoch += 1
            await self._add(EventKind.STREAM_UP, None)
        track = self._chance.choice(TRACKS)
        if track not in self._open:
            await self._add(EventKind.FAKE_OPENED, track)
            self._open.add(track)
        elif self._chance.random() < 0.3:
            await self._add(EventKind.FAKE_UPDATED, track)
        else:
            await self._add(EventKind.FAKE_CLOSED, track, self._chance.choice(CAUSES))
            self._open.discard(track)

    async def _add(self, kind: EventKind, track: int | None, cause: Closing | None = None) -> None:
        now = asyncio.get_running_loop().time() - self._began
        box = (0.2 * track, 0.2, 0.2 * track + 0.1, 0.4) if track else None
        event = Event(str(ULID()), kind, self._stream, self._epoch, wall_time(), track, now, 0.9, 0.8)
        self._told.add(Event(**{**_fields(event), "cause": cause, "box": box}))
        faces = [
            SimpleNamespace(face=SimpleNamespace(track=each), score=0.9, state=Verdict.FAKE) for each in self._open
        ]
        frame = SimpleNamespace(epoch=self._epoch, time=now)
        state = SimpleNamespace(tracks=dict.fromkeys(TRACKS))
        await self._told.report(SimpleNamespace(frame=frame, faces=faces, state=state), None, _picture)  # type: ignore[arg-type]
        await self._alerts.settle()


async def preload() -> None:
    """Everything that a life needs is loaded."""
    async with Alerts.open(None, None):
        pass


async def _picture() -> bytes:
    return b"jpeg"


def _fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in Event.__slots__}


async def work(settings: dict[str, Any]) -> None:
    """Let things happen; at the end, close what is open and wait until everything is delivered."""
    targets = TargetPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))
    tls = ssl.create_default_context(cafile=settings["ca"])
    async with Alerts.open(settings["url"], Path(settings["key"]), targets=targets, tls=tls) as alerts:
        live = LiveEvents()
        made: list[str] = []
        live.added.listen(lambda event: made.append(event.id))
        told = StreamEvents(live, AlertRuntime(alerts, None).feed(STREAM), within=600.0)
        await told.begin()
        story, step = Story(told, alerts), 0
        while not settings["steps"] or step < settings["steps"]:
            await story.step()
            print(json.dumps(made), flush=True)
            made.clear()
            step += 1
            await asyncio.sleep(settings["pause"])
        told.end("the stream was closed", Closing.STREAM_ENDED)
        await alerts.settle()
        print(json.dumps(made), flush=True)
        await told.aclose()
        while await alerts.deliveries.list(status=DeliveryStatus.PENDING, limit=1):  # noqa: ASYNC110 - only the log knows
            await asyncio.sleep(0.05)


def live_each_line(live: Callable[[dict[str, Any]], Coroutine[Any, Any, None]]) -> None:
    """Live one life after the other, each in a process of its own."""
    # Alembic is loaded where it is used first.
    asyncio.run(preload())
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                asyncio.run(live(json.loads(line)))
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        print(json.dumps({"process": child}), flush=True)
        print(json.dumps({"ended": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}), flush=True)


if __name__ == "__main__":
    live_each_line(work)
