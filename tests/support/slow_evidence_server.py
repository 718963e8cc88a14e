"""A server whose evidence is never finished: made to be killed while an alert waits for it.

Run as a module with one JSON argument, the settings. Prints where it listens, and the id of each event whose evidence
was begun.
"""

from __future__ import annotations

import asyncio
import json
import sys

from streamguard.config import Config
from streamguard.pipeline.guard import Guard
from streamguard.server.app import serving
from streamguard.streams.alert_feed import AlertRuntime
from streamguard.streams.evidence import EvidenceKeeper, Material
from streamguard.types import Event
from tests.support.settings import config_of


class Endless(EvidenceKeeper):
    """Begins, and never ends."""

    def __init__(self) -> None:
        pass

    async def save(self, event: Event, material: Material) -> tuple[str, ...]:
        """Waits to be killed."""
        print(f"begun {event.id}", flush=True)
        await asyncio.Event().wait()
        raise AssertionError


async def serve(settings: Config) -> None:
    """Serve until killed; streams that are added have endless evidence."""
    async with Guard.open(settings.engine.model, settings.engine.engine) as guard, serving(settings, guard) as server:
        assert server.hub.desk is not None
        server.hub.desk = AlertRuntime(server.hub.desk.alerts, Endless())
        print(f"open {server.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(config_of(**json.loads(sys.argv[1]))))
