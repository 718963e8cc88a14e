"""Incidents as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal, TypeAlias

from pydantic import AwareDatetime, Field, StringConstraints

from streamguard.alerts import Incident, Mark, Sample, Search
from streamguard.alerts.history import MOST_NOTE
from streamguard.clock import utc
from streamguard.server.documents import Document, EventDocument, Share, StreamName
from streamguard.types import Closing

EvidenceKind: TypeAlias = Literal["picture", "mask", "face", "clip", "manifest", "signature"]

MarkName = Literal["confirmed", "false_alarm"]


class IncidentDocument(Document):
    """One person called fake in one stream, over lost tracks, interruptions and restarts of the server."""

    id: str
    stream: str
    state: Literal["open", "closed"]
    cause: Closing | None = Field(description="Why it closed; null while open. Only `cleared` is an all-clear.")
    opened: datetime
    updated: datetime = Field(description="When it was last heard of.")
    closed: datetime | None
    openings: int = Field(description="How often it opened: once, and each time it was taken up again.")
    epoch: int = Field(description="The stream's connection at its newest event.")
    track: int
    opened_time: float | None = Field(description="Media seconds of the first opening, within its connection.")
    time: float | None = Field(description="Media seconds of the newest event, within its connection.")
    score: Share = Field(description="The highest of its events.")
    share: Share = Field(description="The highest share of fake frames in the window of the vote.")
    judged: int = Field(description="Frames of the face that were judged while it was called fake.")
    fake: int = Field(description="Fake ones of these.")
    model: str
    engine: str
    mark: MarkName | None = Field(description="What a person said.")
    note: str
    marked_by: str | None = Field(description="Stands for that person's token; null without tokens.")
    marked_at: datetime | None
    snapshot: str | None = Field(description="URL of its newest picture, if one is kept.")


class IncidentsDocument(Document):
    """Incidents, the one that opened last first."""

    incidents: list[IncidentDocument]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class IncidentExportDocument(Document):
    """Incidents that match, newest first."""

    incidents: list[IncidentDocument]


class EvidenceLinkDocument(Document):
    """A file of an incident's evidence."""

    event: str = Field(description="The `fake.opened` at which it was made.")
    kind: EvidenceKind = Field(
        description="picture: the frame; mask: the same with the mask painted; face: what the model saw; clip: the "
        "seconds before; manifest: hashes of all; signature: of the manifest."
    )
    media_type: str
    href: str = Field(description="Signed; holds for a while without a token.")


class SampleDocument(Document):
    """Verdicts of the face within about a second; longer where the incident is long."""

    at: datetime
    epoch: int
    time: float = Field(description="Media seconds within the epoch.")
    score: Share = Field(description="Mean calibrated fake probability.")
    judged: int
    fake: int


class JudgedFrameDocument(Document):
    """A judged frame of a clip."""

    time: float = Field(description="Seconds from the clip's begin.")
    score: Share | None = Field(description="Of its most suspect face; null where no face was judged.")


class JudgedClipDocument(Document):
    """The seconds before an opening, judged again."""

    event: str
    media_type: Literal["video/mp4"]
    video: str = Field(description="Base64: the judged frames with masks, boxes and verdicts.")
    frames: list[JudgedFrameDocument] = Field(description="The same frames, in order.")


class IncidentDetailDocument(IncidentDocument):
    """An incident with all that is kept of it."""

    explanation: list[str] = Field(description="Reasons for the verdict, in sentences.")
    events: list[EventDocument] = Field(description="Oldest first; the newest 1,000.")
    evidence: list[EvidenceLinkDocument]
    samples: list[SampleDocument] = Field(description="The score over time while it was called fake, oldest first.")
    notice: str = Field(description="What a verdict is worth.")


class IncidentFilter(Document):
    """Which incidents."""

    stream: StreamName | None = None
    since: AwareDatetime | None = Field(default=None, description="Not over before this.")
    until: AwareDatetime | None = Field(default=None, description="Opened before this.")
    least_score: Share = Field(default=0.0, description="Whose highest score reaches this.")
    state: Literal["open", "closed"] | None = None
    mark: Literal["confirmed", "false_alarm", "none"] | None = None

    def search(self) -> Search:
        """The same for the database."""
        mark = self.mark if self.mark is None or self.mark == "none" else Mark(self.mark)
        return Search(self.stream, self.since, self.until, self.least_score, self.state, mark)


class IncidentQuery(IncidentFilter):
    """Which incidents, and how many at a time."""

    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: Annotated[str, StringConstraints(max_length=128)] | None = None


class IncidentChange(Document):
    """Review of an incident by a person; fields left out stay."""

    mark: MarkName | None = None
    note: Annotated[str, StringConstraints(max_length=MOST_NOTE)] = ""


def incident_document(incident: Incident, snapshot: str | None) -> IncidentDocument:
    """The incident, with the address of its picture."""
    values = asdict(incident)
    del values["box"]
    return IncidentDocument(state="closed" if incident.closed else "open", snapshot=snapshot, **values)


def sample_documents(samples: Sequence[Sample]) -> list[SampleDocument]:
    """The score over time."""
    return [SampleDocument(**{**asdict(each), "at": utc(each.at)}) for each in samples]
