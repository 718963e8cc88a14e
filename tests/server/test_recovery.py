"""What breaks is mended: the engine, a plugin, one stream beside others that notice nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from streamguard.errors import SourceNotFound, SourceRefused
from streamguard.faces import Detections
from streamguard.inference import FailoverEngine, Recovery, candidates, select
from streamguard.media import SourceItem, Up
from streamguard.media.picture import picture_from_rgb
from streamguard.models import load
from streamguard.pipeline import extensions
from streamguard.pipeline import guard as guards
from streamguard.pipeline.guard import Guard
from streamguard.server.app import Server, serving
from streamguard.streams.live_stream import LiveStream
from streamguard.types import EventKind, Frame, Picture, Reason, Verdict
from tests.server.conftest import ServeWith
from tests.server.peers import told, until
from tests.soak.breaker import Breaker
from tests.support.portraits import portrait_pictures
from tests.support.settings import config_of

QUICK = Recovery(pause=0.05, stable=1000.0)


@asynccontextmanager
async def breakable(
    detector: Path, recovery: Recovery = QUICK, **settings: Any
) -> AsyncIterator[tuple[Server, aiohttp.ClientSession, Breaker]]:
    """A server whose engine can be broken."""
    model, breaker = load(str(detector)), Breaker()
    selected = select(model, "torch")
    ladder = breaker.wrap_all(candidates(model, "torch"))
    first = breaker.wrap(selected.engine)
    lasting = FailoverEngine(first, selected.manifest.label, ladder, recovery=recovery)
    async with (
        Guard(model, lasting) as guard,
        serving(config_of(port=0, **settings), guard) as server,
        aiohttp.ClientSession(server.url) as http,
    ):
        yield server, http, breaker


def judged(stream: LiveStream) -> bool:
    """Whether the newest frame's face was judged."""
    return stream.newest is not None and any(face.state is not Verdict.UNKNOWN for face in stream.newest.faces)


async def metrics(http: aiohttp.ClientSession) -> str:
    return await (await http.get("/metrics")).text()


async def test_an_engine_that_raises_is_loaded_again(detector: Path, real: Path) -> None:
    streams = [{"name": "a", "source": str(real)}, {"name": "b", "source": str(real)}]
    async with breakable(detector, streams=streams) as (server, http, breaker):
        both = server.hub.streams()
        await until(lambda: all(judged(stream) for stream in both))
        label = server.hub.guard.engine_label
        seen: list[Reason | None] = []
        for stream in both:
            stream.reports.listen(lambda report: seen.extend(face.reason for face in report.faces))
        breaker.break_present()
        await until(lambda: server.hub.guard.engine_health.loads.get(("torch", True)) == 1)
        await until(lambda: all(judged(stream) for stream in both))
        # Nobody's verdict came of the batch that failed.
        assert Reason.ENGINE_FAILED in seen
        assert server.events.counts[EventKind.STREAM_DEGRADED] >= 1
        assert server.hub.guard.engine_label == label
        engines = await (await http.get("/api/v1/engines")).json()
        assert (engines["state"], engines["detail"]) == ("ok", "")
        assert {each["name"]: each["failures"] for each in engines["engines"]}["torch"] == 1
        text = await metrics(http)
        assert 'streamguard_engine_failures_total{engine="torch",model="green"} 1.0' in text
        assert 'streamguard_engine_loads_total{engine="torch",model="green",result="loaded"} 1.0' in text
        assert 'streamguard_engine_state{engine="torch",model="green",state="ok"} 1.0' in text
        assert (await (await http.get("/health/ready")).json())["engine"] == "ok"


async def test_an_engine_that_stays_broken_gives_way_to_the_next(detector: Path, half_fake: Path) -> None:
    async with breakable(detector, streams=[{"name": "a", "source": str(half_fake)}]) as (server, http, breaker):
        (stream,) = server.hub.streams()
        await until(lambda: judged(stream))
        breaker.kill("torch")
        await until(lambda: server.hub.guard.engine.name != "torch", 120)
        await until(lambda: judged(stream))
        name = server.hub.guard.engine.name
        engines = await (await http.get("/api/v1/engines")).json()
        assert [each["name"] for each in engines["engines"] if each["in_use"]] == [name]
        assert "on purpose" in engines["detail"]
        assert engines["engine"].startswith(f"{name}-")
        # Events name the engine that judges now.
        label, count = server.hub.guard.engine_label, sum(server.events.counts.values())
        await until(lambda: sum(server.events.counts.values()) > count, 60)
        assert (await told(server))[0].engine == label


async def test_without_any_engine_the_server_is_not_ready(detector: Path, real: Path, monkeypatch: Any) -> None:
    async with breakable(detector, streams=[{"name": "a", "source": str(real)}]) as (server, http, breaker):
        (stream,) = server.hub.streams()
        await until(lambda: judged(stream))
        monkeypatch.setattr(breaker, "fails", lambda name, number: True)
        await until(lambda: server.hub.guard.engine_health.state == "failed", 120)
        response = await http.get("/health/ready")
        assert response.status == 503
        told = await response.json()
        assert (told["status"], told["engine"]) == ("no-engine", "failed")
        assert (await http.get("/health/live")).status == 200
        # Its frames are still received, and their faces nobody's verdict.
        await until(lambda: not judged(stream))


def frames(name: str, count: int, epoch: int = 0) -> list[SourceItem]:
    """A portrait's first frames."""
    pictures = (picture_from_rgb(rgb) for rgb in portrait_pictures(count / 20))
    up = Up(epoch, 320, 240, 20.0, "none", True, None, None)
    return [up, *(Frame(name, epoch, n, n / 20, time.monotonic(), picture) for n, picture in enumerate(pictures))]


class Crashing:
    """A source of a plugin that does as it is told, one connection after the other."""

    def __init__(self, *ends: BaseException) -> None:
        self.ends, self.opened, self.closed = list(ends), 0, 0

    async def __call__(self, name: str, url: str) -> AsyncGenerator[SourceItem, None]:
        self.opened += 1
        try:
            if self.ends and isinstance(self.ends[0], SourceNotFound):
                raise self.ends.pop(0)
            for item in frames(name, 12):
                yield item
                await asyncio.sleep(0.01)
            if self.ends:
                raise self.ends.pop(0)
            await asyncio.Event().wait()
        finally:
            self.closed += 1


async def test_a_plugin_that_crashes_is_begun_anew_and_nobody_else_notices(
    serve_with: ServeWith, real: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Crashing(RuntimeError("secret"), SourceNotFound("x", "gone for a moment"), SourceRefused("x", "busy"))
    monkeypatch.setattr(extensions, "source_plugins", lambda: {"crash": made})
    async with serve_with(streams=[{"name": "b", "source": str(real)}]) as (server, http):
        added = await http.post("/api/v1/streams", json={"source": "crash://x", "name": "a"})
        assert added.status == 201, await added.text()
        a, b = server.hub.streams()
        await until(lambda: made.opened == 4 and a.state == "up", 60)
        await until(lambda: a.newest is not None and a.newest.frame.epoch == 2)
        status = a.status()
        # Two of the four ends came while it was down.
        assert (status.restarts, status.interruptions) == (1, 2)
        down = await told(server, stream="a", kind=EventKind.STREAM_DOWN)
        assert [event.detail for event in reversed(down)] == [
            "a: an error inside the server (RuntimeError). See its log.",
            "x: busy.",
        ]
        assert status.totals.received >= 24
        assert (b.status().restarts, b.status().interruptions, b.state) == (0, 0, "up")
        assert 'streamguard_stream_restarts_total{stream="a"} 1.0' in await metrics(http)
        assert 'streamguard_stream_interruptions_total{stream="a"} 2.0' in await metrics(http)
    assert made.closed == made.opened


async def test_what_waiting_does_not_mend_is_not_tried_again(
    serve_with: ServeWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Crashing(SourceNotFound("x", "there is no such thing"))
    monkeypatch.setattr(extensions, "source_plugins", lambda: {"crash": made})
    async with serve_with() as (server, http):
        await http.post("/api/v1/streams", json={"source": "crash://x", "name": "a"})
        await until(lambda: server.hub.find("a").state == "failed")
        assert made.opened == 1


class Flaky:
    """A face detector that raises at its fifth picture, once for all streams."""

    raised = False

    def __init__(self) -> None:
        self._seen = 0

    def detect(self, picture: Picture) -> Detections:
        self._seen += 1
        if self._seen == 5 and not Flaky.raised:
            Flaky.raised = True
            raise ZeroDivisionError
        box = np.array([[100.0, 60.0, 220.0, 200.0]], np.float32)
        return Detections(box, np.array([0.9], np.float32), np.full((1, 5, 2), 150, np.float32))


async def test_a_detector_that_crashes_takes_its_stream_down_for_a_moment(
    serve_with: ServeWith, real: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Flaky.raised = False
    monkeypatch.setattr(guards, "make_detector", lambda name: Flaky())
    async with serve_with(streams=[{"name": name, "source": str(real)} for name in "ab"]) as (server, _):
        a, b = server.hub.streams()
        await until(lambda: Flaky.raised and a.state == b.state == "up" and a.restarts + b.restarts == 1)
        crashed, other = (a, b) if a.restarts else (b, a)
        before = crashed.counts.judged
        await until(lambda: crashed.counts.judged > before and other.counts.judged)
        assert (other.restarts, other.interruptions) == (0, 0)
        assert crashed.newest is not None
        assert crashed.newest.frame.epoch == 1
