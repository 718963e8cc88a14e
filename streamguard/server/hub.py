"""All streams of the server, by name."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Literal
from urllib.parse import urlsplit

from streamguard.errors import redact
from streamguard.media import SourceItem
from streamguard.media.packet_ring import PacketKeeper
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.server.alert_desk import AlertDesk
from streamguard.server.event_log import EventLog
from streamguard.server.live_stream import LiveStream
from streamguard.server.problems import Problem, not_found, overloaded
from streamguard.server.pulled import Pulled, pulled_frames


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

    def find(self, name: str) -> LiveStream:
        """The stream of that name.

        Raises:
            Problem: 404.
        """
        if name not in self._streams:
            raise not_found("stream", name, "List the streams at /api/v1/streams.")
        return self._streams[name]

    def allow(self, streams: int) -> None:
        """Take no more than so many streams from now on; those there are stay."""
        self._max_streams = streams

    def check_room(self, name: str) -> None:
        """Whether a stream of that name can be opened.

        Raises:
            Problem: 409 the name is in use; 503 there are too many streams, or the server is ending.
        """
        if self._draining:
            raise overloaded("The server is shutting down.")
        if self.starting:
            raise overloaded("The server is starting.")
        if name in self._streams:
            raise Problem(409, "name-in-use", f"There is a stream `{name}` already.", "Choose another name.")
        if len(self._streams) >= self._max_streams:
            raise overloaded(f"There are {self._max_streams} streams already.")

    def publish(
        self, name: str, items: AsyncGenerator[SourceItem, None], owner: str | None, keeper: PacketKeeper | None = None
    ) -> LiveStream:
        """A stream that somebody sends us.

        Args:
            name, items, owner: as for `LiveStream`.
            keeper: gets the compressed packets.

        Raises:
            Problem: as `check_room`.
        """
        return self._open(name, "published", None, items, owner, keeper)

    def pull(self, name: str, pulled: Pulled, guard: Guard | None = None) -> LiveStream:
        """A stream that we fetch.

        Args:
            name: unique on this server.
            pulled: where it comes from, and how it is judged.
            guard: judges it in place of the hub's own; closed by its owner after the stream.

        Raises:
            Problem: as `check_room`.
        """
        keeper = self.new_keeper()
        items = pulled_frames(name, pulled, keeper)
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

        Raises:
            Problem: 404; 409 the stream is published, not pulled; 503 the server is ending.
        """
        self.find(name)
        if name not in self._pulled:
            raise Problem(409, "not-pulled", f"`{name}` is published to this server.", "Publish it again instead.")
        old = self._pulled[name]
        options = replace(
            old.options,
            transport=transport or old.options.transport,
            redirects=old.options.redirects if redirects is None else redirects,
        )
        new = replace(old, source=source or old.source, options=options, loop=old.loop if loop is None else loop)
        return await self.swap(name, new)

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
        if not await stream.change(redact(new.source), pulled_frames(name, new, keeper), keeper, new.watch):
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
        items: AsyncGenerator[SourceItem, None],
        owner: str | None,
        keeper: PacketKeeper | None = None,
        guard: Guard | None = None,
        watch: WatchOptions = WatchOptions(),
    ) -> LiveStream:
        self.check_room(name)
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
