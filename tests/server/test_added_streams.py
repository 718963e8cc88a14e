"""Streams added over the API, over a restart; and an incident that goes on after it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from streamguard.server.app import Server
from streamguard.types import Closing, EventKind
from tests.server.conftest import ServeWith
from tests.server.peers import told, until
from tests.server.test_api import answer
from tests.support.portraits import portrait_clip

STREAMS = "/api/v1/streams"
SILENT = "rtsp://127.0.0.1:9/x"
"""Nobody is there."""


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A green face, and nothing else."""
    return portrait_clip(tmp_path_factory.mktemp("added") / "fake.mp4", 4.0, (0.0, 4.0))


async def origins(http: aiohttp.ClientSession) -> dict[str, str]:
    """The streams there are, and who asked for them."""
    return {each["name"]: each["origin"] for each in (await answer(await http.get(STREAMS)))["streams"]}


async def test_a_restart(serve_with: ServeWith, fake: Path, real: Path, tmp_path: Path) -> None:
    configured = [{"name": "own", "source": SILENT}]
    async with serve_with(streams=configured) as (server, http):
        body = {"source": str(fake), "name": "door", "judged_per_second": 9.0, "priority": 3}
        assert (await answer(await http.post(STREAMS, json=body), 201))["origin"] == "api"
        secret = {"source": "rtsp://bob:s3cret@127.0.0.1:9/x", "name": "camera"}
        assert (await http.post(STREAMS, json=secret)).status == 201
        await http.post(STREAMS, json={"source": SILENT, "name": "short"})
        await http.delete(f"{STREAMS}/short")
        assert await origins(http) == {"own": "file", "door": "api", "camera": "api"}
        await until(lambda: server.events.counts[EventKind.FAKE_OPENED], 90)
    state = await asyncio.to_thread(lambda: b"".join(file.read_bytes() for file in tmp_path.rglob("alerts.db*")))
    assert b"kept_streams" in state
    assert b"s3cret" not in state
    # The configuration's stream of that name comes first.
    async with serve_with(streams=[*configured, {"name": "camera", "source": SILENT}]) as (server, http):
        await until(lambda: server.events.counts[EventKind.FAKE_OPENED], 90)
        assert await origins(http) == {"own": "file", "door": "api", "camera": "file"}
        door = server.hub.find("door").request
        assert (door.source, door.watch.judged_per_second, door.watch.priority) == (str(fake), 9.0, 3)
        events = [each for each in await told(server, stream="door") if each.incident]
        assert [each.kind for each in events] == ["fake.opened", "fake.closed", "fake.opened"]
        assert events[1].cause is Closing.STREAM_ENDED
        (one,) = (await answer(await http.get("/api/v1/incidents")))["incidents"]
        assert (one["id"], one["openings"], one["state"]) == (events[0].incident, 2, "open")
        await answer(await http.patch(f"{STREAMS}/door", json={"source": str(real)}))
        assert (await told(server, kind=EventKind.FAKE_CLOSED))[0].cause is Closing.SUPERSEDED
    async with serve_with() as (server, http):
        await until(lambda: len(server.hub.streams()) == 2)
        assert server.hub.find("door").request.source == str(real)
        await http.delete(f"{STREAMS}/door")
        await http.delete(f"{STREAMS}/camera")
    async with serve_with() as (_, http):
        assert await origins(http) == {}


async def test_a_file_that_was_played_to_its_end_is_not_played_again(serve_with: ServeWith, real: Path) -> None:
    async with serve_with() as (server, http):
        await http.post(STREAMS, json={"source": str(real), "name": "once", "loop": False})
        await until(lambda: server.hub.find("once").over)
        await kept(server, 0)
        await http.post(STREAMS, json={"source": "/nowhere.mp4", "name": "missing"})
        await until(lambda: server.hub.find("missing").state == "failed")
        await kept(server, 1)


async def kept(server: Server, count: int) -> None:
    """Waits until so many streams are kept."""
    assert server.hub.desk is not None
    streams = server.hub.desk.alerts.streams
    async with asyncio.timeout(60):
        while len(await streams.list("127.0.0.1:0")) != count:  # noqa: ASYNC110 - only the database knows
            await asyncio.sleep(0.02)
