"""Janus' API over a WebSocket: one session, and its plugins' handles.

See "WebSockets Interface" in Janus' documentation of its REST, WebSockets and other transports.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self, TypeAlias

import aiohttp

from streamguard.channel import cancel_and_wait
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

log = get_logger(__name__)
_PROTOCOL = "janus-protocol"
_KEEP_ALIVE = 15.0
"""Seconds between signs of life; Janus ends a session that was silent for 60, unless told otherwise."""
_MOST_BYTES = 1024 * 1024
"""The longest message that is read."""
_LAST_WORD = 3.0
Document: TypeAlias = dict[str, Any]

_UNAUTHORIZED, _UNAUTHORIZED_PLUGIN, _NO_PLUGIN = 403, 405, 460
_SESSION_GONE = {458, 459}


class JanusAnswer(NamedTuple):
    """A plugin's answer to a message: what it says, and its SDP where it negotiates."""

    data: Document
    jsep: Document | None


class PluginFailed(Exception):
    """The plugin refused a message; who sent it knows what its codes mean."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code, self.reason = code, reason


class JanusHandle:
    """One attachment to a plugin. Made by `JanusSession.attach`.

    Args:
        session: it belongs to.
        number: Janus' id.
        told: called with what the plugin says unasked, and with Janus' own events (`webrtcup`, `hangup`, ...).
    """

    def __init__(self, session: JanusSession, number: int, told: Callable[[Document], None]) -> None:
        self._session, self.number, self.told = session, number, told

    async def ask(self, body: Document, jsep: Document | None = None) -> JanusAnswer:
        """The plugin's answer to a message.

        Raises:
            PluginFailed: it refuses.
            SourceError: the session is over, or nothing came in time.
        """
        message = {"janus": "message", "body": body, "handle_id": self.number}
        told = await self._session.ask(message if jsep is None else {**message, "jsep": jsep})
        data = told.get("plugindata", {}).get("data", {})
        if "error_code" in data:
            raise PluginFailed(int(data["error_code"]), str(data.get("error", "")))
        return JanusAnswer(data, told.get("jsep"))

    async def detach(self) -> None:
        """End the attachment. A no-op where the session is over."""
        self._session.forget(self)
        with suppress(SourceError):
            await self._session.ask({"janus": "detach", "handle_id": self.number}, limit=_LAST_WORD)


class JanusSession:
    """One session, over one WebSocket: `async with JanusSession(url, options) as session`.

    Args:
        shown: what errors are about.
        url: of the WebSocket, `ws://` or `wss://`.
        options: time limits and TLS.
        secrets: `token` and `apisecret`, as far as they are there: shown with each request.

    Attributes:
        over: holds why the session is over, once it is.
    """

    def __init__(self, shown: str, url: str, options: SourceOptions, secrets: Mapping[str, str]) -> None:
        self._shown, self._url, self._options, self._secrets = shown, url, options, dict(secrets)
        self._waiting: dict[str, tuple[bool, asyncio.Future[Document]]] = {}
        self._handles: dict[int, JanusHandle] = {}
        self._stack = AsyncExitStack()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._number: int | None = None
        self.over: asyncio.Future[SourceError] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        try:
            await self._connect()
            created = await self.ask({"janus": "create"})
            self._number = int(created["data"]["id"])
            self._spawn(self._stay(), "Janus' keep-alive")
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(SourceError):
            await self.ask({"janus": "destroy"}, limit=_LAST_WORD)
        self._end(SourceEnded(self._shown, "the session was ended", "Join again"))
        await self._stack.aclose()

    async def attach(self, plugin: str, told: Callable[[Document], None]) -> JanusHandle:
        """A new attachment to the plugin of that name.

        Raises:
            SourceNotFound: the server has no such plugin.
            SourceError: as `ask`.
        """
        attached = await self.ask({"janus": "attach", "plugin": plugin})
        handle = JanusHandle(self, int(attached["data"]["id"]), told)
        self._handles[handle.number] = handle
        return handle

    def forget(self, handle: JanusHandle) -> None:
        """Tell the handle nothing any more."""
        self._handles.pop(handle.number, None)

    async def ask(self, message: Document, limit: float | None = None) -> Document:
        """Janus' answer.

        Args:
            message: a request, without session and transaction.
            limit: seconds until it must have come; default: the options' `open_timeout`.

        Raises:
            SourceUnauthorized: token or secret are wrong.
            SourceNotFound: no such plugin.
            SourceError: it refuses, the session is over, or nothing came in time.
        """
        if self.over.done():
            raise _again(self.over.result())
        assert self._socket is not None
        transaction = secrets.token_hex(8)
        acknowledged = message["janus"] == "keepalive"
        answer: asyncio.Future[Document] = asyncio.get_running_loop().create_future()
        self._waiting[transaction] = (acknowledged, answer)
        session = {} if self._number is None else {"session_id": self._number}
        limit = self._options.open_timeout if limit is None else limit
        try:
            async with asyncio.timeout(limit):
                await self._socket.send_json({**message, **session, **self._secrets, "transaction": transaction})
                told = await answer
        except TimeoutError:
            raise SourceTimeout(self._shown, f"no answer within {limit:g} s", "Check the server") from None
        except (aiohttp.ClientError, OSError):
            raise self._broken() from None
        finally:
            self._waiting.pop(transaction, None)
        if told.get("janus") == "error":
            self._refused(told.get("error", {}))
        return told

    async def _connect(self) -> None:
        tls: ssl.SSLContext | bool = False
        if self._url.startswith("wss:") and self._options.verify_tls:
            # Reading a system's certificates takes its time.
            tls = await asyncio.to_thread(ssl.create_default_context, cafile=trusted(self._options))
        failure: SourceError
        try:
            async with asyncio.timeout(self._options.open_timeout):
                http = await self._stack.enter_async_context(
                    aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls))
                )
                self._socket = await self._stack.enter_async_context(
                    http.ws_connect(self._url, protocols=(_PROTOCOL,), heartbeat=_KEEP_ALIVE, max_msg_size=_MOST_BYTES)
                )
        except aiohttp.ClientConnectorCertificateError:
            remedy = "Trust its issuer (SSL_CERT_FILE), or set verify_tls = false"
            failure = SourceUntrusted(self._shown, "the host's certificate is not trusted", remedy)
        except aiohttp.ClientConnectorDNSError:
            failure = SourceNotFound(self._shown, "the host name is unknown", "Check the host's spelling")
        except aiohttp.ClientConnectorError:
            failure = SourceRefused(self._shown, "connection refused", "Check that Janus runs, and the port")
        except TimeoutError:
            failure = SourceTimeout(self._shown, "no answer within the time limit", "Check host, port and firewall")
        except (aiohttp.ClientError, OSError, ValueError):
            cause = "this is no WebSocket of Janus"
            failure = SourceRefused(self._shown, cause, "Check host, port and path, and Janus' WebSockets transport")
        else:
            if self._socket.protocol == _PROTOCOL:
                self._spawn(self._read(self._socket), "Janus' messages")
                return
            cause = "the server does not speak Janus' protocol"
            failure = SourceRefused(self._shown, cause, "Name the port of Janus' WebSockets transport")
        raise failure

    def _spawn(self, work: Any, name: str) -> None:
        self._stack.push_async_callback(cancel_and_wait, asyncio.create_task(work, name=name))

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            try:
                told = json.loads(message.data)
                self._take(told)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                log.warning("a message of Janus is not understood", cause=type(error).__name__)
        self._end(self._broken())

    def _take(self, told: Document) -> None:
        kind = told.get("janus")
        acknowledged, answer = self._waiting.get(told.get("transaction", ""), (False, None))
        if answer is not None and (kind != "ack" or acknowledged):
            if not answer.done():
                answer.set_result(told)
        elif kind == "timeout" or (kind == "error" and told.get("error", {}).get("code") in _SESSION_GONE):
            self._end(SourceEnded(self._shown, "Janus has ended the session", "It is joined again"))
        elif (handle := self._handles.get(told.get("sender", 0))) is not None:
            handle.told(told)

    async def _stay(self) -> None:
        while True:
            await asyncio.sleep(_KEEP_ALIVE)
            try:
                await self.ask({"janus": "keepalive"})
            except SourceError as error:
                self._end(error)
                return

    def _broken(self) -> SourceError:
        return SourceEnded(self._shown, "Janus broke off the connection", "Check the server")

    def _end(self, why: SourceError) -> None:
        if not self.over.done():
            self.over.set_result(why)
        for _, answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(_again(why))

    def _refused(self, error: Document) -> NoReturn:
        code = int(error.get("code", 0))
        if code in {_UNAUTHORIZED, _UNAUTHORIZED_PLUGIN}:
            cause = "Janus asks for a token or an API secret, or refuses the one given"
            raise SourceUnauthorized(self._shown, cause, "Set token or room.api_secret")
        if code == _NO_PLUGIN:
            raise SourceNotFound(self._shown, "this Janus has no VideoRoom plugin", "Install or enable the plugin")
        if code in _SESSION_GONE:
            self._end(SourceEnded(self._shown, "Janus has ended the session", "It is joined again"))
            raise _again(self.over.result())
        raise SourceRefused(self._shown, f"Janus refuses (code {code})", "See its log")


def _again(error: SourceError) -> SourceError:
    """The error for one more who waits: an exception that is raised twice gathers both tracebacks."""
    return type(error)(error.thing, error.cause, error.remedy)


def no_codec(shown: str, codec: str) -> UnsupportedMedia:
    """The error of a video whose codec cannot be received."""
    cause = f"its video is {codec or 'in a codec that is not known here'}"
    return UnsupportedMedia(shown, cause, "Have the room use VP8 or H.264 (videocodec)")
