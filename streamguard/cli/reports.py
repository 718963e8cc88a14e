"""The JSON documents of the command line, versioned; `streamguard scan --schema` prints the JSON Schema."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from streamguard.errors import redact
from streamguard.types import Event, EventKind, Verdict

if TYPE_CHECKING:
    from streamguard.media.output import PushStatus
    from streamguard.pipeline.guard import Guard
    from streamguard.pipeline.scan import FileScan
    from streamguard.pipeline.stream import FrameReport

NOTICE = "An automated estimate that may be wrong."
STREAM_STATE = "stream.state"
OUTPUT_STATE = "output.state"
RULE = (
    "FAKE if more than half of the judged frames are fake, else UNSURE if more than half are fake or unsure, else "
    "REAL; UNKNOWN if none was judged."
)
LINE_KINDS = {
    EventKind.STREAM_UP.value: "pictures flow; `detail` is their size; each connection has its `epoch`, from 0",
    STREAM_STATE: "verdict on the stream and each face (REAL: no sign found, UNSURE: signs too weak to call it fake, "
    "FAKE, UNKNOWN: not judged), once a second and at each change; `time` is media seconds; `frames` received, judged "
    "and dropped so far; `suspect_share` of a face's frames are fake or unsure",
    EventKind.FAKE_OPENED.value: "the face `track` is held for fake from now on; `share` of the window's frames",
    EventKind.FAKE_UPDATED.value: "it still is; once a minute",
    EventKind.FAKE_CLOSED.value: "it no longer is, or is gone; a `detail` tells that the stream broke off or ended, no "
    "all-clear",
    EventKind.STREAM_DEGRADED.value: "the engine fails: faces are seen but not judged; `detail` says why",
    EventKind.STREAM_DOWN.value: "the source is gone; `detail` says why; attempts follow until it is back",
    OUTPUT_STATE: "a --restream `target` comes up, breaks (`detail` says why; attempts follow) or ends; pictures "
    "`sent` and `dropped`, and `failures`, so far",
}
"""What `watch --jsonl` writes, by `kind`."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TrackDocument(_Document):
    """One face of a file."""

    track: int = Field(description="Id of the face's track, from 1.")
    verdict: Verdict = Field(description=RULE)
    share: float | None = Field(description="Fake frames among the judged ones, 0..1.")
    score: float | None = Field(description="Mean calibrated fake probability, 0..1.")
    judged: int
    fake: int
    unsure: int = Field(default=0, description="Judged frames that are not fake, but show signs too weak to be.")
    unknown: int = Field(description="Frames in which the face was there but not judged.")
    first: float = Field(description="Media seconds of the face's first frame.")
    last: float
    fake_intervals: list[tuple[float, float]] = Field(description="When the sliding vote held it for fake, seconds.")


class FaultDocument(_Document):
    """Why a file was not read to its end."""

    kind: str
    message: str


class FileDocument(_Document):
    """What is said of one file."""

    path: str
    verdict: Verdict = Field(description=RULE)
    contains_fake: bool = Field(description="The sliding vote found a fake somewhere, whatever the verdict.")
    share: float | None = Field(description="Fake frames among the judged ones, 0..1.")
    score: float | None = Field(description="Mean calibrated fake probability over judged frames, 0..1.")
    frames: int
    judged: int
    fake: int
    unsure: int = Field(default=0, description="Judged frames with an unsure face and no fake one.")
    duration: float = Field(description="Media seconds of the last frame.")
    width: int
    height: int
    fake_intervals: list[tuple[float, float]]
    tracks: list[TrackDocument]
    fault: FaultDocument | None = Field(description="Set when the file could not be read to its end.")


class ScanDocument(_Document):
    """The report of `streamguard scan --json`."""

    schema_: Literal["streamguard.scan/1"] = Field(default="streamguard.scan/1", alias="schema")
    notice: str = NOTICE
    model: str = Field(description="Model name and digest.")
    engine: str = Field(description="Engine, precision and digest.")
    threshold: float = Field(description="Pixel threshold of the frame rule, 0..1.")
    unsure_threshold: float | None = Field(
        default=None, description="The one above which a face that is not fake is unsure; null: no face is."
    )
    complete: bool = Field(description="False when the scan was stopped early.")
    files: list[FileDocument]


def file_document(path: str, scan: FileScan) -> FileDocument:
    """The document of one scanned file."""
    verdict = scan.verdict
    fault = FaultDocument(kind=type(scan.fault).__name__, message=str(scan.fault)) if scan.fault else None
    return FileDocument(
        path=redact(path),
        verdict=verdict.verdict,
        contains_fake=verdict.contains_fake,
        share=verdict.share,
        score=verdict.score,
        frames=verdict.frames,
        judged=verdict.judged,
        fake=verdict.fake,
        unsure=verdict.unsure,
        duration=scan.duration,
        width=scan.width,
        height=scan.height,
        fake_intervals=list(verdict.fake_intervals),
        tracks=[TrackDocument(**asdict(track)) for track in verdict.tracks],
        fault=fault,
    )


def scan_document(guard: Guard, files: list[FileDocument], *, complete: bool) -> ScanDocument:
    """The whole report."""
    return ScanDocument(
        model=guard.model_label,
        engine=guard.engine_label,
        threshold=guard.spec.threshold,
        unsure_threshold=guard.spec.unsure_threshold,
        complete=complete,
        files=files,
    )


def output_line(status: PushStatus) -> dict[str, Any]:
    """The line of an output that came up, broke or ended."""
    return {"kind": OUTPUT_STATE, "at": datetime.now(UTC).isoformat(timespec="milliseconds"), **asdict(status)}


def event_line(event: Event) -> dict[str, Any]:
    """An event as one JSON line of `streamguard watch --jsonl`; nothing that is None or empty is written."""
    line = {key: value for key, value in asdict(event).items() if value not in (None, "", ())}
    return {**line, "kind": event.kind.value, "at": event.at.isoformat()}


def state_line(report: FrameReport) -> dict[str, Any]:
    """The stream's state as one JSON line (`kind` is `stream.state`)."""
    frame, state = report.frame, report.state
    reasons = {face.face.track: face.reason.value for face in report.faces if face.reason}
    tracks = [
        {
            "track": number,
            "state": track.state.value,
            "share": track.share,
            "suspect_share": track.suspect_share,
            "score": track.score,
            "judged": track.judged,
            **({"reason": reasons[number]} if number in reasons else {}),
        }
        for number, track in state.tracks.items()
    ]
    return {
        "kind": STREAM_STATE,
        "stream": frame.stream,
        "epoch": frame.epoch,
        "time": round(frame.time, 3),
        "state": state.state.value,
        "frames": asdict(report.counts),
        "tracks": tracks,
    }
