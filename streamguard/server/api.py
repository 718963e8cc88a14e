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
from streamguard.server.added_streams import AddedStreams
from streamguard.server.auth import forbidden
from streamguard.server.memory import Memory
from streamguard.server.messages import stream_document
from streamguard.server.operations import Call, Operation, Success, json_answer
from streamguard.server.problems import Problem, not_found
from streamguard.server.source_policy import SourcePolicy
from streamguard.server.sse import EVENT_STREAM, send_events
from streamguard.streams.hub import Hub
from streamguard.streams.live_stream import LiveStream
from streamguard.streams.request import StreamRequest

V1 = "/api/v1"
_JPEG = "image/jpeg"


class Api:
    """The handlers.

    Args:
        hub: the streams.
        memory: what happened.
        policy: which sources may be added.
        added: keeps those that are.
        ice_servers: told to browsers.
    """

    def __init__(
        self,
        hub: Hub,
        memory: Memory,
        policy: SourcePolicy,
        added: AddedStreams,
        ice_servers: list[IceServerSettings],
    ) -> None:
        self._hub, self._memory, self._policy, self._added = hub, memory, policy, added
        self._ice_servers = ice_servers

    def operations(self) -> list[Operation]:
        """The operations of the API."""
        stream = f"{V1}/streams/{{stream}}"
        one = (Success(200, "The stream.", docs.StreamDocument),)
        made = (Success(201, "It was added.", docs.StreamDocument, {"Location": "Its URL."}),)
        refused = (403, 409, 413, 415, 422, 503)
        picture = (Success(200, "The picture.", _JPEG),)
        return [
            Operation(
                "GET",
                f"{V1}/streams",
                "listStreams",
                "All streams that may be seen.",
                "own",
                self.list_streams,
                (Success(200, "The streams.", docs.StreamsDocument),),
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
                "Change a stream's source or options, or how it is judged.",
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
                (Success(204, "It has ended."),),
                (404, 409),
            ),
            Operation(
                "GET",
                f"{stream}/events",
                "followStream",
                "Verdicts, alerts and states as they come.",
                "own",
                self.follow,
                (Success(200, "Events `verdict`, `alert`, `state` and `erased`, without end.", EVENT_STREAM),),
                (404, 503),
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
                f"{stream}/marks",
                "streamMarks",
                "Boxes and masks of the newest judged frame alone, transparent elsewhere.",
                "own",
                self.stream_marks,
                (Success(200, "PNG of the picture's form.", "image/png"),),
                (404,),
                token_in_query=True,
            ),
            Operation(
                "GET",
                f"{V1}/events",
                "listEvents",
                "What happened, newest first.",
                "view",
                self.list_events,
                (Success(200, "A page of events.", docs.EventsDocument),),
                (422, 503),
                query=docs.EventQuery,
                by_stream=True,
            ),
            Operation(
                "GET",
                f"{V1}/events/{{event}}/snapshot",
                "eventSnapshot",
                "The frame at which a fake opened.",
                "view",
                self.event_snapshot,
                picture,
                (404, 503),
                token_in_query=True,
                by_stream=True,
            ),
            Operation(
                "GET",
                f"{V1}/engines",
                "listEngines",
                "What can judge here, and what does.",
                "view",
                self.list_engines,
                (Success(200, "Models and engines.", docs.EnginesDocument),),
                by_stream=True,
            ),
            Operation(
                "GET",
                f"{V1}/ice-servers",
                "listIceServers",
                "STUN and TURN servers for the browser.",
                "own",
                self.list_ice_servers,
                (Success(200, "The servers.", docs.IceServersDocument),),
            ),
            Operation(
                "GET",
                f"{V1}/access",
                "getAccess",
                "What the token of this request opens.",
                "own",
                self.get_access,
                (Success(200, "Its scopes.", docs.AccessDocument),),
            ),
        ]

    async def list_streams(self, call: Call[None, None]) -> web.Response:
        """GET /streams."""
        may = call.caller.may_view
        seen = [stream_document(each.status()) for each in self._hub.streams() if may(each.name, each.owner)]
        return json_answer(docs.StreamsDocument(streams=seen))

    async def add_stream(self, call: Call[docs.NewStream, None]) -> web.Response:
        """POST /streams."""
        self._check_alone()
        new = call.body
        name = new.name or self._hub.free_name(new.source)
        self._hub.check_room(name)
        source = await self._policy.checked(new.source)
        options = SourceOptions(transport=new.transport, redirects=self._policy.redirects)
        most = new.sampling.judged_per_second or new.judged_per_second
        watch = WatchOptions(detect_every=new.sampling.detect_every, judged_per_second=most, priority=new.priority)
        stream = await self._added.add(name, new.source, StreamRequest(source, options, new.loop, watch))
        return json_answer(stream_document(stream.status()), 201, {"Location": f"{V1}/streams/{name}"})

    async def get_stream(self, call: Call[None, None]) -> web.Response:
        """GET /streams/{stream}."""
        return json_answer(stream_document(self._visible(call).status()))

    async def change_stream(self, call: Call[docs.StreamChange, None]) -> web.Response:
        """PATCH /streams/{stream}."""
        self._check_alone()
        change, name = call.body, call.part("stream")
        self._hub.find(name)
        source = await self._policy.checked(change.source) if change.source is not None else None
        redirects = self._policy.redirects if source is not None else None
        stream = await self._hub.change(name, source, change.transport, change.loop, redirects)
        if change.sampling is not None or change.priority is not None:
            watch = stream.request.watch
            asked = change.sampling.model_dump(exclude_unset=True) if change.sampling is not None else {}
            await stream.retune(
                asked.get("judged_per_second", watch.judged_per_second),
                change.priority or watch.priority,
                asked.get("detect_every", watch.detect_every),
            )
        document = stream_document(stream.status())
        await self._added.keep(stream, change.source)
        return json_answer(document)

    async def remove_stream(self, call: Call[None, None]) -> web.Response:
        """DELETE /streams/{stream}."""
        self._check_alone()
        name = call.part("stream")
        self._hub.find(name)
        await self._hub.close(name)
        await self._added.forget(name)
        return web.Response(status=204)

    async def follow(self, call: Call[None, None]) -> web.StreamResponse:
        """GET /streams/{stream}/events."""
        stream = self._visible(call)
        return await send_events(
            call.request, stream, lambda last: self._memory.after(last, stream.name), self._memory.document
        )

    async def stream_snapshot(self, call: Call[None, docs.SnapshotQuery]) -> web.Response:
        """GET /streams/{stream}/snapshot."""
        stream = self._visible(call)
        jpeg = await stream.picture(mask=bool(call.query.mask))
        if jpeg is None:
            detail = f"No frame of `{stream.name}` has been judged yet."
            raise Problem(404, "no-picture", detail, "Ask again once it is up.")
        return _picture(jpeg)

    async def stream_marks(self, call: Call[None, None]) -> web.Response:
        """GET /streams/{stream}/marks."""
        stream = self._visible(call)
        png = await stream.marks()
        if png is None:
            raise Problem(404, "no-picture", f"No frame of `{stream.name}` is judged now.", "Ask again once it is up.")
        return web.Response(body=png, content_type="image/png", headers={"Cache-Control": "no-store"})

    async def list_events(self, call: Call[None, docs.EventQuery]) -> web.Response:
        """GET /events."""
        query = call.query
        while True:
            found, following = await self._memory.find(query)
            seen = [event for event in found if call.caller.may_on("view", event.stream)]
            if seen or following is None:
                return json_answer(docs.EventsDocument(events=seen, next=following))
            query = query.model_copy(update={"cursor": following})

    async def event_snapshot(self, call: Call[None, None]) -> web.Response:
        """GET /events/{event}/snapshot."""
        if not call.caller.may("view"):
            stream = await self._memory.stream_of(call.part("event"))
            if stream is None or not call.caller.may_on("view", stream):
                raise forbidden("view")
        jpeg = await self._memory.picture(call.part("event"))
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
        return json_answer(docs.AccessDocument(scopes=sorted(filter(call.caller.may_somewhere, get_args(Scope)))))

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

    def _check_alone(self) -> None:
        if self._hub.ownership is not None:
            detail = "This is a worker of a cluster: which streams there are is said at the cluster's front door."
            raise Problem(409, "front-door", detail, "Ask there.")

    def _visible(self, call: Call[None, docs.SnapshotQuery] | Call[None, None]) -> LiveStream:
        if not (call.caller.may_somewhere("view") or call.caller.may_somewhere("publish")):
            raise forbidden("view")
        stream = self._hub.find(call.part("stream"))
        if not call.caller.may_view(stream.name, stream.owner):
            raise forbidden("view")
        return stream


def _picture(jpeg: bytes) -> web.Response:
    return web.Response(body=jpeg, content_type=_JPEG, headers={"Cache-Control": "no-store"})
