"""The keys by which an OpenID provider signs: fetched, kept for a while, fetched again when they change (RFC 7517)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp
import jwt
from yarl import URL

from streamguard.config.sign_on import OpenIdSettings
from streamguard.errors import SignOnUnavailable
from streamguard.logs import get_logger
from streamguard.server.listening import trusting

log = get_logger("streamguard.sign_on")

FRESH = 3600.0
"""Seconds after which the keys are fetched again."""
STALE = 24 * 3600.0
"""Seconds that old keys hold while the provider cannot be reached: one that it took back is believed no longer."""
PAUSE = 15.0
"""Seconds between two fetches for an unknown key, or after one that failed: made-up keys cause no more."""
TIMEOUT = 5.0
MOST_BYTES = 256 * 1024
MOST_KEYS = 64
LEAST_RSA = 2048
_KINDS = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class SigningKeys:
    """The provider's keys.

    Args:
        settings: of the provider.
        clock: monotonic seconds.

    Raises:
        ConfigError: the file of certificates cannot be used.
    """

    def __init__(self, settings: OpenIdSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._clock = settings, clock
        self._tls = None if settings.ca_file is None else trusting(settings.ca_file)
        self._keys: list[dict[str, Any]] = []
        self._fetched = self._tried = float("-inf")
        self._turn = asyncio.Lock()
        self.failures = 0
        """Fetches that failed, since the start."""

    @property
    def age(self) -> float | None:
        """Seconds since the keys were fetched; None before."""
        return self._clock() - self._fetched if self._keys else None

    async def find(self, algorithm: str, key_id: str | None) -> list[jwt.PyJWK]:
        """The keys that may have made a signature; none where the provider has no such key.

        Args:
            algorithm: one that is allowed.
            key_id: the token's `kid`; None means any key of that kind.

        Raises:
            SignOnUnavailable: the keys cannot be fetched, and those of before are too old.
        """
        now = self._clock()
        if now - self._fetched >= FRESH:
            await self._refresh()
        found = self._usable(algorithm, key_id)
        if not found and self._fetched < now:
            # The provider may have begun to sign with a new one.
            await self._refresh()
            found = self._usable(algorithm, key_id)
        if not found and self._tried > self._fetched:
            raise SignOnUnavailable(
                self._settings.issuer, "the keys of the OpenID provider cannot be fetched", "try again in a moment"
            )
        return found

    async def _refresh(self) -> None:
        async with self._turn:
            if self._clock() - max(self._tried, self._fetched) < PAUSE:
                return
            self._tried = self._clock()
            try:
                keys = await self._fetch()
            except (aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
                self.failures += 1
                if self._clock() - self._fetched >= STALE:
                    self._keys = []
                reason = str(error) or type(error).__name__
                log.warning("keys of the OpenID provider not fetched", issuer=self._settings.issuer, detail=reason)
                return
            self._keys, self._fetched = keys, self._tried
            log.info("keys of the OpenID provider fetched", issuer=self._settings.issuer, keys=len(keys))

    async def _fetch(self) -> list[dict[str, Any]]:
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls or True),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT),
            cookie_jar=aiohttp.DummyCookieJar(),
        ) as session:
            url = self._settings.keys_url
            if url is None:
                issuer = self._settings.issuer
                told = await _document(session, f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                if told.get("issuer") != issuer:
                    raise ValueError(f"its OpenID configuration is that of another issuer, {str(told.get('issuer'))!r}")
                url = str(told.get("jwks_uri", ""))
                if URL(issuer).scheme == "https" and not url.startswith("https://"):
                    raise ValueError("its keys are not at an https URL")
            keys = (await _document(session, url)).get("keys")
        if not isinstance(keys, list):
            raise ValueError("there is no list of keys in what it answers")
        return [key for key in keys[:MOST_KEYS] if isinstance(key, dict)]

    def _usable(self, algorithm: str, key_id: str | None) -> list[jwt.PyJWK]:
        found = []
        for key in self._keys:
            if key.get("kty") != _KINDS[algorithm[:2]] or key.get("alg", algorithm) != algorithm:
                continue
            if key.get("use", "sig") != "sig" or "verify" not in key.get("key_ops", ["verify"]):
                continue
            if key_id is not None and key.get("kid") != key_id:
                continue
            try:
                made = jwt.PyJWK(key, algorithm)
            except (jwt.PyJWTError, ValueError, TypeError):
                continue
            if getattr(made.key, "key_size", LEAST_RSA) < LEAST_RSA and key["kty"] == "RSA":
                continue
            found.append(made)
        return found


async def _document(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise ValueError(f"it answered {response.status}")
        read = bytearray()
        async for chunk in response.content.iter_chunked(16 * 1024):
            read += chunk
            if len(read) > MOST_BYTES:
                raise ValueError(f"it answered more than {MOST_BYTES} bytes")
    document = json.loads(bytes(read))
    if not isinstance(document, dict):
        raise ValueError("it answered no JSON object")
    return document
