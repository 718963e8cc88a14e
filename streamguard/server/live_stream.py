"""One stream of the server: its source judged, and everything about it handed to its readers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import structlog
from ulid import ULID

from streamguard.errors import StreamguardError
from streamguard.media import Down, SourceItem, Up
from streamguard.media.live_encoder import LiveCodec
from streamguard.media.packet_fanout import PacketTrack
from streamguard.media.packet_ring import PacketKeeper
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.stream import Counts, FrameReport, StreamPipeline
from streamguard.pipeline.tap import Tap
from streamguard.server.alert_feed import AlertFeed
from streamguard.server.documents import (
    LatencyDocument,
    RatesDocument,
    State,
    StreamDocument,
    TotalsDocument,
    VoteDocument,
)
from streamguard.server.event_log import EventLog
from streamguard.server.evidence import Material
from streamguard.server.messages import track_documents, verdict_message
from streamguard.server.meter import StreamMeter
from streamguard.server.overlay_feed import OVERLAYS, Overlay, OverlayFeed
from streamguard.server.readers import Readers
from streamguard.server.snapshots import snapshot
from streamguard.server.verdict_channels import VerdictChannels
from streamguard.types import Event, EventKind, Frame, Verdict

log = structlog.get_logger("streamguard.stream")
_TICK = 1.0
_OPTIONS = WatchOptions()
_CLOSED = "the stream was closed"


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
        items: frames and connection changes.
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
        items: AsyncGenerator[SourceItem, None],
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
        self._items, self._guard, self._events, self._executor = items, guard, events, executor
        self._feed, self._packets = feed, packets
        self._state: State = "starting"
        self._detail = ""
        self._size = (0, 0)
        self._since = datetime.now(UTC)
        self._tap: Tap | None = None
        self._pipeline: StreamPipeline | None = None
        self._task: asyncio.Task[None] | None = None
        self._unpictured: list[Event] = []
        self._held: dict[tuple[int, int | None], Event] = {}
        self._epoch = self._first_epoch = 0
        self._turn = asyncio.Lock()
        self._closed = False
        self._halted = _CLOSED
        threshold = guard.spec.threshold
        self._feeds = {mode: OverlayFeed(name, mode, threshold, executor) for mode in OVERLAYS}
        self._over: set[Callable[[], None]] = set()
        self.probe: Callable[[], Awaitable[Transport]] | None = None
        """Asked every second how the publisher's connection does."""
        self.sent_on: Callable[[FrameReport], None] | None = None
        """Gets every judged frame; must be quick."""
        self.readers = Readers()
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
        for feed in self._feeds.values():
            for stage, seconds in feed.cpu_seconds.items():
                spent[stage] = spent.get(stage, 0.0) + seconds
        return spent

    @property
    def detect_every(self) -> int | None:
        """The face detector runs on every so many judged frames now; None before there are any."""
        return self._pipeline.detect_every if self._pipeline else None

    @property
    def counts(self) -> Counts:
        """Frames until now."""
        if self._tap is None:
            return Counts()
        return Counts(self._tap.received, self._pipeline.frames if self._pipeline else 0, self._tap.dropped)

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
        if self._feed is not None:
            await self._feed.aclose()

    async def change(
        self,
        source: str | None,
        items: AsyncGenerator[SourceItem, None],
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
            self._tap = self._pipeline = self.newest = None
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
            vote=VoteDocument(
                window=self._options.vote.window,
                open_share=self._options.vote.open_share,
                close_share=self._options.vote.close_share,
            ),
            tracks=track_documents(self.newest if self._state == "up" else None),
            since=self._since,
        )

    async def _run(self) -> None:
        ticker = asyncio.create_task(self._tick(), name=f"meter of {self.name}")
        try:
            async with Tap(self._watched(), self._frame) as tap:
                self._tap = tap
                self._pipeline = self._guard.pipeline(tap, self.name, self._options)
                async with aclosing(self._pipeline.run()) as items:
                    async for item in items:
                        if isinstance(item, Event):
                            self._event(item)
                        else:
                            await self._report(item)
            self._become("ended", "the source ended")
        except StreamguardError as error:
            self._become("failed", str(error))
        except Exception:
            log.exception("stream failed", stream=self.name)
            self._become("failed", "an error inside the server; see its log")
        finally:
            ticker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await ticker
            for event in self._unpictured:
                self._record(event)
                self._alert(event)
            self._unpictured.clear()
            # Whoever was told that a fake opened is told of its end, too.
            for opened in tuple(self._held.values()):
                self._event(_ended(opened, self._halted))
        self._close_down()

    async def _halt(self, why: str) -> None:
        """Stop judging; what hangs on the stream stays."""
        self._halted = why
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._items.aclose()

    def _close_down(self) -> None:
        if not self.over:
            self._become("ended", _CLOSED)
        for reader in self.readers:
            reader.end()
        for callback in tuple(self._over):
            callback()
        self._over.clear()

    async def _watched(self) -> AsyncGenerator[SourceItem, None]:
        async for item in self._items:
            self._epoch = self._first_epoch + item.epoch
            if self._first_epoch:
                item = replace(item, epoch=self._epoch)  # noqa: PLW2901 - the same item
            if isinstance(item, Up):
                self._size = (item.width, item.height)
                self._become("up", "")
            elif isinstance(item, Down):
                self._become("down" if item.attempt == 1 or self._state != "starting" else "starting", str(item.error))
            yield item

    def _become(self, state: State, detail: str) -> None:
        if (state, detail) != (self._state, self._detail):
            self._state, self._detail = state, detail
            log.info("stream state", stream=self.name, state=state, detail=detail)

    def _frame(self, frame: Frame) -> None:
        self._size = (frame.image.width, frame.image.height)
        for feed in self._feeds.values():
            feed.frame(frame)

    def _event(self, event: Event) -> None:
        self._events.add(event)
        if event.kind is EventKind.FAKE_OPENED:
            self._held[event.epoch, event.track] = event
        elif event.kind is EventKind.FAKE_CLOSED:
            self._held.pop((event.epoch, event.track), None)
        log.info(
            "event",
            id=event.id,
            kind=event.kind.value,
            stream=event.stream,
            track=event.track,
            share=event.share,
            detail=event.detail,
        )
        if event.kind is EventKind.FAKE_OPENED:
            # Its frame's report follows at once; the alert goes out with its picture.
            self._unpictured.append(event)
        else:
            self._record(event)
            self._alert(event)

    def _record(self, event: Event, report: FrameReport | None = None) -> None:
        if self._feed is None:
            return
        material = None
        if report is not None and self._feed.wants_material:
            material = Material(report, self._packets.copy() if self._packets is not None else None)
        self._feed.put(event, material)

    def _alert(self, event: Event) -> None:
        for reader in self.readers:
            reader.put_alert(event)

    async def _report(self, report: FrameReport) -> None:
        latency = time.monotonic() - report.frame.arrived
        self.newest = report
        if self.sent_on is not None:
            self.sent_on(report)
        self.meter.judged(latency)
        for feed in self._feeds.values():
            feed.report(report)
        if len(self.channels) or len(self.readers):
            message = verdict_message(self.name, report, latency).model_dump_json()
            for reader in self.readers:
                reader.put_verdict(message)
            self.channels.send(message)
        if self._unpictured:
            opened, self._unpictured = self._unpictured, []
            # What must not be lost comes first.
            for event in opened:
                self._record(event, report)
            jpeg = await self._jpeg(report, mask=True)
            for event in opened:
                self._events.keep_picture(event.id, jpeg)
                self._alert(event)

    async def _jpeg(self, report: FrameReport, *, mask: bool) -> bytes:
        loop, threshold = asyncio.get_running_loop(), self._guard.spec.threshold
        return await loop.run_in_executor(self._executor, lambda: snapshot(report, threshold, mask=mask))

    async def _tick(self) -> None:
        while True:
            self.meter.mark(self.counts)
            if self.probe is not None:
                self.transport = await self.probe()
            await asyncio.sleep(_TICK)


def _ended(opened: Event, why: str) -> Event:
    detail = f"{why} while the face was held for fake"
    return replace(opened, id=str(ULID()), kind=EventKind.FAKE_CLOSED, at=datetime.now(UTC), detail=detail)
