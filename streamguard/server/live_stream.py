"""One stream of the server: its source judged, and everything about it handed to its readers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias

import structlog
from ulid import ULID

from streamguard.errors import StreamguardError
from streamguard.media import Backoff, Down, SourceItem, Up
from streamguard.media.live_encoder import LiveCodec
from streamguard.media.packet_fanout import PacketTrack
from streamguard.media.packet_ring import PacketKeeper
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.restream import Restream
from streamguard.pipeline.stream import Counts, FrameReport, StreamPipeline
from streamguard.server.alert_feed import AlertFeed
from streamguard.server.documents import (
    LatencyDocument,
    RatesDocument,
    SamplingDocument,
    State,
    StreamDocument,
    TotalsDocument,
    VoteDocument,
)
from streamguard.server.event_log import EventLog
from streamguard.server.messages import track_documents, verdict_message
from streamguard.server.meter import Sampling, StreamMeter
from streamguard.server.output_status import output_documents
from streamguard.server.overlay_feed import OVERLAYS, Overlay, OverlayFeed
from streamguard.server.readers import Readers
from streamguard.server.snapshots import snapshot
from streamguard.server.stream_events import StreamEvents
from streamguard.server.verdict_channels import VerdictChannels
from streamguard.types import Event, EventKind, Frame, Verdict

log = structlog.get_logger("streamguard.stream")
_TICK = 1.0
_OPTIONS = WatchOptions()
_CLOSED = "the stream was closed"
Items: TypeAlias = Callable[[], AsyncGenerator[SourceItem, None]]


@dataclass(slots=True)
class Transport:
    """How a publisher's connection does, where there is one: bits per second / 1000, and the share of packets lost."""

    bitrate_kbps: float | None = None
    packet_loss: float | None = None


class LiveStream:
    """Judges one source until it ends or the stream is closed.

    Args:
        name: unique on this server.
        kind: sent to us, or fetched by us.
        source: where it is fetched from, without secrets.
        items: makes the frames and connection changes; called anew after a crash.
        guard: judges.
        events: where events are kept.
        executor: threads for painting, encoding and pictures.
        owner: who published it, as the tokens name him; None for nobody in particular.
        feed: the way of its events into the outbox; None where alerts are switched off.
        packets: the source's newest compressed packets, for clips; None where there are none.
        options: how it is judged.
    """

    def __init__(
        self,
        name: str,
        kind: Literal["published", "pulled"],
        source: str | None,
        items: Items,
        guard: Guard,
        events: EventLog,
        executor: Executor,
        owner: str | None = None,
        feed: AlertFeed | None = None,
        packets: PacketKeeper | None = None,
        options: WatchOptions = _OPTIONS,
    ) -> None:
        self.name, self.kind, self.source, self.owner = name, kind, source, owner
        self._options = options
        self._items, self.guard, self._executor = items, guard, executor
        self._packets = packets
        self._state: State = "starting"
        self._detail = ""
        self._size = (0, 0)
        self._since = datetime.now(UTC)
        self._received = 0
        self._pipeline: StreamPipeline | None = None
        self._task: asyncio.Task[None] | None = None
        self._epoch = self._first_epoch = 0
        self._backoff, self._crashed = Backoff(), False
        self._before = Counts()
        self._turn = asyncio.Lock()
        self._closed = False
        self._halted = _CLOSED
        threshold = guard.spec.threshold
        self._feeds = {mode: OverlayFeed(name, mode, threshold, executor) for mode in OVERLAYS}
        self._over: set[Callable[[], None]] = set()
        self.probe: Callable[[], Awaitable[Transport]] | None = None
        """Asked every second how the publisher's connection does."""
        self.restream: Restream | None = None
        """Where every frame is sent on to; closed by its owner."""
        self.listeners: list[Callable[[FrameReport], None]] = []
        """Called with every judged frame; must be quick."""
        self.interruptions = self.restarts = 0
        """Times the source was lost; and times that judging crashed, and was begun anew."""
        self.readers = Readers()
        self._told = StreamEvents(events, self.readers, feed)
        self.meter = StreamMeter()
        self.transport = Transport()
        self.newest: FrameReport | None = None
        """The newest judged frame."""
        self.channels = VerdictChannels()
        """The data channels that every verdict goes to."""

    @property
    def state(self) -> State:
        """`ended` and `failed` are final."""
        return self._state

    @property
    def over(self) -> bool:
        """Whether no picture will come any more."""
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
        before, pipeline = self._before, self._pipeline
        judged, dropped = (pipeline.frames, pipeline.dropped) if pipeline else (0, 0)
        return Counts(self._received, before.judged + judged, before.dropped + dropped)

    def sampling(self) -> Sampling:
        """How much of it is judged, over the last seconds."""
        return self.meter.sampling(self._options.judged_per_second)

    @property
    def verdict(self) -> Verdict:
        """What is said of the stream now."""
        return self.newest.state.state if self.newest is not None and self._state == "up" else Verdict.UNKNOWN

    def start(self) -> None:
        """Begin judging."""
        self._task = asyncio.create_task(self._run(), name=f"stream {self.name}")

    async def aclose(self) -> None:
        """Stop judging; readers, viewers and data channels are told. Safe to call twice."""
        self._closed = True
        async with self._turn:
            await self._halt(_CLOSED)
            self._close_down()
            for feed in self._feeds.values():
                await feed.aclose()
        self.channels.clear()
        await self._told.aclose()

    async def change(
        self,
        source: str | None,
        items: Items,
        packets: PacketKeeper | None = None,
        options: WatchOptions = _OPTIONS,
    ) -> bool:
        """Judge another source from now on. Viewers, readers and data channels stay; a face held for fake is closed.

        Totals begin anew, epochs go on.

        Args:
            source, items, packets, options: as for the class.

        Returns:
            False if the stream was closed before its turn came; nothing is changed then.
        """
        async with self._turn:
            if self._closed:
                return False
            await self._halt("the source was changed")
            for feed in self._feeds.values():
                await feed.renew()
            self.source, self._items, self._packets, self._options = source, items, packets, options
            self._first_epoch = self._epoch + 1
            self._pipeline = self.newest = None
            self._before, self._received, self._crashed = Counts(), 0, False
            self.meter = StreamMeter()
            self._become("starting", "")
            self.start()
            return True

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

    def document(self) -> StreamDocument:
        """How the stream does."""
        received, judged, dropped = self.meter.rates()
        latency, totals = self.meter.percentiles(), self.counts
        return StreamDocument(
            name=self.name,
            kind=self.kind,
            source=self.source,
            state=self._state,
            detail=self._detail,
            verdict=self.verdict,
            width=self._size[0],
            height=self._size[1],
            viewers=sum(feed.viewers for feed in self._feeds.values()),
            rates=RatesDocument(received=round(received, 2), judged=round(judged, 2), dropped=round(dropped, 2)),
            totals=TotalsDocument(received=totals.received, judged=totals.judged, dropped=totals.dropped),
            latency_ms=LatencyDocument(p50=round(latency[0] * 1e3, 1), p95=round(latency[1] * 1e3, 1))
            if latency
            else None,
            bitrate_kbps=self.transport.bitrate_kbps,
            packet_loss=self.transport.packet_loss,
            sampling=SamplingDocument(**asdict(self.sampling())),
            outputs=output_documents(self.name, self.restream),
            vote=VoteDocument(
                window=self._options.vote.window,
                open_share=self._options.vote.open_share,
                close_share=self._options.vote.close_share,
            ),
            interruptions=self.interruptions,
            restarts=self.restarts,
            tracks=track_documents(self.newest if self._state == "up" else None),
            since=self._since,
        )

    async def _run(self) -> None:
        ticker = asyncio.create_task(self._tick(), name=f"meter of {self.name}")
        try:
            while await self._attempt():
                pass
        finally:
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker
            self._told.end(self._halted)
        self._close_down()

    async def _attempt(self) -> bool:
        """Judge until the source ends or judging fails, and wait; whether it is to be begun anew."""
        began = time.monotonic()
        try:
            await self._judge()
        except StreamguardError as error:
            # After a crash the source may be gone for a while, whatever it says.
            if not (error.retryable or self._crashed):
                self._become("failed", str(error))
                return False
            why = str(error)
        except Exception as error:
            log.exception("stream failed", stream=self.name)
            why, self._crashed = f"an error inside the server ({type(error).__name__}); see its log", True
            self.restarts += 1
        else:
            self._become("ended", "the source ended")
            return False
        self._fall(why)
        await asyncio.sleep(self._backoff.delay(time.monotonic() - began))
        return True

    async def _judge(self) -> None:
        async with aclosing(self._items()) as items, aclosing(self._watched(items)) as watched:
            self._pipeline = self.guard.pipeline(watched, self.name, self._options)
            async with aclosing(self._pipeline.run()) as judged:
                async for item in judged:
                    if isinstance(item, Event):
                        self._told.add(item)
                    else:
                        await self._report(item)

    def _fall(self, why: str) -> None:
        """Judging broke off; it is begun anew."""
        self._told.end("the stream broke off")
        if self._state != "down":
            self.interruptions += self._state == "up"
            down = Event(str(ULID()), EventKind.STREAM_DOWN, self.name, self._epoch, datetime.now(UTC), detail=why)
            self._told.add(replace(down, model=self.guard.model_label, engine=self.guard.engine_label))
        self._become("down", why)
        self._before, self._pipeline = self.counts, None
        self._first_epoch = self._epoch + 1

    async def _halt(self, why: str) -> None:
        """Stop judging; what hangs on the stream stays."""
        self._halted = why
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _close_down(self) -> None:
        if not self.over:
            self._become("ended", _CLOSED)
        self.meter.rest()
        for reader in self.readers:
            reader.end()
        for callback in tuple(self._over):
            callback()
        self._over.clear()

    async def _watched(self, items: AsyncGenerator[SourceItem, None]) -> AsyncGenerator[SourceItem, None]:
        async for item in items:
            self._epoch = self._first_epoch + item.epoch
            if self._first_epoch:
                item = replace(item, epoch=self._epoch)  # noqa: PLW2901 - the same item
            if isinstance(item, Up):
                self._size = (item.width, item.height)
                self._become("up", "")
                self._crashed = False
            elif isinstance(item, Down):
                self.interruptions += item.attempt == 1 and self._state == "up"
                # After a crash it has been told already.
                item = replace(item, attempt=item.attempt + (self._state == "down"))  # noqa: PLW2901 - the same item
                self._become("down", str(item.error))
            else:
                self._received += 1
                self._frame(item)
            yield item

    def _become(self, state: State, detail: str) -> None:
        if (state, detail) != (self._state, self._detail):
            self._state, self._detail = state, detail
            log.info("stream state", stream=self.name, state=state, detail=detail)

    def _frame(self, frame: Frame) -> None:
        self._size = (frame.image.width, frame.image.height)
        for part in (*self._feeds.values(), *([self.restream] if self.restream else ())):
            part.frame(frame)

    async def _report(self, report: FrameReport) -> None:
        latency = time.monotonic() - report.frame.arrived
        self.newest = report
        if self.restream is not None:
            self.restream.report(report)
        for listener in self.listeners:
            listener(report)
        self.meter.judged(latency)
        for feed in self._feeds.values():
            feed.report(report)
        if len(self.channels) or len(self.readers):
            message = verdict_message(self.name, report, latency).model_dump_json()
            for reader in self.readers:
                reader.put_verdict(message)
            self.channels.send(message)
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
