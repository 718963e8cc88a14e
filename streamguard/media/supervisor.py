"""The one place that retries: connect, deliver, wait, connect again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias

from streamguard.errors import MediaError, SourceTimeout, StreamguardError
from streamguard.logs import get_logger
from streamguard.media.address import SourceOptions
from streamguard.media.backoff import Backoff
from streamguard.media.items import Down, SourceItem, Up
from streamguard.media.reader import FrameReader, Taps
from streamguard.media.sound import SoundPacket
from streamguard.media.whep.address import is_whep
from streamguard.types import Frame

log = get_logger(__name__)

_SOON, _RARELY = 5.0, 60.0
"""Seconds between two attempts at the most: for what passes by itself, and for what waiting rarely mends."""
_GRACE = 10.0
"""Seconds beyond all time limits after which a reader is taken to hang, or to have been left hanging."""
_MOST_HANGING = 3
_PAUSE = 0.04
"""Seconds between the last picture of a file and the first one of its next round, at the least."""


class _Told(Protocol):
    """Facts that an open source tells of itself; see `VideoSource`."""

    @property
    def live(self) -> bool: ...
    @property
    def paced(self) -> bool: ...
    @property
    def average_rate(self) -> float | None: ...
    @property
    def codec(self) -> str: ...
    @property
    def duration(self) -> float | None: ...
    @property
    def frame_count(self) -> int | None: ...


class _Reader(Protocol):
    """One connection to a source; members as `FrameReader` has them."""

    @property
    def source(self) -> _Told: ...
    @property
    def opened(self) -> bool: ...
    @property
    def ended(self) -> bool: ...
    @property
    def dropped(self) -> int: ...
    @property
    def decode_errors(self) -> int: ...
    @property
    def decode_seconds(self) -> float: ...
    async def aclose(self) -> None: ...
    async def __anext__(self) -> Frame: ...


Connect: TypeAlias = Callable[[], AsyncGenerator[SourceItem, None]]
"""Makes the items of one connection: of a plugin's source, or of a track that somebody publishes."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Limits of retrying a source. A live one that was up is opened again for ever, whatever the error.

    Attributes:
        first: before it was ever up, try again `never`, where that may help (`retryable`), or `always`.
        everything: a file or a plugin's source that was up is opened again, too; but for a file that is played once
            and is damaged.
        loop: a file starts over at its end; its media time runs on.
        backoff: how long to wait for what passes by itself.
        clock, sleep: time in seconds, and waiting for it.
    """

    first: Literal["never", "retryable", "always"] = "never"
    everything: bool = False
    loop: bool = False
    backoff: Backoff | None = None
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class SourceSupervisor:
    """Keeps a source running and yields `Up`, `Frame` and `Down`: `async with SourceSupervisor(...) as items`.

    What comes after a `Down` is a new epoch, one higher. Rounds of a file follow each other like one long file: no
    vote starts over, no event is made of it.

    Args:
        stream: the stream's name.
        source: what to open (see `open_source`), or what makes the items of a connection.
        options: how to open it.
        live: overrides what the source says of itself (see `FrameReader`).
        retry: how long it is tried; without, a file is read once.
        taps: what asks and listens on the source's thread.
        first_epoch: number of the first connection.

    Iterating raises:
        StreamguardError: it is not tried any more; frames before the error have been yielded.
    """

    def __init__(
        self,
        stream: str,
        source: str | Path | Connect,
        options: SourceOptions | None = None,
        *,
        live: bool | None = None,
        retry: Retry | None = None,
        taps: Taps | None = None,
        first_epoch: int = 0,
    ) -> None:
        self._stream, self._source, self._options, self._live = stream, source, options, live
        self._retry, self._taps = retry or Retry(), taps or Taps()
        self._soon, self._rarely = self._retry.backoff or Backoff(cap=_SOON), Backoff(cap=_RARELY)
        self._hanging: list[_Reader] = []
        self._reader: _Reader | None = None
        self._file = False
        self._dropped = self._decode_errors = 0
        self._decode_seconds = 0.0
        self._first_epoch = self._epoch = first_epoch
        self._ups = self._attempt = 0
        self._began, self._restarted = 0.0, False
        # Of this round of a file: its place among the others, and whether any picture came of it.
        self._index, self._time, self._shown = -1, 0.0, False
        self._first_index, self._shift, self._next_round = 0, 0.0, False
        self._stopping = asyncio.Event()
        self._items = self._run()
        self._iterating = False

    @property
    def epoch(self) -> int:
        """Number of this connection, or of the one that is being made."""
        return self._epoch

    @property
    def dropped(self) -> int:
        """Frames dropped over all epochs."""
        return self._dropped + (self._reader.dropped if self._reader else 0)

    @property
    def decode_errors(self) -> int:
        """Damaged packets and pictures skipped over all epochs."""
        return self._decode_errors + (self._reader.decode_errors if self._reader else 0)

    @property
    def decode_seconds(self) -> float:
        """CPU seconds spent decoding over all epochs."""
        return self._decode_seconds + (self._reader.decode_seconds if self._reader else 0.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SourceItem:
        self._iterating = True
        try:
            return await anext(self._items)
        finally:
            self._iterating = False

    async def restart(self, error: StreamguardError) -> None:
        """Start anew after the judge of the frames has failed: a `Down` comes, then the source is opened again."""
        await self._items.aclose()
        self._restarted = True
        self._items = self._run(error)

    async def aclose(self) -> None:
        """Stop, from any task of the loop: the source is closed and a pending iteration ends."""
        self._stopping.set()
        if self._reader is not None:
            await self._ended(self._reader)
        if not self._iterating:
            await self._items.aclose()

    async def _run(self, failure: StreamguardError | None = None) -> AsyncGenerator[SourceItem, None]:
        while not self._stopping.is_set():
            if failure is not None:
                # Tracebacks hold reader and decoder, and they the error: all would wait for the garbage collector.
                failure.__traceback__ = failure.__cause__ = failure.__context__ = None
                delay = self._delay(failure)
                yield self._broke(failure, delay)
                await self._pause(delay)
                failure = None
                continue
            try:
                async with aclosing(self._connection()) as items:
                    async for item in items:
                        if (placed := self._placed(item)) is not None:
                            yield placed
                if not (self._retry.loop and self._shown) or callable(self._source):
                    return
                self._begin_round()
            except StreamguardError as error:
                if self._stopping.is_set():
                    return
                if not self._worth_retrying(error):
                    raise
                failure = error

    async def _connection(self) -> AsyncGenerator[SourceItem, None]:
        """The source until it ends or fails."""
        self._epoch = self._first_epoch + self._ups - self._next_round
        if callable(self._source):
            self._file = True
            async with aclosing(self._source()) as items:
                async for item in items:
                    if not isinstance(item, Frame) or self._asked(item.time):
                        yield item
            return
        reader = self._reader = self._made(self._source)
        came = False
        try:
            self._check_hanging()
            while (frame := await self._next(reader)) is not None:
                if not came:
                    yield self._up(reader, frame)
                came = True
                yield frame
        finally:
            if reader.opened:
                self._file = not reader.source.live
            await self._retire(reader)

    def _made(self, url: str | Path) -> _Reader:
        taps = replace(self._taps, wanted=self._asked, sound=self._heard if self._taps.sound else None)
        if is_whep(str(url)):
            # WebRTC is loaded for who needs it.
            from streamguard.media.whep.reader import WhepReader

            return WhepReader(self._stream, self._epoch, str(url), self._options, taps)
        return FrameReader(self._stream, self._epoch, url, self._options, live=self._live, taps=taps)

    def _asked(self, moment: float) -> bool:
        """Return whether the picture of this round's time is wanted; by the decoder, on its thread."""
        self._shown = True
        return self._taps.wanted is None or self._taps.wanted(self._shift + moment)

    def _heard(self, epoch: int, packet: SoundPacket) -> None:
        if self._taps.sound is not None:
            self._taps.sound(epoch, replace(packet, time=packet.time + Fraction(self._shift)))

    def _worth_retrying(self, error: StreamguardError) -> bool:
        retry = self._retry
        if not (self._ups or self._restarted):
            return retry.first == "always" or (retry.first == "retryable" and error.retryable)
        if not self._file:
            return True
        return retry.everything and (retry.loop or not self._shown or not isinstance(error, MediaError))

    def _delay(self, failure: StreamguardError) -> float:
        lasted = 0.0 if self._attempt or not self._ups else self._retry.clock() - self._began
        mends = failure.retryable or (self._ups and not self._file)
        return (self._soon if mends else self._rarely).delay(lasted)

    def _begin_round(self) -> None:
        self._next_round, self._shown = True, False
        self._first_index = self._index + 1
        self._shift = max(self._time + _PAUSE, self._retry.clock() - self._began)

    def _placed(self, item: SourceItem) -> SourceItem | None:
        """The item with its place in the whole; None where it is no news."""
        if isinstance(item, Frame):
            self._shown = True
            self._index, self._time = self._first_index + item.index, self._shift + item.time
            place = (self._epoch, self._index, self._time)
            if (item.epoch, item.index, item.time) == place:
                return item
            return replace(item, epoch=self._epoch, index=self._index, time=self._time)
        if isinstance(item, Down):
            return self._broke(item.error, item.retry_in)
        goes_on, self._next_round = self._next_round and not self._attempt, False
        if goes_on:
            return None
        self._epoch = self._first_epoch + self._ups
        self._ups, self._attempt, self._began = self._ups + 1, 0, self._retry.clock()
        return replace(item, epoch=self._epoch)

    def _broke(self, error: StreamguardError, delay: float) -> Down:
        connection = max(0, self._ups - 1) if self._attempt == 0 else self._ups
        self._attempt, self._shown, self._next_round = self._attempt + 1, False, False
        self._first_index, self._shift = 0, 0.0
        return Down(self._first_epoch + connection, error, delay, self._attempt)

    async def _next(self, reader: _Reader) -> Frame | None:
        """The next frame, None at the end. Whatever hangs in its thread, and heeds no time limit, hangs there alone."""
        options, limit = self._options or SourceOptions(), None
        if not reader.opened:
            limit = options.open_timeout + _GRACE
        elif reader.source.paced:
            # The source itself gives up on pictures that cannot be decoded after three times its limit.
            limit = 3 * options.read_timeout + _GRACE
        try:
            async with asyncio.timeout(limit):
                return await anext(reader)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            cause = f"nothing came of it for {limit:g} s: its reader hangs"
            raise SourceTimeout(str(self._source), cause, "Check the source; it is opened again") from None

    async def _ended(self, reader: _Reader) -> None:
        try:
            async with asyncio.timeout(_GRACE):
                await reader.aclose()
        except TimeoutError:
            if reader not in self._hanging:
                self._hanging.append(reader)
                log.error("a reader hangs and is left alone", stream=self._stream)

    def _check_hanging(self) -> None:
        self._hanging = [reader for reader in self._hanging if not reader.ended]
        if len(self._hanging) >= _MOST_HANGING:
            cause = f"{len(self._hanging)} of its readers hang"
            raise SourceTimeout(str(self._source), cause, "Check the source; it is opened again once one has ended")

    def _up(self, reader: _Reader, frame: Frame) -> Up:
        source, image = reader.source, frame.image
        return Up(
            epoch=frame.epoch,
            width=image.width,
            height=image.height,
            rate=source.average_rate,
            codec=source.codec,
            live=source.live if self._live is None else self._live,
            duration=source.duration,
            frame_count=source.frame_count,
        )

    async def _retire(self, reader: _Reader) -> None:
        await self._ended(reader)
        if self._reader is reader:
            self._reader = None
            self._dropped += reader.dropped
            self._decode_errors += reader.decode_errors
            self._decode_seconds += reader.decode_seconds

    async def _pause(self, seconds: float) -> None:
        """Wait for `seconds`, or until the stop request."""
        waiting = {asyncio.ensure_future(self._retry.sleep(seconds)), asyncio.ensure_future(self._stopping.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
