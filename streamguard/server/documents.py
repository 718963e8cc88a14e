"""Requests, answers and messages of the API, as JSON. The OpenAPI document is made of these."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from pydantic.config import JsonDict

from streamguard.config import LIVE_NAME, STREAM_NAME, SamplingSettings, Scope
from streamguard.inference import EngineState
from streamguard.streams.status import Origin, State
from streamguard.types import Closing, EventKind, Verdict

NewStreamName = Annotated[str, StringConstraints(pattern=STREAM_NAME)]
StreamName = Annotated[str, StringConstraints(pattern=LIVE_NAME)]
Source = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
Share = Annotated[float, Field(ge=0, le=1)]
Priority = Annotated[int, Field(ge=1, le=10)]
_OLD: JsonDict = {"deprecated": True}
"""Note of a field that is deprecated and still works."""


class Document(BaseModel):
    """Base of every document: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ProblemDocument(Document):
    """Why a request failed (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    remedy: str


class TrackDocument(Document):
    """One face in sight."""

    track: int
    state: Verdict
    reason: str | None = Field(description="Why it is not judged, in plain words.")
    score: Share | None
    share: Share | None = Field(description="Fake frames among the judged ones of the window.")
    suspect_share: Share | None = Field(description="Fake and unsure frames among them.")


class RatesDocument(Document):
    """Frames per second over the last five seconds."""

    received: float
    judged: float
    dropped: float


class SamplingDocument(Document):
    """Rates at which a stream is judged, in frames per second over the last five seconds."""

    judged_per_second: float | None = Field(description="As asked for; null: all there is time for.")
    detect_every: int = Field(description="As asked for.")
    most: float | None = Field(description="The same as `judged_per_second`.", json_schema_extra=_OLD)
    asked: float = Field(description="Rate to judge: the arriving frames, at most `judged_per_second`.")
    judged: float
    reduced: bool = Field(
        description="There is not the time for what was asked for, or for 5 a second where `judged_per_second` is null."
    )


class TotalsDocument(Document):
    """Frames since the stream began."""

    received: int
    judged: int
    dropped: int


class LatencyDocument(Document):
    """Milliseconds from a frame's arrival to its verdict, over the last five seconds."""

    p50: float
    p95: float


class VoteDocument(Document):
    """Settings of the vote: a face's frames become its verdict."""

    window: Annotated[float, Field(gt=0)] = Field(description="Seconds of frames that count.")
    open_share: Share = Field(
        description="FAKE when more than this share of them is fake; where not, UNSURE while more than it are fake or "
        "unsure."
    )
    close_share: Share = Field(description="No longer FAKE when less than this share is.")


class OutputDocument(Document):
    """Output of a stream: its address and its state."""

    target: str = Field(description="Without secrets.")
    up: bool = Field(description="Whether packets flow.")
    detail: str = Field(description="What is amiss; empty where nothing is.")
    pictures: int = Field(description="Pictures handed to it.")
    packets: int = Field(description="Packets of picture and sound handed to it.")
    dropped: int = Field(description="Pictures it lost, being slow or not there.")
    failures: int = Field(description="Times it broke or could not be opened.")
    reconnects: int = Field(description="Times it came up again.")
    lag_seconds: Annotated[float, Field(ge=0)] = Field(description="Of the stream, that wait to be written.")
    hls: str | None = Field(description="Path of its playlist on this server; null where it is no HLS.")


class StreamDocument(Document):
    """One stream and how it does."""

    name: StreamName
    kind: Literal["published", "pulled"]
    origin: Origin = Field(
        description="file: of the configuration; api: added over the API, and fetched again after a restart; "
        "published: sent to this server."
    )
    source: str | None = Field(description="Where it is pulled from, without secrets.")
    state: State
    detail: str
    verdict: Verdict
    last_verdict: Verdict | None = Field(
        description="Of the newest judged frame, also after pictures have stopped; null before the first."
    )
    width: int
    height: int
    viewers: int
    rates: RatesDocument
    priority: int = Field(description="Its weight where there is not time for all.")
    sampling: SamplingDocument
    totals: TotalsDocument
    latency_ms: LatencyDocument | None
    bitrate_kbps: float | None = None
    packet_loss: Share | None = None
    vote: VoteDocument
    interruptions: int = Field(description="Times its source was lost, or judging crashed.")
    restarts: int = Field(description="Times that judging crashed, and was begun anew.")
    tracks: list[TrackDocument]
    outputs: list[OutputDocument] = Field(description="Where it is sent on to, as configured.")
    since: datetime = Field(description="When the stream came into being.")


class StreamsDocument(Document):
    """All streams, by name."""

    streams: list[StreamDocument]


class NewStream(Document):
    """A stream to fetch."""

    source: Source = Field(description="rtsp(s), rtmp(s), http(s) or udp URL; a path or `camera:0` where allowed.")
    name: NewStreamName | None = Field(default=None, description="Default: made of the source.")
    transport: Literal["tcp", "udp"] = "tcp"
    loop: bool = Field(default=True, description="A file starts over at its end.")
    sampling: SamplingSettings = Field(default_factory=SamplingSettings, description="As in the configuration file.")
    judged_per_second: Annotated[float, Field(gt=0, le=240)] | None = Field(
        default=None, description="Write `sampling.judged_per_second`, which goes before it.", json_schema_extra=_OLD
    )
    priority: Priority = Field(
        default=1, description="Where there is not time for all, a stream of 2 is judged twice as often as one of 1."
    )


class StreamChange(Document):
    """Changes to a stream. With another source, transport or loop the stream starts over, and its viewers stay.
    Where `sampling` and `priority` alone are given it plays on: no face, alert or count begins anew."""

    source: Source | None = None
    transport: Literal["tcp", "udp"] | None = None
    loop: bool | None = None
    sampling: SamplingSettings | None = Field(
        default=None, description="What is left out of it stays; `judged_per_second` of null takes the limit away."
    )
    priority: Priority | None = None


class EventDocument(Document):
    """Event of a stream or of a face."""

    id: str
    kind: EventKind
    stream: str
    epoch: int
    track: int | None
    at: datetime
    time: float | None = Field(description="Media seconds within the epoch.")
    score: Share | None
    share: Share | None
    model: str
    engine: str
    detail: str
    cause: Closing | None = Field(description="Of `fake.closed`: why. Only `cleared` is an all-clear.")
    incident: str | None = Field(description="Of a face's events: one person called fake in one stream.")
    snapshot: str | None = Field(description="URL of the picture, if one is kept.")


class EventsDocument(Document):
    """Events, newest first."""

    events: list[EventDocument]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class EventQuery(Document):
    """Which events."""

    stream: StreamName | None = None
    kind: EventKind | None = None
    since: AwareDatetime | None = Field(default=None, description="Not older than this.")
    until: AwareDatetime | None = Field(default=None, description="Older than this.")
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: Annotated[str, StringConstraints(max_length=64)] | None = None


class SnapshotQuery(Document):
    """Settings of the picture."""

    mask: Annotated[int, Field(ge=0, le=1)] = Field(default=0, description="1: with masks, boxes and verdicts.")


class PlayQuery(Document):
    """Settings of the video."""

    overlay: Literal["live", "exact", "none"] = Field(
        default="live",
        description="live: the newest masks, no delay; exact: each picture with its own masks; none: as received.",
    )


class EngineDocument(Document):
    """An inference engine."""

    name: str
    available: bool
    in_use: bool
    reason: str
    failures: int = Field(description="Batches in which it failed, since the start.")


class EnginesDocument(Document):
    """Detectors and engines that can judge here, and those in use."""

    model: str = Field(description="The detector in use, with its hash.")
    engine: str = Field(description="The engine in use, with its hash.")
    state: EngineState = Field(
        description="recovering: it failed and is being loaded again; failed: none works, all are tried again later."
    )
    detail: str = Field(description="Why it is not well, or not the best one; empty where all is well.")
    models: list[str]
    engines: list[EngineDocument] = Field(description="Best first.")


class IceServerDocument(Document):
    """ICE server, as WebRTC's RTCIceServer."""

    urls: list[str]
    username: str | None = None
    credential: str | None = None


class IceServersDocument(Document):
    """Settings for RTCPeerConnection."""

    ice_servers: list[IceServerDocument]


class AccessDocument(Document):
    """Scopes of the request's token."""

    scopes: list[Scope] = Field(
        description="Of `admin`, `publish`, `review` and `view`; `admin` brings all. No token: all."
    )


class LoadDocument(Document):
    """Load of the machine. Frames per second over the last five seconds, all streams together."""

    streams: int
    reduced: int = Field(description="Streams judged less often than asked for, because there is not the time.")
    asked: float = Field(description="Frames per second that there are to judge.")
    judged: float = Field(description="Frames per second that are judged.")
    load: Share | None = Field(description="Of processors or engine, whichever is scarcer; null until measured.")
    room: int | None = Field(
        description="How many more streams like these could be judged once a second; null until measured."
    )
    refused: int = Field(description="Streams refused since the start, the machine or the server being full.")


class HealthDocument(Document):
    """Health of the server: it runs, and accepts work."""

    status: Literal["ok", "starting", "draining", "no-engine", "overloaded", "stuck"] = Field(
        description="overloaded: work is taken, and streams are judged less often than asked for; stuck: an engine "
        "hangs, and only a restart helps."
    )
    load: LoadDocument | None = Field(default=None, description="Where readiness was asked for.")
    engine: EngineState = Field(default="ok", description="Of the engine that does worst, where there are several.")


class FaceMessage(Document):
    """One face of one frame."""

    track: int
    box: tuple[float, float, float, float] = Field(description="x0, y0, x1, y1 as shares of the picture's size.")
    verdict: Verdict = Field(description="Of this frame.")
    reason: str | None
    score: Share | None
    state: Verdict = Field(description="The track's voted verdict.")
    share: Share | None = Field(description="Fake frames among the judged ones of the window.")
    suspect_share: Share | None = Field(description="Fake and unsure frames among them.")


class VerdictMessage(Document):
    """Verdict of one frame; sent over the data channel and as `verdict` of the event stream."""

    type: Literal["verdict"] = "verdict"
    stream: StreamName
    epoch: int
    frame: int
    time: float = Field(description="Media seconds.")
    latency_ms: float = Field(description="From the frame's arrival to its verdict.")
    state: Verdict = Field(description="The stream's voted verdict.")
    share: Share | None = Field(description="Fake frames in the window of the worst track.")
    suspect_share: Share | None = Field(description="Fake and unsure frames, of the worst track alike.")
    faces: list[FaceMessage]


def dump(document: BaseModel) -> dict[str, Any]:
    """The document as plain JSON values."""
    return document.model_dump(mode="json", by_alias=True)
