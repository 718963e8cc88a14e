"""The JSON lines of `streamguard watch --jsonl`."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from streamguard.types import Event, EventKind

if TYPE_CHECKING:
    from streamguard.media.output import PushStatus
    from streamguard.pipeline.stream import FrameReport

STREAM_STATE = "stream.state"
OUTPUT_STATE = "output.state"
LINE_KINDS = {
    EventKind.STREAM_UP.value: "pictures flow; `detail` is their size; each connection has its `epoch`, from 0",
    STREAM_STATE: "verdict on the stream and each face (REAL: no sign found, UNSURE: signs too weak to call it fake, "
    "FAKE, UNKNOWN: not judged), once a second and at each change; `time` is media seconds; `frames` received, judged "
    "and dropped so far; `suspect_share` of a face's frames are fake or unsure",
    EventKind.FAKE_OPENED.value: "the face `track` is called fake from now on; `share` of the window's frames",
    EventKind.FAKE_UPDATED.value: "it still is; once a minute",
    EventKind.FAKE_CLOSED.value: "it no longer is, or is gone; a `detail` says that the stream broke off or ended, no "
    "all-clear",
    EventKind.STREAM_DEGRADED.value: "the engine fails: faces are seen but not judged; `detail` says why",
    EventKind.STREAM_DOWN.value: "the source is gone; `detail` says why; attempts follow until it is back",
    OUTPUT_STATE: "a --restream `target` comes up, breaks (`detail` says why; attempts follow) or ends; pictures "
    "`sent` and `dropped`, and `failures`, so far",
}
"""Meaning of the lines that `watch --jsonl` writes, by `kind`."""


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
