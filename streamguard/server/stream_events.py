"""One stream's events on their way to the log, the outbox and the readers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

import structlog
from ulid import ULID

from streamguard.media.packet_ring import PacketKeeper
from streamguard.pipeline.stream import FrameReport
from streamguard.server.alert_feed import AlertFeed
from streamguard.server.event_log import EventLog
from streamguard.server.evidence import Material
from streamguard.server.readers import Readers
from streamguard.types import Event, EventKind

log = structlog.get_logger("streamguard.stream")


class StreamEvents:
    """Passes events on; one that opens waits for the picture of its frame, whose report follows at once.

    Args:
        events: where events are kept.
        readers: who follows the stream.
        feed: the way into the outbox; None where alerts are switched off.
    """

    def __init__(self, events: EventLog, readers: Readers, feed: AlertFeed | None) -> None:
        self._events, self._readers, self._feed = events, readers, feed
        self._unpictured: list[Event] = []
        self._held: dict[tuple[int, int | None], Event] = {}

    def add(self, event: Event) -> None:
        """Take an event in."""
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
            # The alert goes out with its picture.
            self._unpictured.append(event)
        else:
            self._record(event)
            self._alert(event)

    async def report(
        self, report: FrameReport, packets: PacketKeeper | None, picture: Callable[[], Awaitable[bytes]]
    ) -> None:
        """Give what opened with this frame its picture, and pass it on.

        Args:
            report: of the frame.
            packets: the source's newest compressed packets, for a clip.
            picture: makes the frame's JPEG.
        """
        if not self._unpictured:
            return
        opened, self._unpictured = self._unpictured, []
        # What must not be lost comes first.
        for event in opened:
            self._record(event, report, packets)
        jpeg = await picture()
        for event in opened:
            self._events.keep_picture(event.id, jpeg)
            self._alert(event)

    def end(self, why: str) -> None:
        """No report follows: pass on what waits for one, and close what is held for fake.

        Args:
            why: for the events that close, a clause without a final stop.
        """
        for event in self._unpictured:
            self._record(event)
            self._alert(event)
        self._unpictured.clear()
        # Whoever was told that a fake opened is told of its end, too.
        for opened in tuple(self._held.values()):
            self.add(_ended(opened, why))

    async def aclose(self) -> None:
        """Finish the evidence that was begun."""
        if self._feed is not None:
            await self._feed.aclose()

    def _record(self, event: Event, report: FrameReport | None = None, packets: PacketKeeper | None = None) -> None:
        if self._feed is None:
            return
        material = None
        if report is not None and self._feed.wants_material:
            material = Material(report, packets.copy() if packets is not None else None)
        self._feed.put(event, material)

    def _alert(self, event: Event) -> None:
        for reader in self._readers:
            reader.put_alert(event)


def _ended(opened: Event, why: str) -> Event:
    detail = f"{why} while the face was held for fake"
    return replace(opened, id=str(ULID()), kind=EventKind.FAKE_CLOSED, at=datetime.now(UTC), detail=detail)
