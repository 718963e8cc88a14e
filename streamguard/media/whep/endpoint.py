"""HTTP side of a WHEP endpoint: a session for our offer, and its end."""

from __future__ import annotations

import asyncio
import ssl
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from streamguard.errors import (
    SourceEnded,
    SourceError,
    SourceNotFound,
    SourceRefused,
    SourceTimeout,
    SourceUnauthorized,
    SourceUntrusted,
    UnsupportedMedia,
)
from streamguard.logs import get_logger
from streamguard.media.address import SourceOptions, trusted
from streamguard.media.whep.address import PREFIX

log = get_logger(__name__)
SDP = "application/sdp"
_MOST_BYTES = 64 * 1024
"""The longest answer that is read."""
_MOST_REDIRECTS = 3
_LAST_WORD = 3.0
"""Seconds for a session's end."""
_ANSWERS: dict[int, tuple[type[SourceError], str, str]] = {
    401: (SourceUnauthorized, "the endpoint asks for a token, or refuses the one given", "Give the token it expects"),
    403: (SourceUnauthorized, "the endpoint refuses access", "Give a token that may play it"),
    404: (SourceNotFound, "the endpoint knows no such stream", "Check the path, or begin to publish"),
    405: (SourceNotFound, "this is no WHEP endpoint", "Check the path of the URL"),
    409: (SourceRefused, "nobody publishes the stream now", "Wait until it is published"),
    429: (SourceRefused, "the endpoint gets too many requests", "Try again later"),
}


class Endpoint:
    """One session at most: `async with Endpoint(url, options) as endpoint`; left, the session is ended (DELETE).

    The token is shown to the origin of the URL and to no other, and never told in an error.

    Args:
        url: `whep+https://host[:port]/path` or `whep+http://...`.
        options: token, TLS, redirects, `open_timeout`.

    Raises:
        SourceNotFound: the URL names no host.
        ConfigError: the file of trusted certificates is not there.
    """

    def __init__(self, url: str, options: SourceOptions) -> None:
        self._shown, self._options = url, options
        try:
            self._url = URL(url[len(PREFIX) :])
        except ValueError:
            self._url = URL()
        if not self._url.host:
            raise SourceNotFound(url, "the URL names no host", "Write it as whep+https://host[:port]/path")
        self._trusted = trusted(options) if options.verify_tls else None
        self._session: URL | None = None

    async def __aenter__(self) -> Self:
        tls: ssl.SSLContext | bool = False
        if self._trusted is not None:
            # Reading a system's certificates takes its time.
            tls = await asyncio.to_thread(ssl.create_default_context, cafile=self._trusted)
        timeout = aiohttp.ClientTimeout(total=self._options.open_timeout)
        self._http = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=tls))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._end()
        finally:
            await self._http.close()

    async def answer(self, offer: str) -> str:
        """The endpoint's SDP answer to our SDP offer.

        Raises:
            SourceError: it cannot be reached, or refuses (see the subclasses).
            UnsupportedMedia: it has nothing for our offer, or answers with something else than SDP.
        """
        failure: SourceError
        try:
            async with self._http.post(
                self._url,
                data=offer.encode(),
                headers={"Content-Type": SDP, "Accept": SDP, **self._bearer(self._url)},
                allow_redirects=self._options.redirects,
                max_redirects=_MOST_REDIRECTS,
            ) as response:
                return await self._answered(response)
        except aiohttp.ClientConnectorCertificateError as error:
            reason = getattr(error.certificate_error, "verify_message", "") or "it is another host's"
            remedy = "Trust its issuer (SSL_CERT_FILE), or switch the check off (--insecure)"
            cause = f"the host's certificate is not trusted ({reason})"
            failure = SourceUntrusted(self._shown, cause, remedy)
        except aiohttp.ClientConnectorDNSError:
            failure = SourceNotFound(self._shown, "the host name is unknown", "Check the host's spelling")
        except aiohttp.ClientConnectorError:
            failure = SourceRefused(self._shown, "connection refused", "Check that the server runs, and the port")
        except TimeoutError:
            failure = SourceTimeout(self._shown, "no answer within the time limit", "Check host, port and firewall")
        except aiohttp.TooManyRedirects:
            failure = SourceRefused(self._shown, "it redirects too often", "Give its final address")
        except (aiohttp.ClientError, OSError, ValueError):
            failure = SourceEnded(self._shown, "the host broke off the connection", "Check the server")
        raise failure

    async def _answered(self, response: aiohttp.ClientResponse) -> str:
        if location := response.headers.get("Location"):
            # Kept before anything else can fail: whatever was made there is ended.
            self._session = response.url.join(URL(location)) if response.status == 201 else None
        if response.status in _ANSWERS:
            kind, cause, remedy = _ANSWERS[response.status]
            raise kind(self._shown, cause, remedy)
        if response.status in {400, 406, 415, 422}:
            cause = f"the endpoint has nothing for what is asked: H.264 or VP8 (status {response.status})"
            raise UnsupportedMedia(self._shown, cause, "Have it offer one of them")
        if response.status != 201:
            cause = f"the endpoint answers with status {response.status}"
            remedy = "Give its final address" if 300 <= response.status < 400 else "Try again later"
            raise SourceRefused(self._shown, cause, remedy)
        text = bytearray()
        async for chunk in response.content.iter_chunked(16 * 1024):
            text += chunk
            if len(text) > _MOST_BYTES:
                raise UnsupportedMedia(self._shown, "its answer is too long", "Check the endpoint")
        if response.content_type != SDP:
            raise UnsupportedMedia(self._shown, "it answers with something else than SDP", "Check the path of the URL")
        return text.decode(errors="replace")

    async def _end(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        try:
            async with asyncio.timeout(_LAST_WORD), self._http.delete(session, headers=self._bearer(session)):
                pass
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            # It ends by itself once nobody answers there; its address is a secret.
            log.debug("a WHEP session could not be ended", cause=type(error).__name__)

    def _bearer(self, url: URL) -> dict[str, str]:
        token = self._options.token
        if token is None or url.origin() != self._url.origin():
            return {}
        return {"Authorization": f"Bearer {token}"}
