"""Streams as a front door tells of them and takes them: told by the workers, kept in the database."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from aiohttp import web

from streamguard.clock import wall_time
from streamguard.cluster.atlas import Atlas, worker_state
from streamguard.cluster.placement import Sitting, WorkerSeat, place
from streamguard.cluster.proxy import Proxy, moving
from streamguard.cluster.roster import Roster, WantedStream
from streamguard.cluster.store import WorkerEntry
from streamguard.config import STREAM_NAME, Config, Location, SamplingSettings, StreamSettings
from streamguard.errors import redact
from streamguard.server import documents as docs
from streamguard.server.alert_problems import as_problems
from streamguard.server.api import V1
from streamguard.server.auth import forbidden
from streamguard.server.operations import Call, Operation, Success, json_answer
from streamguard.server.problems import Problem, not_found, overloaded
from streamguard.server.source_policy import SourcePolicy
from streamguard.streams.hub import slug
from streamguard.types import Verdict
from streamguard.verdict import VoteSettings

_AGAIN = 30
_VOTE = VoteSettings()


class DoorStreams:
    """The handlers.

    Args:
        config: of the whole cluster.
        atlas: knows workers and leases.
        roster: the streams that are wanted.
        proxy: asks workers.
    """

    def __init__(self, config: Config, atlas: Atlas, roster: Roster, proxy: Proxy) -> None:
        self._atlas, self._roster, self._proxy = atlas, roster, proxy
        self._policy = SourcePolicy(local=config.server.local_sources)
        self._measured = config.server.admission == "measured"

    def operations(self) -> list[Operation]:
        """The operations that a front door answers itself."""
        all_of, one_of = f"{V1}/streams", f"{V1}/streams/{{stream}}"
        one = (Success(200, "The stream.", docs.StreamDocument),)
        made = (Success(201, "It was added.", docs.StreamDocument, {"Location": "Its URL."}),)
        listed = (Success(200, "The streams.", docs.StreamsDocument),)
        gone = (Success(204, "It ends."),)
        return [
            Operation("GET", all_of, "listStreams", "All streams.", "own", self.list_streams, listed),
            Operation("POST", all_of, "addStream", "Add a stream.", "admin", self.add, made, body=docs.NewStream),
            Operation("GET", one_of, "getStream", "How a stream does.", "own", self.get, one),
            Operation("PATCH", one_of, "changeStream", "Change it.", "admin", self.change, one, body=docs.StreamChange),
            Operation("DELETE", one_of, "removeStream", "End a stream.", "admin", self.remove, gone),
        ]

    async def where(self, name: str, *, published: bool = False) -> WorkerEntry:
        """The worker that holds the stream.

        Args:
            name: of the stream.
            published: somebody wants to send it: where nobody holds it, the worker that shall.

        Raises:
            Problem: 404, there is none; 422, it is no name; 503, it is on its way to another worker, or all are full.
        """
        if not re.fullmatch(STREAM_NAME, name):
            remedy = "Use letters, digits, `.`, `_` and `-`, at most 64."
            raise Problem(422, "bad-name", "This cannot be a stream's name.", remedy)
        lease = await self._atlas.lease(name)
        if lease is None or lease.ending:
            if not published:
                raise not_found("stream", name, "List the streams at /api/v1/streams.")
            return await self._free()
        holder = await self._atlas.worker(lease.owner) if lease.owner is not None else None
        if holder is None:
            raise moving(f"the stream `{name}` is on its way to another worker")
        return holder

    async def list_streams(self, call: Call[None, None]) -> web.Response:
        """GET /streams."""
        told = await self._told(call.request)
        if call.caller.may("view"):
            await self._add_moving(told)
        return web.json_response(
            {"streams": [told[name] for name in sorted(told)]}, headers={"Cache-Control": "no-store"}
        )

    async def get(self, call: Call[None, None]) -> web.StreamResponse:
        """GET /streams/{stream}."""
        name = call.part("stream")
        try:
            worker = await self.where(name)
            answer = await self._proxy.pass_on(call.request, worker, call.request.raw_path, last=False)
            if answer is not None:
                return answer
        except Problem as problem:
            if problem.status != 503:
                raise
        if not call.caller.may_on("view", name):
            raise forbidden("view")
        return json_answer(moving_document(name, await self._wanted(name)))

    async def add(self, call: Call[docs.NewStream, None]) -> web.Response:
        """POST /streams."""
        new = call.body
        name = new.name or self._free_name(new.source)
        await self._free()
        await self._policy.checked(new.source)
        sampling = new.sampling
        if sampling.judged_per_second is None and new.judged_per_second is not None:
            sampling = sampling.model_copy(update={"judged_per_second": new.judged_per_second})
        settings = _settings(
            name=name,
            source=new.source,
            transport=new.transport,
            loop=new.loop,
            sampling=sampling.model_dump(),
            priority=new.priority,
        )
        async with as_problems():
            await self._roster.add(settings, "api")
        document = moving_document(name, WantedStream(settings, "api", 0))
        return json_answer(document, 201, {"Location": f"{V1}/streams/{name}"})

    async def change(self, call: Call[docs.StreamChange, None]) -> web.Response:
        """PATCH /streams/{stream}."""
        change, name = call.body, call.part("stream")
        wanted = await self._wanted(name)
        if wanted is None:
            await self.where(name)
            raise Problem(409, "not-pulled", f"`{name}` is published to a worker.", "Publish it again instead.")
        if wanted.origin == "file":
            detail = f"`{name}` is of the configuration's file."
            raise Problem(409, "configured", detail, "Change it there, and call `streamguard cluster up` again.")
        old = wanted.settings
        update: dict[str, Any] = change.model_dump(exclude_none=True, exclude={"source", "sampling"})
        if change.source is not None:
            await self._policy.checked(change.source)
            update |= {"source": Location(change.source), "token": None}
        if change.sampling is not None:
            asked = {**old.sampling.model_dump(), **change.sampling.model_dump(exclude_unset=True)}
            update["sampling"] = SamplingSettings.model_validate(asked)
        settings = old.model_copy(update=update)
        async with as_problems():
            await self._roster.change(settings)
        return json_answer(moving_document(name, WantedStream(settings, wanted.origin, wanted.revision + 1)))

    async def remove(self, call: Call[None, None]) -> web.Response:
        """DELETE /streams/{stream}."""
        name = call.part("stream")
        wanted = await self._wanted(name)
        if wanted is not None and wanted.origin == "file":
            detail = f"`{name}` is of the configuration's file."
            raise Problem(409, "configured", detail, "Remove it there, and call `streamguard cluster up` again.")
        async with as_problems():
            await self._roster.remove(name)
        return web.Response(status=204)

    async def _wanted(self, name: str) -> WantedStream | None:
        async with as_problems():
            return (await self._roster.find([name])).get(name)

    async def _told(self, request: web.Request) -> dict[str, dict[str, Any]]:
        """Return the workers' documents of their streams; of a stream that two speak of, its owner's."""
        workers = await self._atlas.listening()
        authorization = request.headers.get("Authorization")
        owners = {each.stream: each for each in self._atlas.leases() if not each.ending}
        told: dict[str, dict[str, Any]] = {}
        for worker, answer in zip(workers, await self._proxy.ask(workers, f"{V1}/streams", authorization), strict=True):
            for stream in json.loads(answer)["streams"] if answer else []:
                lease = owners.get(stream["name"])
                if lease is not None and lease.owner == worker.row.id:
                    told[stream["name"]] = stream
        return told

    async def _add_moving(self, told: dict[str, dict[str, Any]]) -> None:
        missing = [each.stream for each in self._atlas.leases() if each.stream not in told and not each.ending]
        if missing:
            async with as_problems():
                wanted = await self._roster.find(missing)
            told |= {name: docs.dump(moving_document(name, wanted[name])) for name in missing if name in wanted}

    def _up(self) -> list[WorkerEntry]:
        return [each for each in self._atlas.workers() if worker_state(each) == "up" and each.card.url]

    async def _free(self) -> WorkerEntry:
        """The worker for one more stream.

        Raises:
            Problem: 503, there is none, or all are full.
        """
        if not self._up():
            # One may have come within the last second.
            await self._atlas.refresh()
        up = self._up()
        if not up:
            raise overloaded("No worker takes streams now.", 5, "Look at `streamguard cluster status`.")
        seats = [WorkerSeat(each.row.id, each.row.domain, each.row.capacity, each.row.limit) for each in up]
        streams = {each.row.id: each.card.streams for each in up}
        full = all(streams[seat.id] >= (seat.capacity if self._measured else seat.limit) for seat in seats)
        sittings = [Sitting(f"{id} {n}", 1, id) for id, count in streams.items() for n in range(count)]
        best = None if full else place([*sittings, Sitting("", 1, None)], seats).get("")
        if best is None:
            room = sum(seat.capacity for seat in seats)
            detail = (
                f"The cluster is full: its {len(up)} workers judge {sum(streams.values())} streams, and {room:.1f} are "
                "what they have been measured to judge as often as asked for."
            )
            raise overloaded(detail, _AGAIN, "Add a node, remove a stream, or try again later.")
        return next(each for each in up if each.row.id == best)

    def _free_name(self, source: str) -> str:
        base = slug(source)
        name, number, taken = base, 2, {each.stream for each in self._atlas.leases()}
        while name in taken:
            name, number = f"{base}-{number}", number + 1
        return name


def _settings(**values: Any) -> StreamSettings:
    try:
        return StreamSettings.model_validate(values)
    except ValueError as error:
        told: list[Any] = getattr(error, "errors", list)()
        detail = str(told[0]["msg"]) if told else "The stream cannot be fetched so"
        raise Problem(422, "bad-source", f"{detail}.", "Write scheme://host/path.") from None


def moving_document(name: str, wanted: WantedStream | None, since: datetime | None = None) -> docs.StreamDocument:
    """A stream that no worker tells of: it is new, or on its way to another worker."""
    settings = wanted.settings if wanted is not None else None
    sampling = settings.sampling if settings is not None else SamplingSettings()
    return docs.StreamDocument(
        name=name,
        kind="pulled" if settings is not None else "published",
        origin=wanted.origin if wanted is not None else "published",
        source=redact(settings.source.get_secret_value()) if settings is not None else None,
        state="starting",
        detail="it is on its way to a worker",
        verdict=Verdict.UNKNOWN,
        last_verdict=None,
        width=0,
        height=0,
        viewers=0,
        rates=docs.RatesDocument(received=0, judged=0, dropped=0),
        priority=settings.priority if settings is not None else 1,
        sampling=docs.SamplingDocument(
            judged_per_second=sampling.judged_per_second,
            detect_every=sampling.detect_every,
            most=sampling.judged_per_second,
            asked=0,
            judged=0,
            reduced=False,
        ),
        totals=docs.TotalsDocument(received=0, judged=0, dropped=0),
        latency_ms=None,
        vote=docs.VoteDocument(window=_VOTE.window, open_share=_VOTE.open_share, close_share=_VOTE.close_share),
        interruptions=0,
        restarts=0,
        tracks=[],
        outputs=[],
        since=since or wall_time(),
    )
