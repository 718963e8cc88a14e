"""Middleware of every request: host and origin, header fields, problems, counts, log."""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web
from aiohttp.typedefs import Middleware

from streamguard.errors import StreamsError
from streamguard.logs import get_logger
from streamguard.server.problems import Problem, problem_of

log = get_logger("streamguard.http")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob: mediastream:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), display-capture=(self), microphone=(), geolocation=()",
}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_GONE = 499
_CORS_METHODS = "GET, HEAD, POST, PATCH, DELETE, OPTIONS"
_CORS_ASKED = "Authorization, Content-Type, If-Match, Last-Event-ID, Range"
_CORS_EXPOSED = (
    "Location, ETag, Link, Accept-Patch, Accept-Post, Retry-After, WWW-Authenticate, Content-Range, Media-Start"
)


def middlewares(
    *, known_hosts: Iterable[str] | None, origins: Iterable[str], counts: Counter[tuple[str, int]]
) -> list[Middleware]:
    """The middlewares, outermost first.

    Args:
        known_hosts: names in `Host` that are answered beside this machine's own; None answers all. Without tokens,
            a web page whose name its owner points at this machine must not get in (DNS rebinding).
        origins: web pages of other origins that may call; what they ask beforehand (preflight) needs no token.
        counts: requests by (method, status), counted up.
    """
    hosts = None if known_hosts is None else {host.lower() for host in known_hosts}
    allowed = frozenset(origins)

    @web.middleware
    async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        # What is left where the client has gone before the answer's end.
        status = _CLIENT_GONE
        try:
            response = await _answered(request, handler)
            status = response.status
            return response
        finally:
            counts[request.method if request.method in _METHODS else "other", status] += 1
            # The path alone: a query may hold a token.
            level = log.warning if status >= 500 else log.debug
            level("request", method=request.method, path=request.path, status=status, seconds=_since(began))

    async def _answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            return problem.response()
        except StreamsError as error:
            return problem_of(error).response()
        except web.HTTPException as error:
            return _problem_of(error)
        except ConnectionResetError:
            raise
        except Exception:
            log.exception("request failed", method=request.method, path=request.path)
            detail = "An error inside the server."
            return Problem(500, "internal", detail, "Look at the server's log, or report it.").response()

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if hosts is not None and not _own_host(request.host, hosts):
            detail = "This server does not answer to that host name."
            raise Problem(421, "wrong-host", detail, "Use its address, or add the name to allowed_hosts.")
        return await handler(request)

    @web.middleware
    async def shared(request: web.Request, handler: Handler) -> web.StreamResponse:
        preflight = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
        if not preflight or request.headers.get("Origin") not in allowed:
            return await handler(request)
        headers = {"Allow-Methods": _CORS_METHODS, "Allow-Headers": _CORS_ASKED, "Max-Age": "600"}
        return web.Response(status=204, headers={f"Access-Control-{name}": value for name, value in headers.items()})

    return [told, guarded, shared]


def header_signal(origins: Iterable[str]) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    """Adds the header fields of every answer, streamed ones too."""
    allowed = frozenset(origins)

    async def on_prepare(request: web.Request, response: web.StreamResponse) -> None:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.popall("Server", None)
        if not allowed:
            return
        # In every answer: a cache must not hand the one for this origin to another.
        response.headers.add("Vary", "Origin")
        origin = request.headers.get("Origin")
        if origin in allowed:
            # No credentials but those that a script sends: there are no cookies.
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _CORS_EXPOSED
            response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"

    return on_prepare


def _problem_of(error: web.HTTPException) -> web.StreamResponse:
    if error.status < 400:
        raise error
    kinds = {404: "not-found", 405: "wrong-method", 413: "too-large"}
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    remedy = "See /api/v1/openapi.json for what there is."
    return Problem(error.status, kinds.get(error.status, "refused"), f"{error.reason}.", remedy, headers).response()


def _own_host(host: str, known: set[str]) -> bool:
    name = host.lower()
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost") or name in known:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 4)
