"""The one place that retries: connect, deliver, wait, connect again."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from streamguard.errors import SourceTimeout, StreamguardError
from streamguard.media.address import SourceOptions
from streamguard.media.packet_ring import PacketKeeper
from streamguard.media.readers import Reader, make_reader
from streamguard.media.sound import SoundListener
from streamguard.types import Frame

log = logging.getLogger(__name__)

_LONGEST_WAIT = 5.0
"""Seconds between two attempts at the most: a source that is back is found within moments."""
_GRACE = 10.0
"""Seconds beyond all time limits after which a reader is taken to hang, or to have been left hanging."""
_MOST_HANGING = 3


@dataclass(frozen=True, slots=True)
class Up:
    """Pictures flow; the first frame follows.

    Attributes:
        epoch: connection number, from 0; that of the frames that follow.
        width, height: of the upright pictures.
        rate: frames per second; None where the source does not tell.
        codec: libav's name of the decoder.
        live: whether it plays in real time, its newest frame only.
        duration, frame_count: seconds and frames in all; None when live or unknown.
    """

    epoch: int
    width: int
    height: int
    rate: float | None
    codec: str
    live: bool
    duration: float | None
    frame_count: int | None


@dataclass(frozen=True, slots=True)
class Down:
    """The source is not there; another attempt follows.

    Attributes:
        epoch: that of the connection which broke (or was never made).
        error: why.
        retry_in: seconds until the next attempt.
        attempt: 1 when the connection breaks, then one more for each attempt that fails.
    """

    epoch: int
    error: StreamguardError
    retry_in: float
    attempt: int


SourceItem: TypeAlias = Up | Frame | Down


class Backoff:
    """Exponential back-off with full jitter: each delay is drawn from 0 up to a limit that doubles.

    Args:
        initial: the first limit in seconds.
        factor: growth of the limit.
        cap: the largest limit in seconds.
        stable_after: seconds a connection must have lasted for the limit to start over.
        uniform: draws from [0, 1).
    """

    def __init__(
        self,
        initial: float = 0.5,
        factor: float = 2.0,
        cap: float = 30.0,
        stable_after: float = 30.0,
        uniform: Callable[[], float] = random.random,
    ) -> None:
        self._initial, self._factor, self._cap = initial, factor, cap
        self._stable_after, self._uniform = stable_after, uniform
        self._limit = min(initial, cap)

    def delay(self, lasted: float = 0.0) -> float:
        """Seconds to wait before the next attempt.

        Args:
            lasted: seconds the connection that broke had lasted; 0 when none was made.
        """
        if lasted >= self._stable_after:
            self.reset()
        limit, self._limit = self._limit, min(self._limit * self._factor, self._cap)
        return limit * self._uniform()

    def reset(self) -> None:
        """Start over from the first limit."""
        self._limit = min(self._initial, self._cap)


class SourceSupervisor:
    """Keeps a source running and yields `Up`, `Frame` and `Down`: `async with SourceSupervisor(...) as items`.

    A live source that was up once is reconnected for ever, whatever the error, with the epoch one higher. A file
    is read once.

    Args:
        stream: the stream's name.
        url: what to open (see `open_source`).
        options: how to open it.
        live: overrides what the source says of itself (see `FrameReader`).
        backoff: how long to wait between attempts.
        wait_for_source: keep trying when the first connection fails for a reason that may pass.
        keeper: gets the compressed packets of each connection.
        sound: gets the compressed packets of each connection's sound.
        clock, sleep: time in seconds, and waiting for it.

    Iterating raises:
        StreamguardError: the first connection failed for good (or at all, without `wait_for_source`), or a file is
            damaged; frames before the damage have been yielded.
    """

    def __init__(
        self,
        stream: str,
        url: str | Path,
        options: SourceOptions | None = None,
        *,
        live: bool | None = None,
        backoff: Backoff | None = None,
        wait_for_source: bool = False,
        keeper: PacketKeeper | None = None,
        sound: SoundListener | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._stream, self._url, self._options, self._live = stream, url, options, live
        self._backoff, self._wait_for_source = backoff or Backoff(cap=_LONGEST_WAIT), wait_for_source
        self._hanging: list[Reader] = []
        self._clock, self._sleep, self._keeper, self._sound = clock, sleep, keeper, sound
        self._wanted: Callable[[float], bool] | None = None
        self._epoch = 0
        self._reader: Reader | None = None
        self._dropped = self._decode_errors = 0
        self._decode_seconds = 0.0
        self._stopping = asyncio.Event()
        self._items = self._run()
        self._iterating = False

    def only(self, wanted: Callable[[float], bool]) -> None:
        """Of a live source, hand over those frames only (see `FrameReader`); to be said before it is iterated."""
        self._wanted = wanted

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

    async def aclose(self) -> None:
        """Stop, from any task of the loop: the source is closed and a pending iteration ends."""
        self._stopping.set()
        if self._reader is not None:
            await self._ended(self._reader)
        if not self._iterating:
            await self._items.aclose()

    async def _run(self) -> AsyncGenerator[SourceItem, None]:
        ups = attempt = 0
        while not self._stopping.is_set():
            self._epoch = ups
            began: float | None = None
            reader = make_reader(
                self._stream,
                self._epoch,
                self._url,
                self._options,
                live=self._live,
                keeper=self._keeper,
                sound=self._sound,
                wanted=self._wanted,
            )
            self._reader = reader
            try:
                self._check_hanging()
                while (frame := await self._next(reader)) is not None:
                    if began is None:
                        began = self._clock()
                        ups, attempt = ups + 1, 0
                        yield self._up(reader, frame)
                    yield frame
                return
            except StreamguardError as error:
                # A file never heals; a first connection may only be waited for.
                opened_live = reader.opened and reader.source.live
                may_return = opened_live if ups else self._wait_for_source and error.retryable
                if self._stopping.is_set():
                    return
                if not may_return and not (ups and not reader.opened):
                    raise
                failure = error
            finally:
                await self._retire(reader)
            # Tracebacks hold the reader and its decoder, and they the error: all would wait for the garbage collector.
            failure.__traceback__ = failure.__cause__ = failure.__context__ = None
            del reader
            attempt += 1
            delay = self._backoff.delay(self._clock() - began if began is not None else 0.0)
            yield Down(self._epoch, failure, delay, attempt)
            await self._pause(delay)

    async def _next(self, reader: Reader) -> Frame | None:
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
            raise SourceTimeout(str(self._url), cause, "Check the source; it is opened again") from None

    async def _ended(self, reader: Reader) -> None:
        try:
            async with asyncio.timeout(_GRACE):
                await reader.aclose()
        except TimeoutError:
            if reader not in self._hanging:
                self._hanging.append(reader)
                log.error("a reader of %s hangs and is left alone", self._stream)

    def _check_hanging(self) -> None:
        self._hanging = [reader for reader in self._hanging if not reader.ended]
        if len(self._hanging) >= _MOST_HANGING:
            cause = f"{len(self._hanging)} of its readers hang"
            raise SourceTimeout(str(self._url), cause, "Check the source; it is opened again once one has ended")

    def _up(self, reader: Reader, frame: Frame) -> Up:
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

    async def _retire(self, reader: Reader) -> None:
        await self._ended(reader)
        if self._reader is reader:
            self._reader = None
            self._dropped += reader.dropped
            self._decode_errors += reader.decode_errors
            self._decode_seconds += reader.decode_seconds

    async def _pause(self, seconds: float) -> None:
        """Wait for `seconds`, or until the stop request."""
        waiting = {asyncio.ensure_future(self._sleep(seconds)), asyncio.ensure_future(self._stopping.wait())}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
