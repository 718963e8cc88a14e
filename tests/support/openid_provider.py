"""An OpenID provider over TLS: publishes its configuration and keys, signs tokens, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jwt
import trustme
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

AUDIENCE = "streamguard"
GRANTS = [
    {"group": "desk", "scopes": ["view", "review"], "streams": ["news-*"]},
    {"group": "chiefs", "scopes": ["admin"]},
    {"scope": "streamguard.publish", "scopes": ["publish"], "streams": ["studio-?"]},
]
"""For the section `grants`."""


@dataclass
class Provider:
    """Where it is, what it signs with, what it was asked.

    Attributes:
        issuer: its URL.
        keys: by `kid`: algorithm and private key; all are published but those in `hidden`.
        answer: what the keys' URL answers in place of them: a status, or bytes.
        asked: how often the keys were fetched.
    """

    authority: Path
    issuer: str = ""
    keys: dict[str, tuple[str, Any]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)
    extra: list[dict[str, Any]] = field(default_factory=list)
    answer: int | bytes = 200
    told_issuer: str = ""
    asked: int = 0

    def add(self, key_id: str, algorithm: str = "ES256") -> None:
        """Begin to publish another key."""
        made: Any
        if algorithm.startswith("ES"):
            made = ec.generate_private_key({"ES256": ec.SECP256R1, "ES384": ec.SECP384R1}[algorithm]())
        elif algorithm == "EdDSA":
            made = ed25519.Ed25519PrivateKey.generate()
        else:
            made = rsa.generate_private_key(65537, 2048)
        self.keys[key_id] = (algorithm, made)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims that are right; None leaves one out."""
        now = time.time()
        claims = {"iss": self.issuer, "aud": AUDIENCE, "sub": "anna", "iat": now, "exp": now + 300, **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key_id: str = "one", /, headers: dict[str, Any] | None = None, **changes: Any) -> str:
        """A token signed with the key; claims and header fields as told."""
        algorithm, key = self.keys[key_id]
        return jwt.encode(self.claims(**changes), key, algorithm, headers={"kid": key_id, **(headers or {})})

    def published(self) -> list[dict[str, Any]]:
        """The keys as JWKs."""
        found = list(self.extra)
        for key_id, (algorithm, key) in self.keys.items():
            if key_id not in self.hidden:
                writer: Any = ECAlgorithm if algorithm.startswith("ES") else RSAAlgorithm
                writer = OKPAlgorithm if algorithm == "EdDSA" else writer
                found.append({**json.loads(writer.to_jwk(key.public_key())), "kid": key_id, "use": "sig"})
        return found

    async def configuration(self, request: web.Request) -> web.Response:
        """GET /.well-known/openid-configuration."""
        return web.json_response({"issuer": self.told_issuer or self.issuer, "jwks_uri": f"{self.issuer}/keys"})

    async def published_keys(self, request: web.Request) -> web.Response:
        """GET /keys."""
        self.asked += 1
        # Others may ask meanwhile.
        await asyncio.sleep(0)
        if isinstance(self.answer, bytes):
            return web.Response(body=self.answer)
        return web.json_response({"keys": self.published()}, status=self.answer, headers={"Location": "/keys"})


@asynccontextmanager
async def openid_provider(folder: Path) -> AsyncIterator[Provider]:
    """A running provider on the loopback with one key, `one`; its authority is a file in the folder."""
    ca = trustme.CA()
    authority = folder / "provider.pem"
    ca.cert_pem.write_to_path(str(authority))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    provider = Provider(authority)
    provider.add("one")
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.configuration)
    app.router.add_get("/keys", provider.published_keys)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        provider.issuer = f"https://localhost:{runner.addresses[0][1]}"
        yield provider
    finally:
        await runner.cleanup()


def settings_of(provider: Provider, **more: Any) -> dict[str, Any]:
    """The section of the configuration."""
    return {"issuer": provider.issuer, "audience": [AUDIENCE], "ca_file": str(provider.authority), **more}
