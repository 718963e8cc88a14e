"""Clips of incidents, judged again for who looks at them."""

from __future__ import annotations

import asyncio
import base64

from aiohttp import web

from streamguard.pipeline.judged_clip import judged_clip
from streamguard.server import incident_documents as docs
from streamguard.server.alert_problems import as_problems
from streamguard.server.api import V1
from streamguard.server.incident_api import may_see
from streamguard.server.memory import Memory
from streamguard.server.operations import Call, Operation, Success, json_answer
from streamguard.server.problems import Problem, not_found

_WAITING = 3


class ClipApi:
    """The handlers. One clip is judged at a time, so that live streams have the rest.

    Args:
        memory: what happened.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._turn = asyncio.Lock()
        self._asked = 0

    def operations(self) -> list[Operation]:
        """The operations."""
        return [
            Operation(
                "GET",
                f"{V1}/incidents/{{incident}}/clips/{{event}}",
                "judgeClip",
                "The seconds before an opening with the mask painted, and the score of each judged frame. "
                "It is judged when it is asked for, which takes some seconds.",
                "view",
                self.judge,
                (Success(200, "The clip.", docs.JudgedClipDocument),),
                (404, 503),
                by_stream=True,
            )
        ]

    async def judge(self, call: Call[None, None]) -> web.Response:
        """GET /incidents/{incident}/clips/{event}."""
        history, id, key = await self._memory.history(), call.part("incident"), call.part("event")
        async with as_problems():
            incident = may_see(await history.incident(id), call.caller)
            event = next((each for each in await history.events_of(id) if each.id == key), None)
        clip = await self._memory.clip(event) if event is not None else None
        if clip is None:
            raise not_found("clip", key, "None is kept of this event.")
        guard = self._memory.guard(incident.model)
        if guard is None:
            raise not_found("detector", incident.model, "The detector of the incident is not in use here any more.")
        if self._asked >= _WAITING:
            detail = "Other clips are being judged."
            raise Problem(503, "clips-busy", detail, "Try again in a moment.", {"Retry-After": "5"})
        self._asked += 1
        try:
            name, data = clip
            async with self._turn, as_problems():
                judged = await judged_clip(guard, data, name)
        finally:
            self._asked -= 1
        video = await asyncio.to_thread(lambda: base64.b64encode(judged.video).decode())
        frames = [docs.JudgedFrameDocument(time=each.time, score=each.score) for each in judged.frames]
        return json_answer(docs.JudgedClipDocument(event=key, media_type="video/mp4", video=video, frames=frames))
