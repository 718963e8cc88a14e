"""Evidence over HTTP: read by signed links, erased by stream."""

from __future__ import annotations

import base64

from aiohttp import web

from streamguard.server import webhook_documents as docs
from streamguard.server.alert_problems import as_problems, desk_of, memory_of
from streamguard.server.api import V1
from streamguard.server.operations import Call, Operation, Success, json_answer
from streamguard.server.problems import not_found
from streamguard.streams.hub import Hub
from streamguard.streams.stream_events import Erased

_TYPES = {".jpg": "image/jpeg", ".mp4": "video/mp4", ".webm": "video/webm", ".json": "application/json"}


class EvidenceApi:
    """The handlers.

    Args:
        hub: knows the alerts.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def operations(self) -> list[Operation]:
        """The operations."""
        return [
            Operation(
                "GET",
                "/evidence/{folder}/{event}/{file}",
                "evidence",
                "A file of an alert's evidence, by the signed link in the alert.",
                "nothing",
                self.file,
                (Success(200, "The file.", "application/octet-stream"),),
                (403, 404, 410, 422, 503),
                query=docs.EvidenceQuery,
            ),
            Operation(
                "GET",
                f"{V1}/evidence",
                "describeEvidence",
                "Whether evidence is kept, and how to verify it.",
                "view",
                self.describe,
                (Success(200, "The key.", docs.EvidenceDocument),),
                (503,),
                by_stream=True,
            ),
            Operation(
                "DELETE",
                f"{V1}/streams/{{stream}}/evidence",
                "eraseEvidence",
                "Erase all evidence and pictures of a stream, also of one that has ended; its incidents if asked for.",
                "admin",
                self.erase,
                (Success(200, "They are erased.", docs.ErasedDocument),),
                (422, 503),
                query=docs.EraseQuery,
            ),
        ]

    async def file(self, call: Call[None, docs.EvidenceQuery]) -> web.StreamResponse:
        """GET /evidence/{folder}/{event}/{file}."""
        keeper = desk_of(self._hub).evidence
        path = "/".join(call.part(name) for name in ("folder", "event", "file"))
        if keeper is None:
            raise not_found("evidence", path, "This server keeps none.")
        async with as_problems():
            found = await keeper.find(path, call.query.model_dump())
        # The query is a key: the link must neither be kept by a cache nor passed on.
        headers = {"Cache-Control": "private, no-store", "Content-Type": _TYPES.get(found.suffix, "text/plain")}
        return web.FileResponse(found, headers=headers)

    async def describe(self, call: Call[None, None]) -> web.Response:
        """GET /evidence."""
        keeper = desk_of(self._hub).evidence
        key = base64.b64encode(keeper.public_key).decode() if keeper is not None else None
        return json_answer(docs.EvidenceDocument(enabled=keeper is not None, public_key=key))

    async def erase(self, call: Call[None, docs.EraseQuery]) -> web.Response:
        """DELETE /streams/{stream}/evidence."""
        stream, desk = call.part("stream"), memory_of(self._hub)
        count = incidents = 0
        async with as_problems():
            if desk.evidence is not None:
                count = await desk.evidence.erase(stream)
        self._hub.events.forget_pictures(stream)
        for each in self._hub.streams():
            if each.name == stream:
                each.notices.publish(Erased())
        async with as_problems():
            await desk.alerts.settle()
            await desk.alerts.history.forget_evidence(stream)
            if call.query.incidents:
                incidents = await desk.alerts.history.erase(stream)
        return json_answer(docs.ErasedDocument(events=count, incidents=incidents))
