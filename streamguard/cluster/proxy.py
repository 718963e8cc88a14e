"""Requests that the front door passes on to a worker, and its answers back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from streamguard.cluster.store import WorkerEntry
from streamguard.config import TlsSettings
from streamguard.server.listening import trusting
from streamguard.server.problems import Problem

CONNECT = 2.0
ANSWER = 15.0
"""Seconds between two parts of an answer: the state of a stream that is followed comes each second."""
LIST = 3.0
_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
    }
)
"""Header fields of one connection (RFC 9110, 7.6.1)."""
_PIECE = 64 * 1024


class BrokenAnswer(ConnectionResetError):
    """Half an answer is out, and there is no more of it: only the connection's end can tell that."""


class Proxy:
    """Passes requests on; an async context manager.

    Args:
        tls: of the workers, whose certificate is trusted beside the system's; None where they have none.
    """

    def __init__(self, tls: TlsSettings | None) -> None:
        self._tls, self._http = tls, None

    _http: aiohttp.ClientSession | None

    async def __aenter__(self) -> Self:
        context = trusting(None if self._tls is None else self._tls.certificate)
        self._http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=ANSWER),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def pass_on(
        self, request: web.Request, worker: WorkerEntry, path: str, *, last: bool = True, location: str | None = None
    ) -> web.StreamResponse | None:
        """The worker's answer, handed to the client as it comes.

        Args:
            request: of the client; its body is read only if it is passed on.
            worker: who answers.
            path: raw path and query there.
            last: there is nobody else to ask. Where there is, None is returned for 404 and 410.
            location: prefix for the id of a session that is made there.

        Raises:
            Problem: 503, it does not answer.
        """
        assert self._http is not None
        headers = CIMultiDict((name, value) for name, value in request.headers.items() if name.lower() not in _HOP)
        told = [request.headers.get("X-Forwarded-For"), request.remote]
        headers["X-Forwarded-For"] = ", ".join(each for each in told if each)
        url = URL(worker.card.url.rstrip("/") + path, encoded=True)
        body = request.content.iter_chunked(_PIECE) if request.can_read_body else None
        try:
            async with self._http.request(
                request.method, url, headers=headers, data=body, allow_redirects=False
            ) as answer:
                if not last and answer.status in {404, 410}:
                    return None
                return await _handed(request, answer, location)
        except BrokenAnswer:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise moving(f"the worker on {worker.card.node} does not answer") from None

    async def ask(self, workers: Iterable[WorkerEntry], path: str, authorization: str | None) -> list[bytes | None]:
        """The answers of all workers; None for one that does not answer 200 in time."""
        assert self._http is not None
        http, headers = self._http, {"Authorization": authorization} if authorization else {}

        async def one(worker: WorkerEntry) -> bytes | None:
            url = URL(worker.card.url.rstrip("/") + path, encoded=True)
            try:
                async with asyncio.timeout(LIST), http.get(url, headers=headers, allow_redirects=False) as answer:
                    return await answer.read() if answer.status == 200 else None
            except (aiohttp.ClientError, TimeoutError, OSError):
                return None

        return list(await asyncio.gather(*map(one, workers)))


def moving(why: str) -> Problem:
    """The stream, or who answers, is on its way to another worker."""
    return Problem(503, "moving", f"{why[0].upper()}{why[1:]}.", "Try again in two seconds.", {"Retry-After": "2"})


async def _handed(request: web.Request, answer: aiohttp.ClientResponse, location: str | None) -> web.StreamResponse:
    response = web.StreamResponse(status=answer.status, reason=answer.reason)
    for name, value in answer.headers.items():
        if name.lower() not in _HOP:
            response.headers.add(name, value)
    if location is not None and "Location" in answer.headers:
        head, _, id = answer.headers["Location"].rpartition("/")
        response.headers["Location"] = f"{head}/{location}.{id}"
    await response.prepare(request)
    try:
        async for piece in answer.content.iter_any():
            await response.write(piece)
        await response.write_eof()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise BrokenAnswer(str(error)) from None
    return response
