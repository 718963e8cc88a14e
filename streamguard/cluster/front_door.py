"""The front door: all streams of a cluster as one server's. It keeps nothing itself; several may run at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from streamguard import __version__
from streamguard.alerts import AuditEntry, AuditLog
from streamguard.channel import cancel_and_wait
from streamguard.clock import time_kept_by, wall_time
from streamguard.cluster.atlas import Atlas
from streamguard.cluster.door_metrics import DoorMetrics
from streamguard.cluster.door_streams import DoorStreams
from streamguard.cluster.member import SharedClock
from streamguard.cluster.proxy import Proxy, moving
from streamguard.cluster.roster import Roster
from streamguard.cluster.shared import shared_database, shared_key, terms_of
from streamguard.cluster.store import LeaseStore, WorkerEntry
from streamguard.config import Config
from streamguard.errors import StreamguardError
from streamguard.logs import get_logger
from streamguard.server.auth import Tokens
from streamguard.server.caller import Caller
from streamguard.server.listening import cannot_listen, tls_context
from streamguard.server.metrics import CONTENT_TYPE
from streamguard.server.middleware import header_signal, middlewares
from streamguard.server.operations import Operation, bind
from streamguard.server.problems import Problem
from streamguard.server.rtc import SDP
from streamguard.server.site import add_page

log = get_logger("streamguard.front")
_EVERYWHERE = ("/api/v1/checks/", "/evidence/")
"""Paths of what lies on one worker's disk or in its memory: all workers are asked in turn."""


class FrontDoor:
    """Answers for the cluster. Made by `front_door`.

    Args:
        config: of the whole cluster.
        atlas: knows workers and leases.
        roster: the streams that are wanted.
        proxy: passes requests on.

    Attributes:
        url: where it listens.
    """

    def __init__(self, config: Config, atlas: Atlas, roster: Roster, proxy: Proxy) -> None:
        self._config, self._atlas, self._proxy = config, atlas, proxy
        self._tokens = Tokens.of(config.server)
        self._streams = DoorStreams(config, atlas, roster, proxy)
        self._requests: Counter[tuple[str, int]] = Counter()
        self._metrics = DoorMetrics(atlas, self._requests, __version__)
        self._audit = AuditLog(atlas.store.database)
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    def application(self) -> web.Application:
        """The aiohttp application."""
        settings, tokens = self._config.server, self._tokens
        app = web.Application(
            middlewares=middlewares(
                known_hosts=None if tokens.required else settings.allowed_hosts,
                origins=settings.allowed_origins,
                counts=self._requests,
            )
        )
        app.on_response_prepare.append(header_signal(settings.allowed_origins))
        for operation in self._streams.operations():
            app.router.add_route(operation.method, operation.path, bind(operation, tokens, self._note))
        route = app.router.add_route
        for kind in ("whip", "whep"):
            route("OPTIONS", f"/{kind}/{{stream}}", self._options)
            route("POST", f"/{kind}/{{stream}}", self._signal)
            route("*", f"/{kind}/sessions/{{session}}", self._session)
        route("GET", "/hls/{stream}/{rest:.*}", self._hls)
        route("GET", "/health/live", self._live)
        route("GET", "/health/ready", self._ready)
        route("GET", "/metrics", self._tell_metrics)
        route("GET", "/api/v1/cluster", self._tell_cluster)
        route("GET", "/api/v1/cluster/targets", self._targets)
        route("*", "/api/v1/streams/{stream}/{rest:.*}", self._of_stream)
        route("GET", "/api/v1/events/{event}/snapshot", self._everywhere)
        for place in _EVERYWHERE:
            route("*", f"{place}{{rest:.*}}", self._everywhere)
        for place in ("/api/", "/docs"):
            route("*", f"{place}{{rest:.*}}", self._anywhere)
        add_page(app)
        return app

    async def aclose(self) -> None:
        """End what is under way."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2.0)
        await cancel_and_wait(*self._tasks)

    async def _options(self, request: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Accept-Post": SDP, "Allow": "OPTIONS, POST"})

    async def _signal(self, request: web.Request) -> web.StreamResponse:
        """POST of WHIP and WHEP: to the worker that holds the stream, or shall."""
        caller = await self._tokens.caller(request)
        name, whip = request.match_info["stream"], request.path.startswith("/whip/")
        worker = await self._streams.where(name, published=whip)
        if whip:
            self._remember("publish", name, caller)
        return await self._sent(request, worker, location=worker.row.id)

    async def _session(self, request: web.Request) -> web.StreamResponse:
        """A session of WHIP or WHEP that was made through this door, or another."""
        worker, _, session = request.match_info["session"].partition(".")
        found = await self._atlas.worker(worker)
        if found is None or not session:
            detail = "There is no such session; it may have ended."
            raise Problem(404, "not-found", detail, "Start a new one.")
        head = request.path.rpartition("/")[0]
        return await self._passed(request, found, f"{head}/{session}")

    async def _hls(self, request: web.Request) -> web.StreamResponse:
        await self._tokens.caller(request, in_query=True)
        return await self._sent(request, await self._streams.where(request.match_info["stream"]))

    async def _of_stream(self, request: web.Request) -> web.StreamResponse:
        """Answer from the worker that holds the stream: its events, pictures and clip."""
        return await self._passed(request, await self._streams.where(request.match_info["stream"]), request.raw_path)

    async def _anywhere(self, request: web.Request) -> web.StreamResponse:
        """Answer from any worker, as it is in the database."""
        workers = await self._atlas.listening()
        for number, worker in enumerate(workers):
            try:
                return await self._passed(request, worker, request.raw_path)
            except Problem:
                if number == len(workers) - 1 or request.can_read_body:
                    raise
        raise moving("no worker lives")

    async def _everywhere(self, request: web.Request) -> web.StreamResponse:
        """Answer from the one worker that knows; all are asked."""
        workers = await self._atlas.listening()
        if request.method not in {"GET", "HEAD", "DELETE"}:
            return await self._anywhere(request)
        for number, worker in enumerate(workers):
            try:
                last = number == len(workers) - 1
                answer = await self._proxy.pass_on(request, worker, request.raw_path, last=last)
            except Problem:
                if last:
                    raise
                continue
            if answer is not None:
                return answer
        raise moving("no worker lives")

    async def _sent(self, request: web.Request, worker: WorkerEntry, location: str | None = None) -> web.StreamResponse:
        """A redirection to the worker; a browser is passed on, which would take neither its token nor its page's
        permission along to another origin."""
        if self._config.cluster.signalling == "proxy" or "Origin" in request.headers or _same_page(request):
            return await self._passed(request, worker, request.raw_path, location)
        # RFC 9725, 4.5: 307 keeps method and body.
        url = worker.card.url.rstrip("/") + request.raw_path
        return web.Response(status=307, headers={"Location": url, "Cache-Control": "no-store"})

    async def _passed(
        self, request: web.Request, worker: WorkerEntry, path: str, location: str | None = None
    ) -> web.StreamResponse:
        answer = await self._proxy.pass_on(request, worker, path, location=location)
        assert answer is not None
        return answer

    async def _live(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        ready = bool(await self._atlas.listening())
        return web.json_response({"status": "ok" if ready else "no-worker"}, status=200 if ready else 503)

    async def _tell_metrics(self, request: web.Request) -> web.Response:
        await self._allowed(request)
        await self._atlas.refresh()
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _tell_cluster(self, request: web.Request) -> web.Response:
        await self._allowed(request)
        return web.json_response(await self._atlas.report(), headers={"Cache-Control": "no-store"})

    async def _targets(self, request: web.Request) -> web.Response:
        """Workers for Prometheus to find (http_sd_config)."""
        await self._allowed(request)
        return web.json_response(await self._atlas.targets())

    async def _allowed(self, request: web.Request) -> None:
        caller = await self._tokens.caller(request)
        if not caller.may("view"):
            raise Problem(403, "forbidden", "This needs the scope `view`.", "Use a token with that scope.")

    def _note(self, operation: Operation, request: web.Request, caller: Caller, answer: web.StreamResponse) -> None:
        if operation.audited and answer.status < 400:
            self._remember(operation.name, request.match_info.get("stream", ""), caller)

    def _remember(self, action: str, target: str, caller: Caller) -> None:
        entry = AuditEntry(wall_time(), caller.name, caller.address, action, target)

        async def save() -> None:
            try:
                await self._audit.save([entry])
            except StreamguardError as error:
                log.error("an entry of the audit log could not be kept", action=action, detail=str(error))

        task = asyncio.create_task(save(), name="audit")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


@asynccontextmanager
async def front_door(config: Config) -> AsyncIterator[FrontDoor]:
    """A front door that listens for as long as the context lasts.

    Raises:
        ConfigError: the database is no PostgreSQL; key or certificate cannot be used.
        OutboxError: the database cannot be reached.
        OutputError: the address is taken, or is not this machine's.
    """
    settings, clock = config.server, SharedClock()
    context = tls_context(settings)
    async with AsyncExitStack() as stack:
        stack.enter_context(time_kept_by(clock))
        store = await stack.enter_async_context(LeaseStore.open(shared_database(config), terms_of(config.cluster)))
        sealer = await asyncio.to_thread(shared_key, config)
        proxy = await stack.enter_async_context(Proxy(settings.tls))
        atlas = await stack.enter_async_context(Atlas(store, clock))
        door = FrontDoor(config, atlas, Roster(store.database, sealer), proxy)
        stack.push_async_callback(door.aclose)
        runner = web.AppRunner(door.application(), access_log=None, shutdown_timeout=2.0, handler_cancellation=True)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, settings.host, settings.port, ssl_context=context).start()
        except OSError as error:
            raise cannot_listen(settings, error) from None
        address = runner.addresses[0]
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        door.url = f"{'https' if context else 'http'}://{host}:{address[1]}"
        log.info("listening", url=door.url, workers=len(await atlas.listening()))
        yield door


def _same_page(request: web.Request) -> bool:
    # What a page loads without a script has no `Origin`.
    return request.headers.get("Sec-Fetch-Mode", "") != ""
