"""Evidence over HTTP: by signed links for whoever holds them, and erased by stream."""

from __future__ import annotations

import base64

from aiohttp import web

from streamguard.server import webhook_documents as docs
from streamguard.server.alert_problems import desk_of, told
from streamguard.server.api import V1
from streamguard.server.hub import Hub
from streamguard.server.operations import Answer, Call, Operation, json_answer
from streamguard.server.problems import not_found

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
                (Answer(200, "The file.", "application/octet-stream"),),
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
                (Answer(200, "The key.", docs.EvidenceDocument),),
                (503,),
            ),
            Operation(
                "DELETE",
                f"{V1}/streams/{{stream}}/evidence",
                "eraseEvidence",
                "Erase all evidence and pictures of a stream, one that is no more, too.",
                "admin",
                self.erase,
                (Answer(200, "They are erased.", docs.ErasedDocument),),
                (503,),
            ),
        ]

    async def file(self, call: Call[None, docs.EvidenceQuery]) -> web.StreamResponse:
        """GET /evidence/{folder}/{event}/{file}."""
        keeper = desk_of(self._hub).evidence
        path = "/".join(call.part(name) for name in ("folder", "event", "file"))
        if keeper is None:
            raise not_found("evidence", path, "This server keeps none.")
        async with told():
            found = await keeper.find(path, call.query.model_dump())
        # The query is a key: the link must neither be kept by a cache nor passed on.
        headers = {"Cache-Control": "private, no-store", "Content-Type": _TYPES.get(found.suffix, "text/plain")}
        return web.FileResponse(found, headers=headers)

    async def describe(self, call: Call[None, None]) -> web.Response:
        """GET /evidence."""
        keeper = desk_of(self._hub).evidence
        key = base64.b64encode(keeper.public_key).decode() if keeper is not None else None
        return json_answer(docs.EvidenceDocument(enabled=keeper is not None, public_key=key))

    async def erase(self, call: Call[None, None]) -> web.Response:
        """DELETE /streams/{stream}/evidence."""
        stream, keeper = call.part("stream"), desk_of(self._hub).evidence
        count = 0
        if keeper is not None:
            async with told():
                count = await keeper.erase(stream)
        self._hub.events.forget_pictures(stream)
        for each in self._hub.streams():
            if each.name == stream:
                for reader in each.readers:
                    reader.put_erased()
        return json_answer(docs.ErasedDocument(events=count))
