"""A source named over the API must not send the server on to an address that nobody has checked."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from streamguard.server import source_policy
from tests.server.conftest import ServeWith
from tests.server.peers import until

ADMIN = "an-admin-token-of-the-tests-0123"


@pytest_asyncio.fixture
async def elsewhere(real: Path) -> AsyncIterator[TestServer]:
    """A web server with a clip, and an address that redirects to it."""

    async def clip(request: web.Request) -> web.FileResponse:
        return web.FileResponse(real)

    async def moved(request: web.Request) -> web.Response:
        raise web.HTTPFound("/clip.mp4")

    app = web.Application()
    app.router.add_get("/clip.mp4", clip)
    app.router.add_get("/moved.mp4", moved)
    server = TestServer(app)
    await server.start_server()
    yield server
    await server.close()


async def test_redirects_are_not_followed(
    serve_with: ServeWith, elsewhere: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The loopback takes the place of the internet.
    monkeypatch.setattr(source_policy, "public", lambda address: True)
    tokens = [{"token": ADMIN, "scopes": ["admin"]}]
    async with serve_with(tokens=tokens) as (server, http):
        await _add(http, "straight", elsewhere, "/clip.mp4")
        await _add(http, "moved", elsewhere, "/moved.mp4")
        await until(lambda: server.hub.find("straight").state == "up")
        await until(lambda: server.hub.find("moved").status().detail)
        assert server.hub.find("moved").counts.received == 0
        # Nor after a change of the source.
        body = {"source": str(elsewhere.make_url("/moved.mp4"))}
        changed = await http.patch("/api/v1/streams/straight", json=body, headers=_HEADERS)
        assert changed.status == 200
        await until(lambda: server.hub.find("straight").status().detail)
        assert server.hub.find("straight").counts.received == 0


async def test_they_are_where_every_address_may_be_named(http: aiohttp.ClientSession, elsewhere: TestServer) -> None:
    await _add(http, "moved", elsewhere, "/moved.mp4")

    async def state() -> str:
        return str((await (await http.get("/api/v1/streams/moved")).json())["state"])

    while (now := await state()) == "starting":
        pass
    assert now == "up"


_HEADERS = {"Authorization": f"Bearer {ADMIN}"}


async def _add(http: aiohttp.ClientSession, name: str, server: TestServer, path: str) -> None:
    body = {"name": name, "source": str(server.make_url(path))}
    response = await http.post("/api/v1/streams", json=body, headers=_HEADERS)
    assert response.status == 201, await response.text()
