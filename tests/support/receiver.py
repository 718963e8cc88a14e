"""A webhook receiver over TLS that verifies every signature with the public library, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trustme
from aiohttp import web
from standardwebhooks.webhooks import Webhook

Behaviour = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Received:
    """One request that arrived, whatever it was answered."""

    path: str
    webhook_id: str
    headers: dict[str, str]
    body: bytes
    document: Any
    """None when no signature was right."""
    answered: int


@dataclass
class Receiver:
    """Where it listens, and what arrived.

    Attributes:
        secrets: the secret of each path, for verifying.
        behaviour: what each path does; 200 by default.
    """

    port: int
    ca: trustme.CA
    secrets: dict[str, str] = field(default_factory=dict)
    behaviour: dict[str, Behaviour] = field(default_factory=dict)
    requests: list[Received] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    verify_times: bool = True

    def url(self, path: str = "/", host: str = "localhost") -> str:
        """The https URL of a path."""
        return f"https://{host}:{self.port}{path}"

    def trust(self) -> ssl.SSLContext:
        """A client's context that trusts the receiver's authority, and no other."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        return context

    def accepted(self, path: str = "/") -> list[Received]:
        """What was verified and answered 2xx, in order."""
        return [one for one in self.requests if one.path == path and one.document is not None and one.answered < 300]

    def ids(self, path: str = "/") -> Counter[str]:
        """How often each accepted id came."""
        return Counter(one.webhook_id for one in self.accepted(path))

    def faces(self, path: str = "/") -> dict[tuple[str, int, int | None], list[str]]:
        """The events of each face in order of their first arrival."""
        seen: set[str] = set()
        faces: dict[tuple[str, int, int | None], list[str]] = defaultdict(list)
        for one in self.accepted(path):
            if one.webhook_id not in seen:
                seen.add(one.webhook_id)
                data = one.document["data"]
                faces[data["stream"], data["epoch"], data["track"]].append(one.document["type"])
        return dict(faces)

    async def until(self, met: Callable[[], bool], limit: float = 60.0) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(limit), self.changed:
            await self.changed.wait_for(met)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Take one request."""
        body = await request.read()
        path = request.path
        headers = {name.lower(): value for name, value in request.headers.items()}
        document = None
        if path in self.secrets:
            try:
                if self.verify_times:
                    document = Webhook(self.secrets[path]).verify(body, headers)
            except Exception as error:
                document = None
                headers["refused"] = str(error)
        one = Received(path, headers.get("webhook-id", ""), headers, body, document, 0)
        self.requests.append(one)
        try:
            behaviour = self.behaviour.get(path)
            response = await behaviour(request) if behaviour else web.Response(status=200 if document else 401)
            one.answered = response.status
        except BaseException:
            one.answered = 599
            raise
        finally:
            async with self.changed:
                self.changed.notify_all()
        return response


@asynccontextmanager
async def receiver(*names: str, ca: trustme.CA | None = None, address: str = "127.0.0.1") -> AsyncIterator[Receiver]:
    """A running receiver on the loopback, or another address; its certificate is for `names`, or localhost."""
    ca = ca or trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or ("localhost", "127.0.0.1"))).configure_cert(context)
    receiving = Receiver(0, ca)
    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", receiving.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    try:
        site = web.TCPSite(runner, address, 0, ssl_context=context)
        await site.start()
        assert site._server is not None
        receiving.port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        yield receiving
    finally:
        await runner.cleanup()


def answering(status: int, **headers: str) -> Behaviour:
    """Always this status and these headers."""

    async def behave(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()})

    return behave


def first(bad: Behaviour, times: int = 1) -> Behaviour:
    """Misbehaves so often, then answers 204."""
    left = [times]

    async def behave(request: web.Request) -> web.StreamResponse:
        if left[0]:
            left[0] -= 1
            return await bad(request)
        return web.Response(status=204)

    return behave


async def hang(_: web.Request) -> web.Response:
    """Never answers."""
    await asyncio.Event().wait()
    raise AssertionError


async def reset_in_the_middle(request: web.Request) -> web.StreamResponse:
    """Promises a thousand bytes, sends some, and breaks the connection."""
    response = web.StreamResponse(status=200, headers={"content-length": "1000"})
    await response.prepare(request)
    await response.write(b"half of it")
    assert request.transport is not None
    request.transport.abort()
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    """Answers 200 and a body without an end."""
    response = web.StreamResponse(status=200)
    await response.prepare(request)
    while True:
        await response.write(b"x" * 65536)
