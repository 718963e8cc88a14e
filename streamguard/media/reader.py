"""One source decoded on one thread and handed to asyncio."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from streamguard.channel import Bounded, ChannelClosed, Latest
from streamguard.media.address import SourceOptions
from streamguard.media.backlog import NetworkBacklog
from streamguard.media.interrupt import Interrupt
from streamguard.media.packet_ring import PacketKeeper
from streamguard.media.sound import SoundListener
from streamguard.media.source import VideoSource, open_source
from streamguard.types import Frame


@dataclass(frozen=True, slots=True)
class Taps:
    """Callbacks that ask and listen on a source's own thread.

    Attributes:
        wanted: asked for the media seconds of each picture of a live source: whether it is to be handed over. The
            others cost nothing beyond their decoding, and leave gaps in the numbering.
        spared: asked for the media seconds of a picture of a live source before it is decoded: whether nobody will want
            it (see `VideoSource.only`).
        keeper: gets the compressed packets of the video.
        sound: gets the compressed packets of the sound, where there is any.
    """

    wanted: Callable[[float], bool] | None = None
    spared: Callable[[float], bool] | None = None
    keeper: PacketKeeper | None = None
    sound: SoundListener | None = None


class FrameReader:
    """Opens a source on its own thread and yields its frames: `async with FrameReader(...) as reader`.

    Live sources yield the newest frame only and count what they drop; others yield every frame, and the thread
    waits for the reader. The source's error is raised after the frames before it.

    Args:
        stream: the stream's name, for `Frame.stream`.
        epoch: connection number, for `Frame.epoch`.
        url: what to open (see `open_source`).
        options: how to open it.
        live: overrides what the source says of itself. True plays a file at its own pace, newest frame only; False
            reads a live source without drops, which holds up its sender when the reader is slow.
        capacity: frames decoded ahead of the reader when nothing may be dropped.
        taps: what asks and listens on the source's thread.
    """

    def __init__(
        self,
        stream: str,
        epoch: int,
        url: str | Path,
        options: SourceOptions | None = None,
        *,
        live: bool | None = None,
        capacity: int = 4,
        taps: Taps | None = None,
    ) -> None:
        self._taps = taps or Taps()
        self._stream, self._epoch, self._url, self._options = stream, epoch, url, options
        self._live, self._capacity = live, capacity
        self._interrupt = Interrupt()
        self._source: VideoSource | None = None
        self._channel: Latest[Frame] | Bounded[Frame] | None = None
        self._failure: BaseException | None = None
        self._decode_seconds = 0.0
        self._old = 0
        self._thread: threading.Thread | None = None

    @property
    def source(self) -> VideoSource:
        """The open source, for its attributes only. RuntimeError before `start`."""
        if self._source is None:
            raise RuntimeError("the reader has not been started")
        return self._source

    @property
    def opened(self) -> bool:
        """Return whether the source could be opened."""
        return self._source is not None

    @property
    def dropped(self) -> int:
        """Decoded frames that a newer one replaced before they were read, or that had piled up in the network."""
        return self._old + (self._channel.dropped if isinstance(self._channel, Latest) else 0)

    @property
    def ended(self) -> bool:
        """Return whether its thread has ended, or was never begun."""
        return self._thread is None or not self._thread.is_alive()

    @property
    def decode_errors(self) -> int:
        """Damaged packets and pictures skipped."""
        return self._source.decode_errors if self._source is not None else 0

    @property
    def decode_seconds(self) -> float:
        """CPU seconds spent by the decode thread (helper threads for pictures above 1080p are not in it)."""
        return self._decode_seconds

    async def start(self) -> None:
        """Open the source; a no-op when it is open.

        Raises:
            SourceError, MediaError: see `open_source`.
        """
        if self._thread is None:
            loop = asyncio.get_running_loop()
            self._opened, self._done = asyncio.Event(), asyncio.Event()
            # A name server that does not answer cannot be interrupted; it must not keep the process from ending.
            self._thread = threading.Thread(target=self._run, args=(loop,), name=f"decode {self._stream}", daemon=True)
            self._thread.start()
        await self._opened.wait()
        if self._failure is not None:
            raise self._failure

    async def aclose(self) -> None:
        """Stop decoding and join the thread; a pending or later read ends. Safe to call twice."""
        self._interrupt.set()
        if self._channel is not None:
            self._channel.close(discard=True)
        if self._thread is not None:
            await self._done.wait()
            self._thread.join()

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        await self.start()
        if self._channel is None:
            raise StopAsyncIteration
        return await anext(self._channel)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        began = time.thread_time()
        try:
            taps = self._taps
            sound = partial(taps.sound, self._epoch) if taps.sound is not None else None
            with open_source(
                self._url, self._options, interrupt=self._interrupt, keeper=taps.keeper, sound=sound
            ) as source:
                live = source.live if self._live is None else self._live
                channel = Latest[Frame]() if live else Bounded[Frame](self._capacity)
                self._source, self._channel = source, channel
                self._call(loop, self._opened)
                if self._interrupt.is_set:
                    channel.close(discard=True)
                self._decode(source, channel, began)
        except Exception as error:
            # Closing on purpose breaks the opening off, which then reports a time-out nobody asked for.
            if self._channel is None and not self._interrupt.is_set:
                self._failure = error
        finally:
            self._decode_seconds = time.thread_time() - began
            self._call(loop, self._opened)
            self._call(loop, self._done)

    def _decode(self, source: VideoSource, channel: Latest[Frame] | Bounded[Frame], began: float) -> None:
        zero, live, wanted = time.monotonic(), isinstance(channel, Latest), self._taps.wanted

        def asked(moment: float) -> bool:
            # A file keeps its own pace, whoever needs its pictures.
            if not source.paced and self._interrupt.wait(max(0.0, zero + moment - time.monotonic())):
                return False
            return wanted is None or wanted(moment)

        source.only(asked if live else None, self._taps.spared if live else None)
        limit = (self._options or SourceOptions()).max_lag
        backlog = NetworkBacklog(limit) if live and source.paced and not source.bursts else None
        try:
            for item in source:
                self._decode_seconds = time.thread_time() - began
                if backlog is not None and backlog.old(item.time, time.monotonic()):
                    self._old += 1
                    continue
                channel.put(Frame(self._stream, self._epoch, item.index, item.time, time.monotonic(), item.picture))
        except ChannelClosed:
            pass
        except Exception as error:
            channel.close(error)
        else:
            channel.close()
        finally:
            # It holds on to source and reader, and the source to it.
            source.only(None)

    @staticmethod
    def _call(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
        # The loop may be gone already: then nobody waits.
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(event.set)
            except RuntimeError:
                if not loop.is_closed():
                    raise
