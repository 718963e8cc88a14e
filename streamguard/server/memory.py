"""Past events and incidents of the database, with their pictures and evidence."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from streamguard.alerts import History, Incident
from streamguard.errors import OutboxError
from streamguard.pipeline.guard import Guard
from streamguard.provenance import Credentials, is_file, read_credentials
from streamguard.server.alert_problems import as_problems, memory_of
from streamguard.server.documents import EventDocument, EventQuery
from streamguard.server.incident_documents import EvidenceKind, EvidenceLinkDocument
from streamguard.server.messages import event_document
from streamguard.streams.hub import Hub
from streamguard.streams.live_events import LiveEvents
from streamguard.types import Event

PICTURE, MASKED = "snapshot.jpg", "snapshot-mask.jpg"
_KINDS: dict[str, tuple[EvidenceKind, str]] = {
    PICTURE: ("picture", "image/jpeg"),
    MASKED: ("mask", "image/jpeg"),
    "face.jpg": ("face", "image/jpeg"),
    "clip.mp4": ("clip", "video/mp4"),
    "clip.webm": ("clip", "video/webm"),
    "manifest.json": ("manifest", "application/json"),
    "manifest.sig": ("signature", "application/json"),
}


class Memory:
    """Reads what the server remembers. All methods raise a `Problem` where the database cannot be read.

    Args:
        hub: knows database and evidence.
        events: has the newest pictures.
        anchors: authorities of Content Credentials, as `load_anchors` reads them.
    """

    def __init__(self, hub: Hub, events: LiveEvents, anchors: str = "") -> None:
        self._hub, self._live, self._anchors = hub, events, anchors

    def guard(self, model: str) -> Guard | None:
        """Return the guard of the detector of that name and hash; None where it is no longer here."""
        return next((each for each in self._hub.guards() if each.model_label == model), None)

    async def history(self) -> History:
        """Events and incidents, up to this moment where the database can be written."""
        alerts = memory_of(self._hub).alerts
        with suppress(OutboxError):
            await alerts.settle()
        return alerts.history

    async def find(self, query: EventQuery) -> tuple[list[EventDocument], str | None]:
        """A page of events, newest first, and the cursor of the next one."""
        history = await self.history()
        async with as_problems():
            found, following = await history.events(
                limit=query.limit,
                stream=query.stream,
                kind=query.kind,
                since=query.since,
                until=query.until,
                cursor=query.cursor,
            )
        return await self.documents(found), following

    async def after(self, event: str, stream: str) -> list[EventDocument]:
        """The stream's events after that one, oldest first."""
        history = await self.history()
        async with as_problems():
            found = await history.after(event, stream)
        return await self.documents(found)

    def document(self, event: Event) -> EventDocument:
        """An event that has just happened."""
        return event_document(event, has_picture=self._live.picture(event.id) is not None)

    async def documents(self, events: Sequence[Event]) -> list[EventDocument]:
        """Events with the addresses of their pictures."""
        pictured = await self._pictured(events)
        return [event_document(event, has_picture=event.id in pictured) for event in events]

    async def picture(self, event: str) -> bytes | None:
        """The picture of the event with that id, masks painted; None where none is kept."""
        jpeg = self._live.picture(event)
        keeper = memory_of(self._hub).evidence
        if jpeg is not None or keeper is None:
            return jpeg
        history = await self.history()
        async with as_problems():
            found = await history.event(event)
        return await asyncio.to_thread(keeper.store.read, found, MASKED) if found is not None else None

    async def stream_of(self, event: str) -> str | None:
        """The stream of the event with that id; None where it is not known."""
        history = await self.history()
        async with as_problems():
            found = await history.event(event)
        return found.stream if found is not None else None

    async def pictures(self, event: Event) -> dict[str, bytes]:
        """All pictures of an event by kind: `picture`, `mask` and `face`, as far as they are kept."""
        keeper = memory_of(self._hub).evidence
        found: dict[str, bytes] = {}
        if keeper is not None:
            for name in (PICTURE, MASKED, "face.jpg"):
                data = await asyncio.to_thread(keeper.store.read, event, name)
                if data is not None:
                    found[_KINDS[name][0]] = data
        live = self._live.picture(event.id)
        if live is not None:
            found.setdefault("mask", live)
        return found

    async def credentials(self, incident: Incident) -> Credentials | None:
        """The Content Credentials of the file that an incident's stream plays; None where it plays none, or another."""
        for stream in self._hub.streams():
            source = stream.request.source
            same = stream.name == incident.stream and incident.epoch >= stream.first_epoch
            if same and stream.since <= incident.opened and isinstance(source, str):
                return await asyncio.to_thread(_of_file, source, self._anchors)
        return None

    async def clip(self, event: Event) -> tuple[str, bytes] | None:
        """Name and bytes of the clip of an opening; None where none is kept."""
        keeper = memory_of(self._hub).evidence
        if keeper is None:
            return None
        for name in ("clip.mp4", "clip.webm"):
            data = await asyncio.to_thread(keeper.store.read, event, name)
            if data is not None:
                return name, data
        return None

    async def evidence(self, events: Iterable[Event]) -> list[EvidenceLinkDocument]:
        """Return the kept files of the events, with links that expire."""
        keeper = memory_of(self._hub).evidence
        if keeper is None:
            return []
        store, wanted = keeper.store, [event for event in events if event.evidence]
        kept = await asyncio.to_thread(lambda: [(event.id, store.kept(event)) for event in wanted])
        return [
            EvidenceLinkDocument(event=id, kind=_KINDS[name][0], media_type=_KINDS[name][1], href=f"/evidence/{link}")
            for id, files in kept
            for name, link in files.items()
            if name in _KINDS
        ]

    async def snapshots(self, incidents: Sequence[Incident]) -> dict[str, str]:
        """The address of each incident's newest picture, of those that have one."""
        if not incidents:
            return {}
        history = await self.history()
        async with as_problems():
            opened = await history.openings([each.id for each in incidents])
        documents = await self.documents(opened)
        return {each.incident: each.snapshot for each in documents if each.incident and each.snapshot}

    async def _pictured(self, events: Sequence[Event]) -> set[str]:
        found = {event.id for event in events if self._live.picture(event.id) is not None}
        keeper = memory_of(self._hub).evidence
        rest = [event for event in events if event.evidence and event.id not in found]
        if keeper is not None and rest:
            store = keeper.store
            found |= await asyncio.to_thread(lambda: {event.id for event in rest if MASKED in store.kept(event)})
        return found


def _of_file(source: str, anchors: str) -> Credentials | None:
    return read_credentials(Path(source), anchors) if is_file(source) else None
