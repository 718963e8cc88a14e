"""The composition root of the server: settings and a guard become a running server."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import urlsplit

import structlog
from aiohttp import web
from aiortc import RTCIceServer

from streamguard import __version__
from streamguard.config import Config, IceServerSettings, ServerSettings
from streamguard.errors import ConfigError, OutputError
from streamguard.pipeline.guard import Guard
from streamguard.server.alert_desk import alert_desk
from streamguard.server.api import V1, Api
from streamguard.server.auth import Tokens
from streamguard.server.config_api import ConfigApi
from streamguard.server.configured import Configured
from streamguard.server.event_log import EventLog
from streamguard.server.evidence_api import EvidenceApi
from streamguard.server.guards import Guards
from streamguard.server.hls import HlsFiles
from streamguard.server.hub import Hub
from streamguard.server.metrics import Metrics
from streamguard.server.openapi import openapi
from streamguard.server.operations import Operation, bind
from streamguard.server.reload import ReloadDocument, Reloader
from streamguard.server.rtc import RtcEndpoints
from streamguard.server.sessions import SessionBook
from streamguard.server.sinks import SinkRunner, make_sinks
from streamguard.server.site import Site, add_page
from streamguard.server.source_policy import SourcePolicy
from streamguard.server.surroundings import header_signal, surroundings
from streamguard.server.webhook_api import WebhookApi

log = structlog.get_logger("streamguard.server")


class Server:
    """A running server; made by `serving`.

    Attributes:
        hub, book, events: streams, sessions, events.
        url: where it listens.
    """

    def __init__(self, config: Config, guard: Guard, reread: Callable[[], Config] | None = None) -> None:
        self._config, settings = config, config.server
        self.events = EventLog(settings.event_capacity, settings.snapshot_capacity)
        kept = config.evidence
        clip = (kept.clip_seconds, kept.clip_megabytes * 1024**2) if kept.enabled and kept.clip_seconds else None
        self.hub = Hub(guard, self.events, settings.max_streams, clip=clip)
        self.hub.allow(settings.max_streams, measured=settings.admission == "measured")
        self.hub.starting = True
        self._alerts = AsyncExitStack()
        self.book = SessionBook(
            [_rtc_ice_server(each) for each in settings.ice_servers], settings.max_sessions, settings.connect_timeout
        )
        self.url = ""
        self._sinks: list[SinkRunner] = []
        self._tokens = Tokens(settings.tokens)
        self._configured = Configured(self.hub, self._tokens, Guards(guard, config.engine))
        self._reloader = Reloader(config, reread, self._configured)

    def application(self) -> web.Application:
        """The aiohttp application."""
        settings, tokens = self._config.server, self._tokens
        requests: Counter[tuple[str, int]] = Counter()
        policy = SourcePolicy(local=settings.local_sources)
        api = Api(self.hub, self.events, policy, settings.ice_servers)
        site = Site(self.hub, Metrics(self.hub, self.book, self.events, requests, __version__))
        rtc = RtcEndpoints(self.hub, self.book, settings.ice_servers)
        webhooks, evidence = WebhookApi(self.hub), EvidenceApi(self.hub)
        operations: list[Operation] = [
            *rtc.operations(),
            *api.operations(),
            *webhooks.operations(),
            *evidence.operations(),
            *HlsFiles(self.hub).operations(),
            *ConfigApi(self._reloader).operations(),
            *site.operations(),
        ]
        app = web.Application(
            middlewares=surroundings(
                known_hosts=None if tokens.required else [*settings.allowed_hosts, *_public_host(settings)],
                origins=settings.allowed_origins,
                counts=requests,
            )
        )
        app.on_response_prepare.append(header_signal(settings.allowed_origins))
        for operation in operations:
            app.router.add_route(operation.method, operation.path, bind(operation, tokens))
        document = openapi(operations, __version__, tokens=tokens.required)

        async def tell(request: web.Request) -> web.Response:
            return web.json_response(document)

        app.router.add_get(f"{V1}/openapi.json", tell)
        add_page(app)
        return app

    async def start(self) -> None:
        """Open alerts and sinks, and fetch the streams of the settings.

        Raises:
            ConfigError: a sink is not installed, or cannot be loaded; alerts cannot be kept where they should.
            OutboxError: the database of the alerts cannot be opened.
            ModelError, EngineError: a stream's detector cannot be opened.
        """
        if self._config.alerts.enabled:
            opening = alert_desk(self._config, self.hub.guard, self.url)
            self.hub.desk = await self._alerts.enter_async_context(opening)
        await self.hub.load.start(measure=self._config.server.admission == "measured")
        self.hub.starting = False
        for name, sink in make_sinks(self._config.server.sinks).items():
            runner = SinkRunner(name, sink)
            self._sinks.append(runner)
            self.events.listeners.append(runner.put)
        await self._configured.start(self._config)

    async def reload(self) -> ReloadDocument:
        """Read the configuration again, and change what is different.

        Raises:
            StreamguardError: as `Reloader.reload`.
        """
        return await self._reloader.reload()

    async def drain(self) -> None:
        """Take no more work, and end what there is in good order."""
        self.hub.drain()
        log.info("draining", sessions=self.book.count(), streams=len(self.hub.streams()))
        await self.hub.load.aclose()
        await self._reloader.aclose()
        await self.book.aclose()
        await self.hub.aclose()
        await self._configured.aclose()
        for runner in self._sinks:
            await runner.aclose()

    async def close_alerts(self) -> None:
        """Commit what was submitted, give tries under way a few seconds, close the database."""
        self.hub.desk = None
        await self._alerts.aclose()


@asynccontextmanager
async def serving(
    config: Config, guard: Guard, reread: Callable[[], Config] | None = None
) -> AsyncGenerator[Server, None]:
    """A server that listens for as long as the context lasts, and then drains.

    Args:
        config: where and what.
        guard: judges; stays open.
        reread: reads the configuration again for `Server.reload`; None where there is no file.

    Raises:
        ConfigError: the TLS files cannot be used.
        OutputError: the address is taken or is not this machine's.
    """
    settings = config.server
    context = _tls(settings)
    server = Server(config, guard, reread)
    # Idle connections, and streams of events that have been told to end, are not waited for any longer.
    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=2.0, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            cause = f"cannot listen there ({error.strerror or error})"
            raise OutputError(f"{settings.host}:{settings.port}", cause, "choose another host or port") from None
        address = runner.addresses[0]
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        server.url = f"{'https' if context else 'http'}://{host}:{address[1]}"
        await server.start()
        log.info("listening", url=server.url, model=guard.model_label, engine=guard.engine_label)
        yield server
    finally:
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


def _tls(settings: ServerSettings) -> ssl.SSLContext | None:
    if settings.tls is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls.certificate, settings.tls.key)
    except (OSError, ssl.SSLError) as error:
        thing = f"{settings.tls.certificate}, {settings.tls.key}"
        cause = f"they cannot be used as certificate and key ({error.strerror or error})"
        raise ConfigError(thing, cause, "give PEM files that belong together") from None
    return context


def _rtc_ice_server(settings: IceServerSettings) -> RTCIceServer:
    credential = settings.credential.get_secret_value() if settings.credential else None
    return RTCIceServer(urls=settings.urls, username=settings.username, credential=credential)
