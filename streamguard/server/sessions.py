"""WebRTC sessions made over HTTP: the resources of WHIP (RFC 9725) and WHEP, and their end."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from typing import Literal, TypeAlias

from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection

from streamguard.logs import get_logger
from streamguard.media.aiortc_hooks import close_connection, make_connection
from streamguard.server.problems import Problem, overloaded

log = get_logger("streamguard.session")
Kind: TypeAlias = Literal["whip", "whep"]


class Session:
    """One peer connection with the HTTP resource that stands for it.

    Attributes:
        id: unguessable; the last part of its URL.
        etag: quoted, of its one ICE session.
        kind, stream, owner: what it does, for which stream, for whom.
        pc: the connection.
        ufrag: the remote ICE user fragment.
        pli: key frames its peer has asked for.
    """

    def __init__(self, kind: Kind, stream: str, owner: str | None, pc: RTCPeerConnection) -> None:
        self.id = secrets.token_urlsafe(24)
        self.etag = f'"{secrets.token_hex(8)}"'
        self.kind, self.stream, self.owner, self.pc = kind, stream, owner, pc
        self.ufrag = ""
        self.pli = 0
        self._changed = asyncio.Event()
        self._closing = False
        pc.on("connectionstatechange", self._changed.set)

    @property
    def path(self) -> str:
        """The resource's URL path."""
        return f"/{self.kind}/sessions/{self.id}"

    def request_close(self) -> None:
        """Ask it to end; its owner closes it."""
        self._closing = True
        self._changed.set()

    async def run(self, connect_timeout: float) -> str:
        """Wait until it has ended, close the connection, and return the reason.

        Args:
            connect_timeout: seconds until media must be able to flow.
        """
        reason = "closed"
        try:
            try:
                async with asyncio.timeout(connect_timeout):
                    await self._until({"connected", "failed", "closed"})
            except TimeoutError:
                reason = "never connected"
            else:
                await self._until({"failed", "closed"})
                if not self._closing:
                    reason = "connection lost" if self.pc.connectionState == "failed" else "closed by the peer"
        finally:
            await close_connection(self.pc)
        return reason

    async def _until(self, states: Iterable[str]) -> None:
        while self.pc.connectionState not in states and not self._closing:
            self._changed.clear()
            await self._changed.wait()


class SessionBook:
    """The sessions there are.

    Args:
        ice_servers: STUN and TURN servers used for gathering.
        limit: sessions at a time.
        connect_timeout: seconds a session has until it is connected.
    """

    def __init__(self, ice_servers: Sequence[RTCIceServer], limit: int, connect_timeout: float) -> None:
        # Without an explicit list aiortc asks a public STUN server of a third party.
        self._configuration = RTCConfiguration(iceServers=list(ice_servers))
        self._limit, self._connect_timeout = limit, connect_timeout
        self._sessions: dict[str, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._reserved = 0
        self._draining = False
        self.opened = 0
        """Sessions since the start."""

    def count(self, kind: Kind | None = None) -> int:
        """Sessions open now."""
        return sum(kind is None or session.kind == kind for session in self._sessions.values())

    def find(self, kind: Kind, key: str) -> Session:
        """The session of that kind and id.

        Raises:
            Problem: 404.
        """
        session = self._sessions.get(key)
        if session is None or session.kind != kind:
            # An id is a secret of its session; it is not repeated.
            raise Problem(404, "not-found", "There is no such session; it may have ended.", "Start a new one.")
        return session

    @contextlib.asynccontextmanager
    async def opening(self, kind: Kind, stream: str, owner: str | None) -> AsyncGenerator[Session, None]:
        """A session that is being negotiated; closed if that fails, and not yet counted as open.

        Raises:
            Problem: 503, there are too many.
        """
        if self._draining:
            raise overloaded("The server is shutting down.")
        if len(self._sessions) + self._reserved >= self._limit:
            raise overloaded(f"There are {self._limit} sessions already.")
        self._reserved += 1
        pc = make_connection(self._configuration)
        try:
            yield Session(kind, stream, owner, pc)
        except BaseException:
            await close_connection(pc)
            raise
        finally:
            self._reserved -= 1

    def open(self, session: Session, on_close: Callable[[], Awaitable[None]]) -> None:
        """Take a negotiated session into the book; it is watched, and closed when it ends.

        Args:
            session: its answer is made.
            on_close: awaited once it is closed.
        """
        self._sessions[session.id] = session
        self.opened += 1
        task = asyncio.create_task(self._watch(session, on_close), name=f"{session.kind} of {session.stream}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        log.info("session opened", kind=session.kind, stream=session.stream)

    async def close(self, session: Session) -> None:
        """End a session: its resource is gone at once, its connection soon."""
        self._sessions.pop(session.id, None)
        session.request_close()

    async def aclose(self) -> None:
        """End all sessions, and wait until they have ended."""
        self._draining = True
        for session in tuple(self._sessions.values()):
            session.request_close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _watch(self, session: Session, on_close: Callable[[], Awaitable[None]]) -> None:
        reason = "closed"
        try:
            reason = await session.run(self._connect_timeout)
        except Exception:
            reason = "failed"
            log.exception("session failed", kind=session.kind, stream=session.stream)
        finally:
            self._sessions.pop(session.id, None)
            await on_close()
            log.info("session closed", kind=session.kind, stream=session.stream, reason=reason)
