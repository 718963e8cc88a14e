"""From the pipeline's values to documents."""

from __future__ import annotations

from streamguard.pipeline.stream import FrameReport
from streamguard.server.documents import EventDocument, FaceMessage, TrackDocument, VerdictMessage
from streamguard.types import Event

_DIGITS = 4


def verdict_message(stream: str, report: FrameReport, latency: float) -> VerdictMessage:
    """What is said of a frame.

    Args:
        stream: the stream's name.
        report: the frame and what is said of it.
        latency: seconds from its arrival to its verdict.
    """
    frame, tracks = report.frame, report.state.tracks
    width, height = frame.image.width, frame.image.height
    faces = []
    for verdict in report.faces:
        x0, y0, x1, y1 = verdict.face.box
        track = tracks[verdict.face.track]
        faces.append(
            FaceMessage(
                track=verdict.face.track,
                box=(_within(x0 / width), _within(y0 / height), _within(x1 / width), _within(y1 / height)),
                verdict=verdict.state,
                reason=verdict.reason.value if verdict.reason else None,
                score=_short(verdict.score),
                state=track.state,
                share=_short(track.share),
                suspect_share=_short(track.suspect_share),
            )
        )
    shares = [track.share for track in tracks.values() if track.share is not None]
    suspect = [track.suspect_share for track in tracks.values() if track.suspect_share is not None]
    return VerdictMessage(
        stream=stream,
        epoch=frame.epoch,
        frame=frame.index,
        time=round(frame.time, 3),
        latency_ms=round(latency * 1e3, 1),
        state=report.state.state,
        share=_short(max(shares, default=None)),
        suspect_share=_short(max(suspect, default=None)),
        faces=faces,
    )


def track_documents(report: FrameReport | None) -> list[TrackDocument]:
    """The faces in sight after a frame, by number."""
    if report is None:
        return []
    reasons = {verdict.face.track: verdict.reason.value for verdict in report.faces if verdict.reason}
    return [
        TrackDocument(
            track=number,
            state=track.state,
            reason=reasons.get(number),
            score=_short(track.score),
            share=_short(track.share),
            suspect_share=_short(track.suspect_share),
        )
        for number, track in sorted(report.state.tracks.items())
    ]


def event_document(event: Event, *, has_picture: bool) -> EventDocument:
    """The event, with the address of its picture if there is one."""
    return EventDocument(
        id=event.id,
        kind=event.kind,
        stream=event.stream,
        epoch=event.epoch,
        track=event.track,
        at=event.at,
        time=event.time,
        score=event.score,
        share=event.share,
        model=event.model,
        engine=event.engine,
        detail=event.detail,
        snapshot=f"/api/v1/events/{event.id}/snapshot" if has_picture else None,
    )


def _within(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), _DIGITS)


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
