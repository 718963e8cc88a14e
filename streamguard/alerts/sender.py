"""One try of one delivery: an HTTP POST by the rules of Standard Webhooks."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self

import aiohttp
from yarl import URL

from streamguard.alerts.schedule import read_retry_after
from streamguard.alerts.targets import PinnedResolver, TargetPolicy
from streamguard.clock import Clock, wall_clock
from streamguard.errors import ForbiddenTarget, one_line

TIMEOUT = 20.0
MOST_ANSWER = 4096
"""Bytes of an answer that are read; more ends the connection, not the try."""
MOST_KEPT = 200
"""Characters of an answer that are kept for the log."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of an endpoint.

    Attributes:
        code: HTTP status; None when there was no whole answer.
        text: the beginning of the answer, or why there was none; one printable line.
        retry_after: seconds to wait that the endpoint asked for (429 and 503 only).
    """

    code: int | None
    text: str
    retry_after: float | None = None

    @property
    def received(self) -> bool:
        """Return whether the endpoint has the message: 2xx. A redirect is a failure."""
        return self.code is not None and 200 <= self.code < 300


class WebhookSender:
    """Sends; an async context manager that owns its connections.

    Args:
        policy: where webhooks may go.
        timeout: seconds for a whole try.
        tls: the certificates to trust; the system's by default.
        clock: UTC epoch seconds.
    """

    def __init__(
        self,
        policy: TargetPolicy,
        *,
        timeout: float = TIMEOUT,
        tls: ssl.SSLContext | None = None,
        clock: Clock = wall_clock,
    ) -> None:
        self._policy, self._timeout, self._tls, self._clock = policy, timeout, tls, clock
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            resolver=PinnedResolver(self._policy),
            use_dns_cache=False,
            # The deliverer bounds what is under way.
            limit=0,
            ssl=self._tls or True,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._timeout),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"user-agent": "streamguard-webhook/1"},
            # No proxy from the environment: the address that was checked is the one connected to.
            trust_env=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def post(self, url: str, body: str, headers: dict[str, str]) -> Answer:
        """Send once. Every fault of the other side is an answer, none is raised.

        Args:
            url: where to.
            body: what, UTF-8.
            headers: content type and signature.
        """
        assert self._session is not None, "enter the sender first"
        try:
            # Everything counts towards the limit, also an answer that drips.
            async with asyncio.timeout(self._timeout):
                return await self._post(self._session, URL(url, encoded=True), body, headers)
        except TimeoutError:
            return Answer(None, f"no whole answer within {self._timeout:g} s")
        except ForbiddenTarget as error:
            return Answer(None, f"not sent: {error}")
        except aiohttp.ClientConnectorCertificateError as error:
            return Answer(None, _short(f"certificate refused: {error.certificate_error}"))
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error.__cause__, ForbiddenTarget):
                return Answer(None, f"not sent: {error.__cause__}")
            return Answer(None, _short(f"no answer: {error}" if str(error) else f"no answer: {type(error).__name__}"))

    async def _post(self, session: aiohttp.ClientSession, url: URL, body: str, headers: dict[str, str]) -> Answer:
        self._check_literal(url)
        async with session.post(url, data=body.encode(), headers=headers, allow_redirects=False) as response:
            read = bytearray()
            while len(read) < MOST_ANSWER and (chunk := await response.content.read(MOST_ANSWER - len(read))):
                read += chunk
            if len(read) >= MOST_ANSWER:
                response.close()
            asked = response.headers.get("retry-after") if response.status in {429, 503} else None
            text = _short(bytes(read[: 4 * MOST_KEPT]).decode("utf-8", "replace"))
            return Answer(response.status, text, read_retry_after(asked, self._clock()))

    def _check_literal(self, url: URL) -> None:
        """aiohttp asks no resolver where the host is an address already."""
        try:
            address = ip_address(url.host or "")
        except ValueError:
            return
        if not self._policy.permits(address):
            cause = "it is a private, local or reserved address"
            raise ForbiddenTarget(str(address), cause, "give a public receiver, or allow the network")


def _short(text: str) -> str:
    return one_line(text[:MOST_KEPT].strip())
