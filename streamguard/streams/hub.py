"""All streams of the server, by name."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from typing import Literal, Protocol
from urllib.parse import urlsplit

from streamguard.alerts import Fence
from streamguard.errors import NameInUse, NotPulled, Overloaded, UnknownStream, redact
from streamguard.logs import get_logger
from streamguard.media.packet_ring import PacketKeeper
from streamguard.media.supervisor import Connect
from streamguard.pipeline.guard import Guard
from streamguard.streams.alert_feed import AlertRuntime
from streamguard.streams.live_events import LiveEvents
from streamguard.streams.live_stream import LiveStream
from streamguard.streams.load import LoadMeter
from streamguard.streams.request import StreamRequest
from streamguard.streams.stream_events import StreamEvents
from streamguard.verdict.incidents import WITHIN

log = get_logger("streamguard.hub")
_LATER = "try again later, or raise the limit in the settings"
_WAIT = 30
"""Seconds after which a refused client may come back: one stream more or less takes ten to be measured."""


class Ownership(Protocol):
    """Ownership of streams where workers share a database: a stream must be ours before it has events."""

    async def take(self, stream: str) -> None:
        """Become the owner of a stream that somebody sends us; raises StreamsError."""
        ...

    def leave(self, stream: str) -> None:
        """Own it no more: it is closed."""
        ...

    def fence(self, stream: str) -> Fence:
        """Return the fence that refuses the stream's events once it is no longer ours."""
        ...


class Hub:
    """Opens, finds and closes streams; all of them are judged by one guard.

    Args:
        guard: judges; closed by its owner after the hub.
        events: who listens now.
        max_streams: streams at a time.
        threads: for painting, encoding and pictures, of all streams together.
        clip: seconds and bytes of compressed packets that are kept of a stream; None for none.
        within: seconds after its closing that an incident may be taken up by another track.

    Attributes:
        desk: takes the events of all streams; None while the server starts or ends.
        starting: no stream is opened yet.
        load: how loaded the machine is.
        ownership: says which streams are ours; None where all are.
        refused: streams refused, by reason: `streams` (there are `max_streams`) and `load`.
    """

    def __init__(
        self,
        guard: Guard,
        events: LiveEvents,
        max_streams: int = 32,
        threads: int = 2,
        clip: tuple[float, int] | None = None,
        within: float = WITHIN,
    ) -> None:
        self.guard, self.events = guard, events
        self.desk: AlertRuntime | None = None
        self.starting = False
        self.ownership: Ownership | None = None
        self._clip, self._within = clip, within
        self._max_streams = max_streams
        self._measured = False
        self.load = LoadMeter(lambda: list(self._streams.values()), self.guards)
        self.refused: Counter[str] = Counter(streams=0, load=0)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="overlay")
        self._streams: dict[str, LiveStream] = {}
        self._draining = False

    @property
    def executor(self) -> Executor:
        """Threads for painting, encoding and pictures."""
        return self._executor

    @property
    def draining(self) -> bool:
        """Return whether the server refuses new work."""
        return self._draining

    def streams(self) -> list[LiveStream]:
        """All streams, by name."""
        return [self._streams[name] for name in sorted(self._streams)]

    def guards(self) -> list[Guard]:
        """Return all guards in use, the hub's own first."""
        return list(dict.fromkeys([self.guard, *(stream.guard for stream in self.streams())]))

    @property
    def stuck(self) -> bool:
        """Return whether an engine hangs so that only a new process helps."""
        return any(guard.engine_health.stuck for guard in self.guards())

    def find(self, name: str) -> LiveStream:
        """The stream of that name.

        Raises:
            UnknownStream: there is none.
        """
        if name not in self._streams:
            raise UnknownStream(name, f"there is no stream `{name}`", "list the streams at /api/v1/streams")
        return self._streams[name]

    def allow(self, streams: int, *, measured: bool) -> None:
        """Set the limits of new streams; running ones stay.

        Args:
            streams: streams at a time.
            measured: refuse one with which others would be judged too seldom.
        """
        self._max_streams, self._measured = streams, measured

    def check_room(self, name: str, *, settled: bool = False) -> None:
        """Return whether a stream of that name can be opened.

        Args:
            name: of the stream.
            settled: it is taken whatever the load, with a warning.

        Raises:
            NameInUse: there is one already.
            Overloaded: there are too many streams, the machine is full, or the server is starting or ending.
        """
        if self._draining:
            raise Overloaded(name, "the server is shutting down", _LATER)
        if self.starting:
            raise Overloaded(name, "the server is starting", _LATER)
        if name in self._streams:
            raise NameInUse(name, f"there is a stream `{name}` already", "choose another name")
        if len(self._streams) >= self._max_streams:
            self.refused["streams"] += 1
            raise Overloaded(name, f"there are {self._max_streams} streams already", _LATER)
        full = self.load.refusal() if self._measured else ""
        if full and settled:
            log.warning("more streams than the machine can judge", stream=name, detail=full)
        elif full:
            self.refused["load"] += 1
            log.warning("stream refused", stream=name, detail=full)
            refusal = Overloaded(
                name, full, "remove a stream, try again later, or see server.admission in the settings"
            )
            refusal.wait = _WAIT
            raise refusal

    async def publish(
        self, name: str, connect: Connect, owner: str | None, keeper: PacketKeeper | None = None
    ) -> LiveStream:
        """Open a stream that is published to us.

        Args:
            name: unique on this server.
            connect: makes its items.
            owner: as for `LiveStream`.
            keeper: gets the compressed packets.

        Raises:
            StreamsError: as `check_room`.
        """
        self.check_room(name)
        if self.ownership is not None:
            await self.ownership.take(name)
        try:
            self.check_room(name)
            return self._open(name, StreamRequest(connect, loop=False), self.guard, owner, keeper)
        except BaseException:
            if self.ownership is not None:
                self.ownership.leave(name)
            raise

    def pull(
        self,
        name: str,
        request: StreamRequest,
        guard: Guard | None = None,
        *,
        settled: bool = False,
        keeper: PacketKeeper | None = None,
    ) -> LiveStream:
        """A stream that we fetch.

        Args:
            name: unique on this server.
            request: where it comes from, and how it is judged.
            guard: judges it in place of the hub's own; closed by its owner after the stream.
            settled: as for `check_room`.
            keeper: gets the compressed packets; default: a new one.

        Raises:
            StreamsError: as `check_room`.
        """
        self.check_room(name, settled=settled)
        return self._open(name, request, guard or self.guard, None, keeper or self.new_keeper())

    async def change(
        self,
        name: str,
        source: str | None = None,
        transport: Literal["tcp", "udp"] | None = None,
        loop: bool | None = None,
        redirects: bool | None = None,
    ) -> LiveStream:
        """Start a pulled stream over, with another source or other options; None leaves as it is. Viewers stay.

        Where all are None any stream plays on. Another source that never comes up is not tried for ever.

        Raises:
            UnknownStream, NotPulled: there is none, or it is sent to us.
            Overloaded: the server is ending.
        """
        stream = self.find(name)
        if (source, transport, loop) == (None, None, None):
            return stream
        if stream.kind != "pulled":
            raise NotPulled(name, f"`{name}` is published to this server", "publish it again instead")
        old = stream.request
        options = replace(
            old.options,
            transport=transport or old.options.transport,
            redirects=old.options.redirects if redirects is None else redirects,
            # It was meant for the endpoint of before.
            token=old.options.token if source is None else None,
        )
        new = replace(old, options=options, loop=old.loop if loop is None else loop)
        return await self.swap(name, new if source is None else replace(new, source=source, lasting=False))

    async def swap(self, name: str, new: StreamRequest) -> LiveStream:
        """Start a stream over, fetched and judged in another way. Viewers stay.

        Raises:
            UnknownStream: there is none.
            Overloaded: the server is ending.
        """
        stream = self.find(name)
        if self._draining:
            raise Overloaded(name, "the server is shutting down", _LATER)
        if not await stream.change(new, self.new_keeper()):
            return self.find(name)
        return stream

    async def pause(self, name: str) -> None:
        """Stop fetching a stream until `resume`; it stays in the list, as down.

        Raises:
            UnknownStream, NotPulled: there is none, or it is sent to us.
        """
        stream = self.find(name)
        if stream.kind != "pulled":
            raise NotPulled(name, f"`{name}` is published to this server", "end it where it is published")
        await stream.pause()

    async def resume(self, name: str) -> None:
        """Fetch a stream that was paused; one that was not plays on.

        Raises:
            UnknownStream: there is none.
            Overloaded: the server is ending.
        """
        stream = self.find(name)
        if stream.paused:
            await self.swap(name, stream.request)

    async def close(self, name: str, *, moved: bool = False) -> None:
        """End a stream and forget it. A no-op when there is none.

        Args:
            name: of the stream.
            moved: another worker goes on with it, and with its incidents.
        """
        stream = self._streams.pop(name, None)
        if stream is not None:
            await stream.aclose(moved=moved)
            if self.ownership is not None and stream.kind == "published":
                self.ownership.leave(name)

    def drain(self) -> None:
        """Refuse new work."""
        self._draining = True

    async def aclose(self) -> None:
        """End all streams and threads."""
        self.drain()
        await asyncio.gather(*(self.close(name) for name in tuple(self._streams)))
        self._executor.shutdown(wait=True)

    def free_name(self, source: str) -> str:
        """A name for a source, made of its last part, that is not in use."""
        base = slug(source)
        name, number = base, 2
        while name in self._streams:
            name, number = f"{base}-{number}", number + 1
        return name

    def new_keeper(self) -> PacketKeeper | None:
        """Return a buffer of a stream's newest compressed packets for clips; None where no clips are wanted."""
        return PacketKeeper(*self._clip) if self._clip is not None else None

    def _open(
        self, name: str, request: StreamRequest, guard: Guard, owner: str | None, keeper: PacketKeeper | None
    ) -> LiveStream:
        fence = self.ownership.fence(name) if self.ownership is not None else None
        feed = self.desk.feed(name, fence) if self.desk is not None else None
        told = StreamEvents(self.events, feed, self._within)
        stream = self._streams[name] = LiveStream(name, request, guard, told, self._executor, owner, keeper)
        stream.start()
        return stream


def slug(source: str) -> str:
    """A stream's name made of its source; never of a secret in it.

    >>> slug("rtsp://bob:s3cret@cam.local:554/live?token=x")
    'cam.local-live'
    """
    shown = redact(source)
    if "://" in shown:
        try:
            parts = urlsplit(shown)
            text = f"{parts.hostname or ''}-{parts.path}"
        except ValueError:
            text = ""
    else:
        text = shown.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
    cleaned = re.sub(r"[^A-Za-z0-9._]+", "-", text.replace("***", "")).strip("-._")
    return cleaned[:48].rstrip("-._") or "stream"
