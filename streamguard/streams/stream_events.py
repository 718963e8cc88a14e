"""One stream's events on their way to the database, the outbox and the readers; each face's gets its incident here."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import timedelta

from ulid import ULID

from streamguard.alerts import Incident, Sample
from streamguard.alerts.incident_rows import interrupted
from streamguard.channel import Fanout
from streamguard.clock import wall_clock, wall_time
from streamguard.errors import OutboxError
from streamguard.logs import get_logger
from streamguard.media.packet_ring import PacketKeeper
from streamguard.pipeline.stream import FrameReport
from streamguard.streams.alert_feed import AlertFeed
from streamguard.streams.evidence import Material
from streamguard.streams.incident_scores import ScoreSeries
from streamguard.streams.live_events import LiveEvents
from streamguard.types import Closing, Event, EventKind, Verdict
from streamguard.verdict import IncidentBook, PastIncident
from streamguard.verdict.incidents import WITHIN

log = get_logger("streamguard.stream")
_KEEP_SCORES_EVERY = 5.0


class Erased:
    """The pictures of a stream's events were erased: they are not to be shown any more."""


class StreamEvents:
    """Passes events on; one that opens waits for the picture of its frame, whose report follows at once.

    Args:
        events: who listens now.
        feed: the way into the database and the outbox; None where there is none.
        within: as of `IncidentBook`.
    """

    def __init__(self, events: LiveEvents, feed: AlertFeed | None = None, within: float = WITHIN) -> None:
        self._events, self._feed, self._within = events, feed, within
        self.notices: Fanout[Event | Erased] = Fanout()
        """Return the items for readers of the stream."""
        self._book, self._begun = IncidentBook(within), False
        self._tracks: Collection[int] = ()
        self._unpictured: list[Event] = []
        self._held: dict[tuple[int, int | None], Event] = {}
        self._scores: dict[str, ScoreSeries] = {}
        self._scores_kept = time.monotonic()

    async def begin(self) -> None:
        """Learn of incidents that may be taken up again; those that a killed server left open are closed."""
        if self._feed is None or self._begun:
            return
        now = wall_time()
        try:
            found = await self._feed.recent(now - timedelta(seconds=self._within))
        except OutboxError as error:
            # Those left open are closed with the stream's first event.
            log.warning("earlier incidents are not known", detail=str(error))
            return
        self._begun = True
        self._book = IncidentBook(self._within, map(_past, found))
        for each in found:
            if each.closed is None:
                self.add(interrupted(each, now))

    def add(self, event: Event) -> None:
        """Take an event in."""
        event = self._book.take(event, self._tracks)
        self._events.add(event)
        if event.kind is EventKind.FAKE_OPENED:
            self._held[event.epoch, event.track] = event
            self._scores[event.incident or ""] = ScoreSeries()
        elif event.kind is EventKind.FAKE_CLOSED:
            self._held.pop((event.epoch, event.track), None)
            self._keep_scores(self._scores.pop(event.incident or "", None), event)
        log.info(
            "event",
            id=event.id,
            kind=event.kind.value,
            stream=event.stream,
            track=event.track,
            incident=event.incident,
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
        """Count the frame's scores; give what opened with it its picture, and pass it on.

        Args:
            report: of the frame.
            packets: the source's newest compressed packets, for a clip.
            picture: makes the frame's JPEG.
        """
        self._tracks = report.state.tracks.keys()
        if self._held:
            self._count(report)
        if not self._unpictured:
            return
        opened, self._unpictured = self._unpictured, []
        # What must not be lost comes first.
        for event in opened:
            self._record(event, report, packets)
        jpeg = await picture()
        for event in opened:
            self._events.keep_picture(event, jpeg)
            self._alert(event)

    def end(self, why: str, cause: Closing) -> None:
        """Pass on events that wait for a report, and close faces that are called fake: no report follows.

        Args:
            why: for the events that close, a clause without a final stop.
            cause: of the closings.
        """
        for event in self._unpictured:
            self._record(event)
            self._alert(event)
        self._unpictured.clear()
        # Readers that got the opening of a fake get its end, too.
        for opened in tuple(self._held.values()):
            self.add(_ended(opened, why, cause))

    async def aclose(self) -> None:
        """Finish the evidence that was begun."""
        if self._feed is not None:
            await self._feed.aclose()

    def _count(self, report: FrameReport) -> None:
        frame, now = report.frame, wall_clock()
        for verdict in report.faces:
            opened = self._held.get((frame.epoch, verdict.face.track))
            if opened is not None and verdict.score is not None:
                fake = int(verdict.state is Verdict.FAKE)
                self._scores[opened.incident or ""].add(Sample(now, frame.epoch, frame.time, verdict.score, 1, fake))
        if time.monotonic() - self._scores_kept >= _KEEP_SCORES_EVERY:
            self._scores_kept = time.monotonic()
            for opened in self._held.values():
                self._keep_scores(self._scores[opened.incident or ""], opened)

    def _keep_scores(self, scores: ScoreSeries | None, event: Event) -> None:
        if self._feed is not None and scores is not None and event.incident is not None:
            self._feed.put_samples(event.incident, scores.samples())

    def _record(self, event: Event, report: FrameReport | None = None, packets: PacketKeeper | None = None) -> None:
        if self._feed is None:
            return
        material = None
        if report is not None and self._feed.wants_material:
            material = Material(report, packets.copy() if packets is not None else None)
        self._feed.put(event, material)

    def _alert(self, event: Event) -> None:
        self.notices.publish(event)


def _past(incident: Incident) -> PastIncident:
    return PastIncident(incident.id, incident.updated, incident.cause, incident.box)


def _ended(opened: Event, why: str, cause: Closing) -> Event:
    detail = f"{why} while the face was called fake"
    now = wall_time()
    return replace(opened, id=str(ULID()), kind=EventKind.FAKE_CLOSED, at=now, detail=detail, cause=cause, evidence=())
