"""A process that makes events, records and delivers them, until all have arrived: made to be killed and restarted.

Run as a module with one JSON argument: url, key, ca (PEM file), faces, pause (seconds between events).
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ulid import ULID

from streamguard.alerts import Alerts, DeliveryStatus, TargetPolicy
from streamguard.types import Event, EventKind

KINDS = (EventKind.FAKE_OPENED, EventKind.FAKE_UPDATED, EventKind.FAKE_UPDATED, EventKind.FAKE_CLOSED)
AT_ONCE = 10
START = datetime(2026, 1, 1, tzinfo=UTC)
HOLD = 1.0
LINKS = ("https://guard.example/evidence/a/b/manifest.json?expires=1&signature=2",)
AGAIN = 3
"""Events recorded a second time after a restart: their maker cannot know whether they were kept."""


def make_events(faces: int) -> list[Event]:
    """Four events a face, ten faces interleaved; always the same."""
    events: list[Event] = []
    for group in range(0, faces, AT_ONCE):
        for step, kind in enumerate(KINDS):
            for track in range(group, min(group + AT_ONCE, faces)):
                at = START + timedelta(seconds=61 * len(events))
                events.append(
                    Event(
                        id=str(ULID.from_bytes(len(events).to_bytes(16, "big"))),
                        kind=kind,
                        stream="gate",
                        epoch=0,
                        at=at,
                        track=track,
                        time=float(step),
                        score=0.9,
                        share=0.8,
                    )
                )
    return events


async def work(settings: dict[str, Any]) -> None:
    """Record what is not recorded yet, and end when everything is delivered."""
    targets = TargetPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))
    tls = ssl.create_default_context(cafile=settings["ca"])
    async with Alerts.open(settings["url"], Path(settings["key"]), targets=targets, tls=tls) as alerts:
        events = make_events(settings["faces"])
        known, unknown = 0, len(events)
        while known < unknown:
            middle = (known + unknown) // 2
            if await alerts.outbox.event(events[middle].id) is None:
                unknown = middle
            else:
                known = middle + 1
        for event in events[max(0, known - AGAIN) :]:
            if event.kind is EventKind.FAKE_OPENED:
                # It waits for its links, as an alert with evidence does.
                alerts.submit(event, HOLD)
                await alerts.committed(event.id)
                await asyncio.sleep(settings["pause"])
                await alerts.attach(event.id, LINKS)
            else:
                await alerts.record(event)
                await asyncio.sleep(settings["pause"])
        while await alerts.deliveries.list(status=DeliveryStatus.PENDING, limit=1):  # noqa: ASYNC110 - only the log knows
            await asyncio.sleep(0.05)
    print("done", flush=True)


if __name__ == "__main__":
    asyncio.run(work(json.loads(sys.argv[1])))
