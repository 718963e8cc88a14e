"""A stream that the server fetches itself: a camera, a network stream, or a file played over and over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace

from streamguard.errors import MediaError, StreamguardError
from streamguard.media import Backoff, Down, SoundListener, SourceItem, SourceOptions, SourceSupervisor
from streamguard.media.packet_ring import PacketKeeper
from streamguard.pipeline.extensions import source_plugin
from streamguard.pipeline.guard import WatchOptions
from streamguard.types import Frame

_PAUSE = 0.04
_SOON, _RARELY = 5.0, 60.0
"""Seconds between two attempts at the most: for what passes by itself, and for what waiting rarely mends."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """Where a pulled stream comes from.

    Attributes:
        source: URL, path or camera, with its password.
        options: how it is opened.
        loop: a file starts over at its end; its media time runs on.
        watch: how it is judged.
        sound: gets its compressed sound; a plugin's source has none.
        lasting: it is tried for ever, whatever is said at its first connection.
    """

    source: str
    options: SourceOptions = SourceOptions()
    loop: bool = True
    watch: WatchOptions = WatchOptions()
    sound: SoundListener | None = None
    lasting: bool = False


async def pulled_frames(
    name: str, pulled: Pulled, keeper: PacketKeeper | None = None
) -> AsyncGenerator[SourceItem, None]:
    """The items of the source; once up it is reconnected for ever, and a file plays at its own pace.

    Args:
        name: of the stream.
        pulled: where it comes from.
        keeper: gets the compressed packets; a plugin's source has none.

    Raises:
        StreamguardError: it cannot be opened, for a reason that waiting does not mend, was never up and is not
            `lasting`; or a file that is played once is damaged.
    """
    plugin = source_plugin(pulled.source)
    joined, soon, rarely = _Joined(), Backoff(cap=_SOON), Backoff(cap=_RARELY)
    while True:
        made = plugin(name, pulled.source) if plugin is not None else _connected(name, pulled, keeper)
        try:
            async with aclosing(made) as items:
                async for item in items:
                    if (passed := joined.take(item)) is not None:
                        yield passed
            if plugin is not None or not pulled.loop or not joined.frames:
                return
            joined.begin_round()
            continue
        except StreamguardError as error:
            played = not pulled.loop and joined.frames and isinstance(error, MediaError)
            if played or not (pulled.lasting or joined.ups):
                raise
            failure = error
        # Tracebacks hold the reader and its decoder, and they the error: all would wait for the garbage collector.
        failure.__traceback__ = failure.__cause__ = failure.__context__ = None
        delay = (soon if failure.retryable else rarely).delay(joined.lasted)
        yield joined.broke(Down(0, failure, delay, 1))
        await asyncio.sleep(delay)


async def _connected(name: str, pulled: Pulled, keeper: PacketKeeper | None) -> AsyncGenerator[SourceItem, None]:
    """The source until its end."""
    async with SourceSupervisor(
        name,
        pulled.source,
        pulled.options,
        live=True,
        wait_for_source=True,
        keeper=keeper,
        sound=pulled.sound,
    ) as source:
        async for item in source:
            yield item


class _Joined:
    """Makes one stream of several sources in turn.

    Rounds of a file follow each other like one long file: no vote starts over, no event is made of it. What comes
    after a `Down` is a new epoch, whose `Up` is passed on.

    Attributes:
        ups: epochs begun.
        frames: of this round and epoch.
    """

    def __init__(self) -> None:
        self.ups = self.frames = 0
        self._attempt = self._first = 0
        self._index, self._time, self._shift = -1, 0.0, 0.0
        self._began = time.monotonic()
        self._goes_on = False

    @property
    def lasted(self) -> float:
        """Seconds since it came up; 0 while it is down."""
        return 0.0 if self._attempt or not self.ups else time.monotonic() - self._began

    def begin_round(self) -> None:
        """A file is at its end, and starts over."""
        self._goes_on, self.frames = True, 0
        self._first, self._shift = self._index + 1, max(self._time + _PAUSE, time.monotonic() - self._began)

    def take(self, item: SourceItem) -> SourceItem | None:
        """The item with its place in the whole; None where it is no news."""
        if isinstance(item, Frame):
            self.frames += 1
            self._index, self._time = self._first + item.index, self._shift + item.time
            epoch = max(0, self.ups - 1)
            if (item.epoch, item.index, item.time) == (epoch, self._index, self._time):
                return item
            return replace(item, epoch=epoch, index=self._index, time=self._time)
        if isinstance(item, Down):
            return self.broke(item)
        goes_on, self._goes_on = self._goes_on and not self._attempt, False
        if goes_on:
            return None
        self.ups, self._attempt, self._began = self.ups + 1, 0, time.monotonic()
        self._first, self._shift = 0, 0.0
        return replace(item, epoch=self.ups - 1)

    def broke(self, down: Down) -> Down:
        """The same with its place in the whole."""
        epoch = max(0, self.ups - 1) if self._attempt == 0 else self.ups
        self._attempt, self.frames = self._attempt + 1, 0
        return replace(down, epoch=epoch, attempt=self._attempt)
