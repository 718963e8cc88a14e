"""The REST API under /api/v1."""

from __future__ import annotations

import asyncio
from typing import get_args

from aiohttp import web

from streamguard.config import IceServerSettings, Scope
from streamguard.inference import factories
from streamguard.media import SourceOptions
from streamguard.models import available
from streamguard.pipeline.guard import WatchOptions
from streamguard.server import documents as docs
from streamguard.server.auth import forbidden
from streamguard.server.event_log import EventLog
from streamguard.server.hub import Hub
from streamguard.server.live_stream import LiveStream
from streamguard.server.messages import event_document
from streamguard.server.operations import Answer, Call, Operation, json_answer
from streamguard.server.problems import Problem, not_found
from streamguard.server.pulled import Pulled
from streamguard.server.source_policy import SourcePolicy
from streamguard.server.sse import EVENT_STREAM, send_events

V1 = "/api/v1"
_JPEG = "image/jpeg"


class Api:
    """The handlers.

    Args:
        hub: the streams.
        events: what happened.
        policy: which sources may be added.
        ice_servers: told to browsers.
    """

    def __init__(self, hub: Hub, events: EventLog, policy: SourcePolicy, ice_servers: list[IceServerSettings]) -> None:
        self._hub, self._events, self._policy, self._ice_servers = hub, events, policy, ice_servers

    def operations(self) -> list[Operation]:
        """The operations of the API."""
        stream = f"{V1}/streams/{{stream}}"
        one = (Answer(200, "The stream.", docs.StreamDocument),)
        made = (Answer(201, "It was added.", docs.StreamDocument, {"Location": "Its URL."}),)
        refused = (403, 409, 413, 415, 422, 503)
        picture = (Answer(200, "The picture.", _JPEG),)
        return [
            Operation(
                "GET",
                f"{V1}/streams",
                "listStreams",
                "All streams that may be seen.",
                "own",
                self.list_streams,
                (Answer(200, "The streams.", docs.StreamsDocument),),
            ),
            Operation(
                "POST",
                f"{V1}/streams",
                "addStream",
                "Fetch and judge a stream.",
                "admin",
                self.add_stream,
                made,
                refused,
                body=docs.NewStream,
            ),
            Operation("GET", stream, "getStream", "How a stream does.", "own", self.get_stream, one, (404,)),
            Operation(
                "PATCH",
                stream,
                "changeStream",
                "Change a stream's source or options.",
                "admin",
                self.change_stream,
                one,
                (404, *refused),
                body=docs.StreamChange,
            ),
            Operation(
                "DELETE",
                stream,
                "removeStream",
                "End a stream.",
                "admin",
                self.remove_stream,
                (Answer(204, "It has ended."),),
                (404,),
            ),
            Operation(
                "GET",
                f"{stream}/events",
                "followStream",
                "Verdicts, alerts and states as they come.",
                "own",
                self.follow,
                (Answer(200, "Events `verdict`, `alert`, `state` and `erased`, without end.", EVENT_STREAM),),
                (404,),
                headers={"Last-Event-ID": "The last alert that was received."},
                token_in_query=True,
            ),
            Operation(
                "GET",
                f"{stream}/snapshot",
                "streamSnapshot",
                "The newest judged frame.",
                "own",
                self.stream_snapshot,
                picture,
                (404, 422),
                query=docs.SnapshotQuery,
                token_in_query=True,
            ),
            Operation(
                "GET",
                f"{V1}/events",
                "listEvents",
                "What happened, newest first.",
                "view",
                self.list_events,
                (Answer(200, "A page of events.", docs.EventsDocument),),
                (422,),
                query=docs.EventQuery,
            ),
            Operation(
                "GET",
                f"{V1}/events/{{event}}/snapshot",
                "eventSnapshot",
                "The frame at which a fake opened.",
                "view",
                self.event_snapshot,
                picture,
                (404,),
                token_in_query=True,
            ),
            Operation(
                "GET",
                f"{V1}/engines",
                "listEngines",
                "What can judge here, and what does.",
                "view",
                self.list_engines,
                (Answer(200, "Models and engines.", docs.EnginesDocument),),
            ),
            Operation(
                "GET",
                f"{V1}/ice-servers",
                "listIceServers",
                "STUN and TURN servers for the browser.",
                "own",
                self.list_ice_servers,
                (Answer(200, "The servers.", docs.IceServersDocument),),
            ),
            Operation(
                "GET",
                f"{V1}/access",
                "getAccess",
                "What the token of this request opens.",
                "own",
                self.get_access,
                (Answer(200, "Its scopes.", docs.AccessDocument),),
            ),
        ]

    async def list_streams(self, call: Call[None, None]) -> web.Response:
        """GET /streams."""
        seen = [each.document() for each in self._hub.streams() if call.caller.may_view(each.owner)]
        return json_answer(docs.StreamsDocument(streams=seen))

    async def add_stream(self, call: Call[docs.NewStream, None]) -> web.Response:
        """POST /streams."""
        new = call.body
        name = new.name or self._hub.free_name(new.source)
        self._hub.check_room(name)
        source = await self._policy.checked(new.source)
        options = SourceOptions(transport=new.transport, redirects=self._policy.redirects)
        watch = WatchOptions(judged_per_second=new.judged_per_second, priority=new.priority)
        stream = self._hub.pull(name, Pulled(source, options, new.loop, watch))
        return json_answer(stream.document(), 201, {"Location": f"{V1}/streams/{name}"})

    async def get_stream(self, call: Call[None, None]) -> web.Response:
        """GET /streams/{stream}."""
        return json_answer(self._visible(call).document())

    async def change_stream(self, call: Call[docs.StreamChange, None]) -> web.Response:
        """PATCH /streams/{stream}."""
        change, name = call.body, call.part("stream")
        self._hub.find(name)
        source = await self._policy.checked(change.source) if change.source is not None else None
        redirects = self._policy.redirects if source is not None else None
        stream = await self._hub.change(name, source, change.transport, change.loop, redirects)
        return json_answer(stream.document())

    async def remove_stream(self, call: Call[None, None]) -> web.Response:
        """DELETE /streams/{stream}."""
        name = call.part("stream")
        self._hub.find(name)
        await self._hub.close(name)
        return web.Response(status=204)

    async def follow(self, call: Call[None, None]) -> web.StreamResponse:
        """GET /streams/{stream}/events."""
        return await send_events(call.request, self._visible(call), self._events)

    async def stream_snapshot(self, call: Call[None, docs.SnapshotQuery]) -> web.Response:
        """GET /streams/{stream}/snapshot."""
        stream = self._visible(call)
        jpeg = await stream.picture(mask=bool(call.query.mask))
        if jpeg is None:
            detail = f"No frame of `{stream.name}` has been judged yet."
            raise Problem(404, "no-picture", detail, "Ask again once it is up.")
        return _picture(jpeg)

    async def list_events(self, call: Call[None, docs.EventQuery]) -> web.Response:
        """GET /events."""
        query = call.query
        found, following = self._events.find(
            limit=query.limit,
            stream=query.stream,
            kind=query.kind,
            since=query.since,
            until=query.until,
            cursor=query.cursor,
        )
        events = [event_document(event, has_picture=self._events.has_picture(event.id)) for event in found]
        return json_answer(docs.EventsDocument(events=events, next=following))

    async def event_snapshot(self, call: Call[None, None]) -> web.Response:
        """GET /events/{event}/snapshot."""
        jpeg = self._events.picture(call.part("event"))
        if jpeg is None:
            raise not_found("picture of event", call.part("event"), "It was never made, or is no longer kept.")
        return _picture(jpeg)

    async def list_engines(self, call: Call[None, None]) -> web.Response:
        """GET /engines."""
        guard = self._hub.guard
        health = guard.engine_health

        def probe() -> docs.EnginesDocument:
            engines = [
                docs.EngineDocument(
                    name=name,
                    available=(found := factory.probe()).available,
                    in_use=name == health.engine,
                    reason=found.reason,
                    failures=health.failures.get(name, 0),
                )
                for name, factory in factories().items()
            ]
            return docs.EnginesDocument(
                model=guard.model_label,
                engine=guard.engine_label,
                state=health.state,
                detail=health.detail,
                models=sorted(available()),
                engines=engines,
            )

        return json_answer(await asyncio.to_thread(probe))

    async def get_access(self, call: Call[None, None]) -> web.Response:
        """GET /access."""
        return json_answer(docs.AccessDocument(scopes=sorted(filter(call.caller.may, get_args(Scope)))))

    async def list_ice_servers(self, call: Call[None, None]) -> web.Response:
        """GET /ice-servers."""
        servers = [
            docs.IceServerDocument(
                urls=each.urls,
                username=each.username,
                credential=each.credential.get_secret_value() if each.credential else None,
            )
            for each in self._ice_servers
        ]
        return json_answer(docs.IceServersDocument(ice_servers=servers))

    def _visible(self, call: Call[None, docs.SnapshotQuery] | Call[None, None]) -> LiveStream:
        if not (call.caller.may("view") or call.caller.may("publish")):
            raise forbidden("view")
        stream = self._hub.find(call.part("stream"))
        if not call.caller.may_view(stream.owner):
            raise forbidden("view")
        return stream


def _picture(jpeg: bytes) -> web.Response:
    return web.Response(body=jpeg, content_type=_JPEG, headers={"Cache-Control": "no-store"})
