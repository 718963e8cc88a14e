"""The webhook's other end: verifies every message, and dies on demand."""

from __future__ import annotations

import base64
import secrets
from typing import Any

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

_IDLE = 1.0
"""Seconds until an idle connection is closed: descriptors are counted."""


class Receiver:
    """Takes messages: `async with Receiver() as receiver`.

    Attributes:
        secret: signs them.
        url: where it listens.
        ids: of those that came in good order (`webhook-id`).
        repeated: of those, came more than once.
        refused: messages whose signature was wrong.
        turned_away: connections that were broken off while it was dead.
    """

    def __init__(self) -> None:
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
        self.ids: set[str] = set()
        self.repeated = self.refused = self.turned_away = 0
        self.url = ""
        self._dead = False
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Receiver:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5, keepalive_timeout=_IDLE)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/hook"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    def die(self) -> None:
        """Break off every connection from now on."""
        self._dead = True

    def live(self) -> None:
        """Answer again."""
        self._dead = False

    async def _take(self, request: web.Request) -> web.Response:
        if self._dead:
            self.turned_away += 1
            assert request.transport is not None
            request.transport.close()
            return web.Response(status=503)
        body: Any = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.refused += 1
            return web.Response(status=401)
        id = headers["webhook-id"]
        self.repeated += id in self.ids
        self.ids.add(id)
        return web.Response(status=204)
