"""A server of its own for each test, on a free port, with the detector that is exact."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from streamguard.pipeline.guard import Guard
from streamguard.server.app import Server, serving
from tests.support.openid_provider import Provider, openid_provider
from tests.support.settings import config_of

ServeWith = Callable[..., AbstractAsyncContextManager["tuple[Server, aiohttp.ClientSession]"]]


@pytest_asyncio.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    """An OpenID provider."""
    async with openid_provider(tmp_path) as one:
        yield one


@pytest.fixture
def serve_with(detector: Path) -> ServeWith:
    """Settings -> a running server and an HTTP client for it."""

    @asynccontextmanager
    async def serve(**settings: Any) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
        async with (
            Guard.open(str(detector), "torch") as guard,
            # How busy the machine is that runs the tests must not decide them.
            serving(config_of(**{"port": 0, "admission": "off", **settings}), guard) as server,
            aiohttp.ClientSession(server.url) as http,
        ):
            yield server, http

    return serve


@pytest_asyncio.fixture
async def running(serve_with: ServeWith) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    """A server without tokens, and a client."""
    async with serve_with() as both:
        yield both


@pytest.fixture
def server(running: tuple[Server, aiohttp.ClientSession]) -> Server:
    """The server."""
    return running[0]


@pytest.fixture
def http(running: tuple[Server, aiohttp.ClientSession]) -> aiohttp.ClientSession:
    """The client."""
    return running[1]
