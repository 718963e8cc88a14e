"""All streams of the server, by name."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Literal
from urllib.parse import urlsplit

import structlog

from streamguard.errors import redact
from streamguard.media.packet_ring import PacketKeeper
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.server.alert_desk import AlertDesk
from streamguard.server.event_log import EventLog
from streamguard.server.live_stream import Items, LiveStream
from streamguard.server.load import LoadMeter
from streamguard.server.problems import Problem, not_found, overloaded
from streamguard.server.pulled import Pulled, pulled_frames

log = structlog.get_logger("streamguard.hub")
_WAIT = 30
"""Seconds after which somebody who was refused may come back: a stream more or less takes ten to be measured."""


class Hub:
    """Opens, finds and closes streams; all of them are judged by one guard.

    Args:
        guard: judges; closed by its owner after the hub.
        events: where events are kept.
        max_streams: streams at a time.
        threads: for painting, encoding and pictures, of all streams together.
        clip: seconds and bytes of compressed packets that are kept of a stream; None for none.

    Attributes:
        desk: takes the events of all streams; None where alerts are switched off.
        starting: no stream is opened yet.
        load: how loaded the machine is.
        refused: streams refused, by reason: `streams` (there are `max_streams`) and `load`.
    """

    def __init__(
        self,
        guard: Guard,
        events: EventLog,
        max_streams: int = 32,
        threads: int = 2,
        clip: tuple[float, int] | None = None,
    ) -> None:
        self.guard, self.events = guard, events
        self.desk: AlertDesk | None = None
        self.starting = False
        self._clip = clip
        self._max_streams = max_streams
        self._measured = False
        self.load = LoadMeter(lambda: list(self._streams.values()), self.guards)
        self.refused: Counter[str] = Counter(streams=0, load=0)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="overlay")
        self._streams: dict[str, LiveStream] = {}
        self._pulled: dict[str, Pulled] = {}
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether the server takes no more work."""
        return self._draining

    def streams(self) -> list[LiveStream]:
        """All streams, by name."""
        return [self._streams[name] for name in sorted(self._streams)]

    def guards(self) -> list[Guard]:
        """Everything that judges now: the hub's own guard first."""
        return list(dict.fromkeys([self.guard, *(stream.guard for stream in self.streams())]))

    @property
    def stuck(self) -> bool:
        """Whether an engine hangs so that only a new process helps."""
        return any(guard.engine_health.stuck for guard in self.guards())

    def find(self, name: str) -> LiveStream:
        """The stream of that name.

        Raises:
            Problem: 404.
        """
        if name not in self._streams:
            raise not_found("stream", name, "List the streams at /api/v1/streams.")
        return self._streams[name]

    def allow(self, streams: int, *, measured: bool) -> None:
        """What to take from now on; those there are stay.

        Args:
            streams: streams at a time.
            measured: refuse one with which others would be judged too seldom.
        """
        self._max_streams, self._measured = streams, measured

    def check_room(self, name: str, *, settled: bool = False) -> None:
        """Whether a stream of that name can be opened.

        Args:
            name: of the stream.
            settled: it is taken whatever the load, with a warning.

        Raises:
            Problem: 409 the name is in use; 503 there are too many streams, the machine is full, or the server is
                ending.
        """
        if self._draining:
            raise overloaded("The server is shutting down.")
        if self.starting:
            raise overloaded("The server is starting.")
        if name in self._streams:
            raise Problem(409, "name-in-use", f"There is a stream `{name}` already.", "Choose another name.")
        if len(self._streams) >= self._max_streams:
            self.refused["streams"] += 1
            raise overloaded(f"There are {self._max_streams} streams already.")
        full = self.load.refusal() if self._measured else ""
        if full and settled:
            log.warning("more streams than the machine can judge", stream=name, detail=full)
        elif full:
            self.refused["load"] += 1
            log.warning("stream refused", stream=name, detail=full)
            remedy = "Remove a stream, try again later, or see server.admission in the settings."
            raise overloaded(full, _WAIT, remedy)

    def publish(self, name: str, items: Items, owner: str | None, keeper: PacketKeeper | None = None) -> LiveStream:
        """A stream that somebody sends us.

        Args:
            name, items, owner: as for `LiveStream`.
            keeper: gets the compressed packets.

        Raises:
            Problem: as `check_room`.
        """
        self.check_room(name)
        return self._open(name, "published", None, items, owner, keeper)

    def pull(self, name: str, pulled: Pulled, guard: Guard | None = None, *, settled: bool = False) -> LiveStream:
        """A stream that we fetch.

        Args:
            name: unique on this server.
            pulled: where it comes from, and how it is judged.
            guard: judges it in place of the hub's own; closed by its owner after the stream.
            settled: as for `check_room`.

        Raises:
            Problem: as `check_room`.
        """
        keeper = self.new_keeper()
        items = partial(pulled_frames, name, pulled, keeper)
        self.check_room(name, settled=settled)
        stream = self._open(name, "pulled", redact(pulled.source), items, None, keeper, guard, pulled.watch)
        self._pulled[name] = pulled
        return stream

    async def change(
        self,
        name: str,
        source: str | None = None,
        transport: Literal["tcp", "udp"] | None = None,
        loop: bool | None = None,
        redirects: bool | None = None,
    ) -> LiveStream:
        """Start a pulled stream over, with another source or other options; None leaves as it is. Viewers stay.

        Where all are None it plays on. Another source that never comes up is not tried for ever.

        Raises:
            Problem: 404; 409 the stream is published, not pulled; 503 the server is ending.
        """
        self.find(name)
        if name not in self._pulled:
            raise Problem(409, "not-pulled", f"`{name}` is published to this server.", "Publish it again instead.")
        if (source, transport, loop) == (None, None, None):
            return self.find(name)
        old = self._pulled[name]
        options = replace(
            old.options,
            transport=transport or old.options.transport,
            redirects=old.options.redirects if redirects is None else redirects,
            # It was meant for the endpoint of before.
            token=old.options.token if source is None else None,
        )
        new = replace(old, options=options, loop=old.loop if loop is None else loop)
        return await self.swap(name, new if source is None else replace(new, source=source, lasting=False))

    async def swap(self, name: str, new: Pulled) -> LiveStream:
        """Start a stream over, fetched and judged in another way. Viewers stay.

        Raises:
            Problem: 404; 503 the server is ending.
        """
        stream = self.find(name)
        if self._draining:
            raise overloaded("The server is shutting down.")
        self._pulled[name] = new
        keeper = self.new_keeper()
        if not await stream.change(redact(new.source), partial(pulled_frames, name, new, keeper), keeper, new.watch):
            return self.find(name)
        return stream

    async def close(self, name: str) -> None:
        """End a stream and forget it. A no-op when there is none."""
        stream = self._streams.pop(name, None)
        self._pulled.pop(name, None)
        if stream is not None:
            await stream.aclose()

    def drain(self) -> None:
        """Take no more work."""
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
        """What keeps a stream's newest compressed packets for clips; None where no clips are wanted."""
        return PacketKeeper(*self._clip) if self._clip is not None else None

    def _open(
        self,
        name: str,
        kind: Literal["published", "pulled"],
        source: str | None,
        items: Items,
        owner: str | None,
        keeper: PacketKeeper | None = None,
        guard: Guard | None = None,
        watch: WatchOptions = WatchOptions(),
    ) -> LiveStream:
        feed = self.desk.feed(name) if self.desk is not None else None
        judge, threads = guard or self.guard, self._executor
        stream = LiveStream(name, kind, source, items, judge, self.events, threads, owner, feed, keeper, watch)
        self._streams[name] = stream
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
