"""One stream of the server: its source judged, and everything about it handed to its readers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from streamguard.channel import Fanout, cancel_and_wait
from streamguard.errors import StreamCrashed, StreamguardError
from streamguard.logs import get_logger
from streamguard.media import Down, SourceItem, SourceSupervisor, Taps, Up
from streamguard.media.live_encoder import LiveCodec
from streamguard.media.packet_fanout import PacketTrack
from streamguard.media.packet_ring import PacketKeeper
from streamguard.pipeline.annotate import OVERLAYS, Overlay, snapshot
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.marks import marks_png
from streamguard.pipeline.restream import Restream
from streamguard.pipeline.sampling import Demand
from streamguard.pipeline.stream import Counts, FrameReport, StreamPipeline
from streamguard.streams.meter import Sampling, StreamMeter
from streamguard.streams.request import StreamRequest
from streamguard.streams.status import Origin, State, StreamStatus, Transport
from streamguard.streams.stream_events import StreamEvents
from streamguard.streams.viewers import OverlayFeed
from streamguard.types import Closing, Event, Verdict

log = get_logger("streamguard.stream")
_TICK = 1.0
_CLOSED = "the stream was closed"
_MOVED = ("the stream went to another worker", Closing.STREAM_BROKE)
_PAUSED = "paused"


class LiveStream:
    """Judges one source until it ends or the stream is closed.

    Args:
        name: unique on this server.
        request: its source, and how it is judged.
        guard: judges.
        told: passes its events on.
        executor: threads for painting, encoding and pictures.
        owner: who published it, as the tokens name him; None for nobody in particular.
        packets: gets the source's newest compressed packets, for clips; None where there are none.
    """

    def __init__(
        self,
        name: str,
        request: StreamRequest,
        guard: Guard,
        told: StreamEvents,
        executor: Executor,
        owner: str | None = None,
        packets: PacketKeeper | None = None,
    ) -> None:
        self.name, self.owner, self.request = name, owner, request
        self.guard, self._executor = guard, executor
        self._packets = packets
        self._state: State = "starting"
        self._detail = ""
        self._size = (0, 0)
        self._since = datetime.now(UTC)
        self._pipeline: StreamPipeline | None = None
        self._source: SourceSupervisor | None = None
        self._demand = Demand(self)
        self._task: asyncio.Task[None] | None = None
        self._first_epoch = 0
        self._turn = asyncio.Lock()
        self._closed = False
        self._halted = (_CLOSED, Closing.STREAM_ENDED)
        threshold = guard.spec.threshold
        self._feeds = {mode: OverlayFeed(name, mode, threshold, executor) for mode in OVERLAYS}
        self._over: set[Callable[[], None]] = set()
        self.configured = self.paused = False
        """It is one of the configuration's; it is not fetched for now."""
        self.probe: Callable[[], Awaitable[Transport]] | None = None
        """Asked every second how the publisher's connection does."""
        self.restream: Restream | None = None
        """Return the outputs of every frame; closed by their owner."""
        self.reports: Fanout[FrameReport] = Fanout()
        """Return the reports of every judged frame."""
        self.interruptions = self.restarts = 0
        """Times the source was lost; and times that judging crashed, and was begun anew."""
        self._told, self.notices = told, told.notices
        self.meter = StreamMeter()
        self.transport = Transport()
        self.newest: FrameReport | None = None
        """The newest judged frame."""

    @property
    def kind(self) -> Literal["published", "pulled"]:
        """Sent to us, or fetched by us."""
        return "pulled" if isinstance(self.request.source, str) else "published"

    @property
    def origin(self) -> Origin:
        """Return the caller who opened the stream."""
        return "published" if self.kind == "published" else "file" if self.configured else "api"

    @property
    def closed(self) -> bool:
        """Return whether it was closed; one that is over may have come to its end by itself."""
        return self._closed

    @property
    def state(self) -> State:
        """`ended` and `failed` are final."""
        return self._state

    @property
    def over(self) -> bool:
        """Return whether no picture will come any more."""
        return self._state in {"ended", "failed"}

    @property
    def feeds(self) -> dict[Overlay, OverlayFeed]:
        """The viewers' pictures, by overlay mode."""
        return self._feeds

    @property
    def stage_seconds(self) -> dict[str, float]:
        """CPU seconds by stage: those of judging, overlay and encode."""
        spent = dict(self._pipeline.cpu_seconds) if self._pipeline else {}
        for part in (*self._feeds.values(), *([self.restream] if self.restream else ())):
            for stage, seconds in part.cpu_seconds.items():
                spent[stage] = spent.get(stage, 0.0) + seconds
        return spent

    @property
    def detect_every(self) -> int | None:
        """The face detector runs on every so many judged frames now; None before there are any."""
        return self._pipeline.detect_every if self._pipeline else None

    @property
    def counts(self) -> Counts:
        """Frames until now."""
        demand = self._demand
        late = self._source.dropped if self._source is not None else 0
        return Counts(demand.received, demand.judged, demand.dropped + late)

    def sampling(self) -> Sampling:
        """Return the rates of judged frames over the last seconds."""
        return self.meter.sampling(self.request.watch.judged_per_second)

    @property
    def verdict(self) -> Verdict:
        """Return the stream's verdict now."""
        return self.newest.state.state if self.newest is not None and self._state == "up" else Verdict.UNKNOWN

    def start(self) -> None:
        """Begin judging."""
        self._task = asyncio.create_task(self._run(), name=f"stream {self.name}")

    async def aclose(self, *, moved: bool = False) -> None:
        """Stop judging; readers, viewers and data channels are told. Safe to call twice.

        Args:
            moved: another worker goes on: its incidents may be taken up again.
        """
        self._closed = True
        async with self._turn:
            await self._halt(*(_MOVED if moved else (_CLOSED, Closing.STREAM_ENDED)))
            self._close_down()
            for feed in self._feeds.values():
                await feed.aclose()
        await self._told.aclose()

    async def change(self, request: StreamRequest, packets: PacketKeeper | None = None) -> bool:
        """Judge another source from now on. Viewers, readers and data channels stay; a face called fake is closed.

        Totals begin anew, epochs go on.

        Args:
            request, packets: as for the class.

        Returns:
            False if the stream was closed before its turn came; nothing is changed then.
        """
        async with self._turn:
            if self._closed:
                return False
            if request.source != self.request.source:
                await self._halt("the source was changed", Closing.SUPERSEDED)
            else:
                await self._halt("the stream was started over", Closing.STREAM_BROKE)
            for feed in self._feeds.values():
                await feed.renew()
            self.request, self._packets = request, packets
            if self._source is not None:
                self._first_epoch = self._source.epoch + 1
            self._pipeline = self._source = self.newest = None
            self._demand = Demand(self)
            self.meter = StreamMeter()
            self.paused = False
            self._become("starting", "")
            self.start()
            return True

    async def pause(self) -> None:
        """Fetch and judge nothing until `change`. Viewers stay; a face held for fake is closed, and not cleared."""
        async with self._turn:
            if self._closed or self.over or self.paused:
                return
            await self._halt(_PAUSED, Closing.STREAM_ENDED)
            self.paused = True
            self.meter.rest()
            self._become("down", _PAUSED)

    async def retune(self, most: float | None, priority: int, detect_every: int) -> None:
        """Judge at other rates from now on, as of `WatchOptions`: no track, alert or total begins anew."""
        async with self._turn:
            watch = replace(self.request.watch, judged_per_second=most, priority=priority, detect_every=detect_every)
            self.request = replace(self.request, watch=watch)
            if self._pipeline is not None:
                self._pipeline.retune(most, priority, detect_every)

    def when_over(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back once no picture will come any more; calling what is returned takes that back."""
        self._over.add(callback)
        return lambda: self._over.discard(callback)

    def join(self, overlay: Overlay, codec: LiveCodec) -> PacketTrack:
        """A new viewer's track."""
        return self._feeds[overlay].join(codec)

    async def picture(self, *, mask: bool) -> bytes | None:
        """The newest judged frame as JPEG; None before the first."""
        if self.newest is None:
            return None
        return await self._jpeg(self.newest, mask=mask)

    async def marks(self) -> bytes | None:
        """Boxes and masks of the newest judged frame alone, as PNG; None while no pictures come."""
        newest = self.newest if self._state == "up" else None
        if newest is None:
            return None
        loop, threshold = asyncio.get_running_loop(), self.guard.spec.threshold
        return await loop.run_in_executor(self._executor, marks_png, newest, threshold)

    def status(self) -> StreamStatus:
        """Return the stream's status."""
        restream = self.restream
        return StreamStatus(
            name=self.name,
            kind=self.kind,
            origin=self.origin,
            source=self.request.shown,
            state=self._state,
            detail=self._detail,
            verdict=self.verdict,
            last_verdict=self.newest.state.state if self.newest is not None else None,
            size=self._size,
            viewers=sum(feed.viewers for feed in self._feeds.values()),
            rates=self.meter.rates(),
            totals=self.counts,
            latency=self.meter.percentiles(),
            transport=self.transport,
            sampling=self.sampling(),
            watch=self.request.watch,
            outputs=tuple(zip(restream.outputs, restream.targets, strict=True)) if restream is not None else (),
            interruptions=self.interruptions,
            restarts=self.restarts,
            newest=self.newest if self._state == "up" else None,
            since=self._since,
        )

    async def _run(self) -> None:
        ticker = asyncio.create_task(self._tick(), name=f"meter of {self.name}")
        taps = Taps(self._demand, self._demand.spares, self._packets, self.request.sound)
        try:
            await self._told.begin()
            async with self.request.supervisor(self.name, taps, self._first_epoch) as self._source:
                while (failure := await self._judge(self._source)) is not None:
                    self._told.end("the stream broke off", Closing.STREAM_BROKE)
                    await self._source.restart(failure)
        except StreamguardError as error:
            self._become("failed", str(error))
        else:
            self._become("ended", "the source ended")
        finally:
            await cancel_and_wait(ticker)
            self._told.end(*self._halted)
        self._close_down()

    async def _judge(self, source: SourceSupervisor) -> StreamguardError | None:
        """Judge until the source ends; what judging failed with, where it is to be begun anew."""
        self._pipeline = self.guard.pipeline(source, self.name, self.request.watch, self._demand)
        try:
            async with aclosing(self._pipeline.run()) as judged:
                async for item in judged:
                    if isinstance(item, Event):
                        self._told.add(item)
                    else:
                        await self._report(item)
        except StreamguardError as error:
            if not error.retryable:
                raise
            return error
        except Exception as error:
            log.exception("stream failed", stream=self.name)
            self.restarts += 1
            return StreamCrashed(self.name, f"an error inside the server ({type(error).__name__})", "see its log")
        return None

    async def _halt(self, why: str, cause: Closing) -> None:
        """Stop judging; what hangs on the stream stays."""
        self._halted = (why, cause)
        await cancel_and_wait(self._task)

    def _close_down(self) -> None:
        if not self.over:
            self._become("ended", _CLOSED)
        self.meter.rest()
        self.reports.close()
        self.notices.close()
        for callback in tuple(self._over):
            callback()
        self._over.clear()

    @property
    def first_epoch(self) -> int:
        """The first connection of the present source."""
        return self._first_epoch

    @property
    def since(self) -> datetime:
        """When the stream came into being, UTC."""
        return self._since

    @property
    def needs_frames(self) -> bool:
        """Return whether a viewer needs every picture; called from the decoder's thread."""
        return self.restream is not None or any(feed.needs_frames for feed in self._feeds.values())

    def follow(self, item: SourceItem) -> None:
        """Take what comes of the source, as it comes."""
        if isinstance(item, Up):
            self._size = (item.width, item.height)
            self._become("up", "")
        elif isinstance(item, Down):
            self.interruptions += item.attempt == 1 and self._state == "up"
            self._become("down", str(item.error))
        else:
            self._size = (item.image.width, item.image.height)
            for part in (*self._feeds.values(), *([self.restream] if self.restream else ())):
                part.frame(item)

    def _become(self, state: State, detail: str) -> None:
        if (state, detail) != (self._state, self._detail):
            self._state, self._detail = state, detail
            log.info("stream state", stream=self.name, state=state, detail=detail)

    async def _report(self, report: FrameReport) -> None:
        self.newest = report
        if self.restream is not None:
            self.restream.report(report)
        self.meter.judged(report.latency)
        for feed in self._feeds.values():
            feed.report(report)
        self.reports.publish(report)
        await self._told.report(report, self._packets, lambda: self._jpeg(report, mask=True))

    async def _jpeg(self, report: FrameReport, *, mask: bool) -> bytes:
        loop, threshold = asyncio.get_running_loop(), self.guard.spec.threshold
        return await loop.run_in_executor(self._executor, lambda: snapshot(report, threshold, mask=mask))

    async def _tick(self) -> None:
        while True:
            self.meter.mark(self.counts)
            if self.probe is not None:
                self.transport = await self.probe()
            await asyncio.sleep(_TICK)
