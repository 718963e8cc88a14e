"""The composition root of the server: settings and a guard become a running server."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from urllib.parse import urlsplit

from aiohttp import web
from aiortc import RTCIceServer
from prometheus_client.metrics_core import Metric

from streamguard import __version__
from streamguard.config import Config, IceServerSettings, ServerSettings
from streamguard.logs import get_logger
from streamguard.pipeline.guard import Guard
from streamguard.provenance import load_anchors
from streamguard.server.added_streams import AddedStreams
from streamguard.server.alert_runtime import alert_runtime
from streamguard.server.api import V1, Api
from streamguard.server.api_page import PAGE_POLICY, api_page
from streamguard.server.audit import AuditTrail
from streamguard.server.auth import Tokens
from streamguard.server.checks import Checks
from streamguard.server.checks_api import ChecksApi
from streamguard.server.clip_api import ClipApi
from streamguard.server.config_api import ConfigApi
from streamguard.server.configured import Configured
from streamguard.server.evidence_api import EvidenceApi
from streamguard.server.guards import Guards
from streamguard.server.hls import HlsFiles
from streamguard.server.incident_api import IncidentApi
from streamguard.server.listening import cannot_listen, tls_context
from streamguard.server.memory import Memory
from streamguard.server.metric_families import check_metrics
from streamguard.server.metrics import Metrics
from streamguard.server.middleware import header_signal, middlewares
from streamguard.server.mqtt import MqttBridge, StreamCommands, mqtt_metrics
from streamguard.server.openapi import openapi
from streamguard.server.operations import Operation, bind
from streamguard.server.reload import ReloadDocument, Reloader
from streamguard.server.rooms import Rooms
from streamguard.server.rtc import RtcEndpoints
from streamguard.server.sessions import SessionBook
from streamguard.server.sign_on_metrics import sign_on_metrics
from streamguard.server.sinks import SinkRunner, make_sinks
from streamguard.server.site import Site, add_page
from streamguard.server.source_policy import SourcePolicy
from streamguard.server.webhook_api import WebhookApi
from streamguard.streams.hub import Hub, Ownership
from streamguard.streams.live_events import LiveEvents

log = get_logger("streamguard.server")
_INTERPRETER_TURN = 0.0005
"""Seconds that a thread of Python may keep others waiting, a tenth of what is usual. With a thread for each stream they
wait often, while processors are idle: so two streams more fit. A fifth of this is worse than either."""


class Server:
    """A running server; made by `serving`.

    Attributes:
        hub, book, rooms, events, checks: streams, sessions, conference rooms, events, files to be judged.
        configured, policy: opens streams as they are configured; which sources may be named over the API.
        more_metrics: told beside the server's own.
        url: where it listens.
    """

    def __init__(
        self,
        config: Config,
        guard: Guard,
        reread: Callable[[], Config] | None = None,
        ownership: Ownership | None = None,
    ) -> None:
        self._config, settings = config, config.server
        self.events = LiveEvents(settings.snapshot_capacity)
        kept = config.evidence
        clip = (kept.clip_seconds, kept.clip_megabytes * 1024**2) if kept.enabled and kept.clip_seconds else None
        gap = config.alerts.incident_gap_seconds
        self.hub = Hub(guard, self.events, settings.max_streams, clip=clip, within=gap)
        self.hub.allow(settings.max_streams, measured=settings.admission == "measured")
        self.hub.starting = True
        self.hub.ownership = ownership
        self.checks = Checks(guard, config.checks)
        self._alerts = AsyncExitStack()
        ice_servers = [_rtc_ice_server(each) for each in settings.ice_servers]
        self.book = SessionBook(ice_servers, settings.max_sessions, settings.connect_timeout)
        self.rooms = Rooms(self.hub, ice_servers)
        self.url = ""
        self.more_metrics: list[Callable[[], Iterator[Metric]]] = []
        self._sinks: list[SinkRunner] = []
        self._tokens = Tokens.of(settings)
        self.configured = Configured(self.hub, self._tokens, Guards(guard, config.engine), self.rooms)
        self._reloader = Reloader(config, reread, self.configured)
        self.policy = SourcePolicy(local=settings.local_sources)
        self._added = AddedStreams(self.hub, self.policy, config)
        self.mqtt = self._bridge(settings) if settings.mqtt is not None else None

    def application(self) -> web.Application:
        """The aiohttp application."""
        settings, tokens = self._config.server, self._tokens
        requests: Counter[tuple[str, int]] = Counter()
        memory = Memory(self.hub, self.events, load_anchors(self._config.checks.trust_file))
        api = Api(self.hub, memory, self.policy, self._added, settings.ice_servers)
        metrics = Metrics(self.hub, self.book, self.events, requests, __version__)
        metrics.add(partial(check_metrics, self.checks))
        metrics.add(self.rooms.metrics)
        metrics.add(lambda: (metric for more in self.more_metrics for metric in more()))
        if tokens.required:
            metrics.add(partial(sign_on_metrics, tokens))
        if self.mqtt is not None:
            metrics.add(partial(mqtt_metrics, self.mqtt))
        site = Site(self.hub, metrics)
        rtc = RtcEndpoints(self.hub, self.book, settings.ice_servers)
        trail = AuditTrail(self.hub)
        webhooks, evidence = WebhookApi(self.hub), EvidenceApi(self.hub)
        operations: list[Operation] = [
            *rtc.operations(),
            *api.operations(),
            *self.rooms.operations(),
            *webhooks.operations(),
            *evidence.operations(),
            *IncidentApi(memory).operations(),
            *ClipApi(memory).operations(),
            *ChecksApi(self.checks, settings.allowed_origins).operations(),
            *trail.operations(),
            *HlsFiles(self.hub).operations(),
            *ConfigApi(self._reloader).operations(),
            *site.operations(),
        ]
        app = web.Application(
            middlewares=middlewares(
                known_hosts=None if tokens.required else [*settings.allowed_hosts, *_public_host(settings)],
                origins=settings.allowed_origins,
                counts=requests,
            )
        )
        app.on_response_prepare.append(header_signal(settings.allowed_origins))
        for operation in operations:
            app.router.add_route(operation.method, operation.path, bind(operation, tokens, trail.note))
        document = openapi(operations, __version__, tokens=tokens.required)

        async def tell(request: web.Request) -> web.Response:
            return web.json_response(document)

        async def show(request: web.Request) -> web.Response:
            # A page without scripts; its style is in it.
            headers = {"Content-Security-Policy": PAGE_POLICY, "Cache-Control": "no-cache"}
            return web.Response(text=api_page(document), content_type="text/html", headers=headers)

        app.router.add_get(f"{V1}/openapi.json", tell)
        app.router.add_get("/docs", show)
        add_page(app)
        return app

    def _bridge(self, settings: ServerSettings) -> MqttBridge:
        broker = settings.mqtt
        assert broker is not None
        commands = StreamCommands(self.hub, self._added, self.policy, broker.commands, f"mqtt:{broker.host}")
        return MqttBridge(broker, self.hub, self.events, commands, settings.public_url or "")

    async def start(self) -> None:
        """Open alerts and sinks, and fetch the streams of the settings.

        Raises:
            ConfigError: a sink is not installed, or cannot be loaded; alerts cannot be kept where they should.
            OutboxError: the database of the alerts cannot be opened.
            ModelError, EngineError: a stream's detector cannot be opened.
        """
        opening = alert_runtime(self._config, self.hub.guard, self.url)
        self.hub.desk = await self._alerts.enter_async_context(opening)
        await self.hub.load.start(measure=self._config.server.admission == "measured")
        if self._config.checks.enabled:
            await self.checks.start()
        self.hub.starting = False
        for name, sink in make_sinks(self._config.server.sinks).items():
            runner = SinkRunner(name, sink)
            self._sinks.append(runner)
            self.events.added.listen(runner.put)
        if self.mqtt is not None:
            self.mqtt.start()
        if self.hub.ownership is None:
            await self.configured.start(self._config)
            await self._added.start({stream.name for stream in self._config.streams})

    async def reload(self) -> ReloadDocument:
        """Read the configuration again, and change what is different.

        Raises:
            StreamguardError: as `Reloader.reload`.
        """
        return await self._reloader.reload()

    async def drain(self) -> None:
        """Refuse new work, and end running work in good order."""
        self.hub.drain()
        if self.mqtt is not None:
            await self.mqtt.aclose()
        log.info("draining", sessions=self.book.count(), streams=len(self.hub.streams()))
        await self.hub.load.aclose()
        await self._reloader.aclose()
        await self._added.aclose()
        await self.checks.aclose()
        await self.rooms.aclose()
        await self.book.aclose()
        await self.hub.aclose()
        await self.configured.aclose()
        for runner in self._sinks:
            await runner.aclose()

    async def close_alerts(self) -> None:
        """Commit what was submitted, give tries under way a few seconds, close the database."""
        self.hub.desk = None
        await self._alerts.aclose()


@asynccontextmanager
async def serving(
    config: Config,
    guard: Guard,
    reread: Callable[[], Config] | None = None,
    ownership: Ownership | None = None,
) -> AsyncGenerator[Server, None]:
    """A server that listens for as long as the context lasts, and then drains.

    Args:
        config: where and what.
        guard: judges; stays open.
        reread: reads the configuration again for `Server.reload`; None where there is no file.
        ownership: says which streams this server holds; it fetches none of the file's by itself then. None for all.

    Raises:
        ConfigError: the TLS files cannot be used.
        OutputError: the address is taken or is not this machine's.
    """
    settings = config.server
    context = tls_context(settings)
    server = Server(config, guard, reread, ownership)
    # Idle connections, and streams of events that have been told to end, are not waited for any longer.
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=2.0, handler_cancellation=True)
    await runner.setup()
    before = sys.getswitchinterval()
    sys.setswitchinterval(min(before, _INTERPRETER_TURN))
    try:
        site = web.TCPSite(runner, settings.host, settings.port, ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            raise cannot_listen(settings, error) from None
        address = runner.addresses[0]
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        server.url = f"{'https' if context else 'http'}://{host}:{address[1]}"
        await server.start()
        log.info("listening", url=server.url, model=guard.model_label, engine=guard.engine_label)
        yield server
    finally:
        sys.setswitchinterval(before)
        try:
            async with asyncio.timeout(settings.drain_timeout):
                await server.drain()
        except TimeoutError:
            log.warning("draining took too long", limit=settings.drain_timeout)
        try:
            await server.close_alerts()
        finally:
            await runner.cleanup()
        log.info("stopped")


def _public_host(settings: ServerSettings) -> list[str]:
    host = urlsplit(settings.public_url or "").hostname
    return [host] if host else []


def _rtc_ice_server(settings: IceServerSettings) -> RTCIceServer:
    credential = settings.credential.get_secret_value() if settings.credential else None
    return RTCIceServer(urls=settings.urls, username=settings.username, credential=credential)
