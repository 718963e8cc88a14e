"""The page's files, health and metrics: what lies beside the API."""

from __future__ import annotations

from pathlib import Path

from aiohttp import web

from streamguard.inference import EngineState
from streamguard.server.documents import HealthDocument, LoadDocument
from streamguard.server.metrics import CONTENT_TYPE, Metrics
from streamguard.server.operations import Call, Operation, Success, json_answer
from streamguard.streams.hub import Hub

PAGE = Path(__file__).with_name("page")


class Site:
    """The handlers.

    Args:
        hub: tells whether the server takes work.
        metrics: the metrics.
    """

    def __init__(self, hub: Hub, metrics: Metrics) -> None:
        self._hub, self._metrics = hub, metrics

    def operations(self) -> list[Operation]:
        """Health and metrics."""
        health = (Success(200, "Yes.", HealthDocument), Success(503, "No.", HealthDocument))
        text = "text/plain"
        return [
            Operation("GET", "/health/live", "live", "Whether the process works.", "nothing", self.live, health),
            Operation("GET", "/health/ready", "ready", "Whether work is taken.", "nothing", self.ready, health),
            Operation(
                "GET", "/metrics", "metrics", "Prometheus metrics.", "view", self.metrics, (Success(200, "All.", text),)
            ),
        ]

    async def live(self, call: Call[None, None]) -> web.Response:
        """GET /health/live."""
        if self._hub.stuck:
            return json_answer(HealthDocument(status="stuck", engine="failed"), 503)
        return json_answer(HealthDocument(status="ok"))

    async def ready(self, call: Call[None, None]) -> web.Response:
        """GET /health/ready."""
        if self._hub.starting:
            return json_answer(HealthDocument(status="starting"), 503)
        if self._hub.draining:
            return json_answer(HealthDocument(status="draining"), 503)
        states = {guard.engine_health.state for guard in self._hub.guards()}
        if "failed" in states:
            # Clients with several servers should use another one.
            return json_answer(HealthDocument(status="no-engine", engine="failed"), 503)
        load = self._hub.load.state()
        told = LoadDocument(
            streams=load.streams,
            reduced=load.reduced,
            asked=round(load.asked, 2),
            judged=round(load.judged, 2),
            load=None if load.load is None else round(load.load, 3),
            room=load.room,
            refused=self._hub.refused.total(),
        )
        engine: EngineState = "recovering" if "recovering" in states else "ok"
        return json_answer(HealthDocument(status="overloaded" if load.overloaded else "ok", engine=engine, load=told))

    async def metrics(self, call: Call[None, None]) -> web.Response:
        """GET /metrics."""
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})


async def index(request: web.Request) -> web.StreamResponse:
    """GET /: the page."""
    return web.FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})


def add_page(app: web.Application) -> None:
    """Serve the page and its files."""
    app.router.add_get("/", index)
    app.router.add_static("/static/", PAGE, follow_symlinks=False)
    app.on_response_prepare.append(_revalidated)


async def _revalidated(request: web.Request, response: web.StreamResponse) -> None:
    # Files that import each other must be of one version; asking again costs a 304 by the ETag.
    if request.path.startswith("/static/"):
        response.headers.setdefault("Cache-Control", "no-cache")
