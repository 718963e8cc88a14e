"""From the pipeline's values to documents."""

from __future__ import annotations

from dataclasses import asdict
from urllib.parse import quote
from weakref import WeakKeyDictionary

from streamguard.media.output import PushStatus, Target
from streamguard.pipeline.stream import FrameReport
from streamguard.server.documents import (
    EventDocument,
    FaceMessage,
    LatencyDocument,
    OutputDocument,
    RatesDocument,
    SamplingDocument,
    StreamDocument,
    TotalsDocument,
    TrackDocument,
    VerdictMessage,
    VoteDocument,
)
from streamguard.streams.status import StreamStatus
from streamguard.types import Event

_DIGITS = 4


_TOLD: WeakKeyDictionary[FrameReport, str] = WeakKeyDictionary()


def verdict_json(stream: str, report: FrameReport) -> str:
    """Verdict of a frame of the stream, as a `VerdictMessage`; made once for all its readers."""
    told = _TOLD.get(report)
    if told is None:
        told = _TOLD[report] = _verdict_message(stream, report).model_dump_json()
    return told


def _verdict_message(stream: str, report: FrameReport) -> VerdictMessage:
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
        latency_ms=round(report.latency * 1e3, 1),
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


def stream_document(status: StreamStatus) -> StreamDocument:
    """Status of a stream."""
    rates, totals, latency, watch = status.rates, status.totals, status.latency, status.watch
    return StreamDocument(
        name=status.name,
        kind=status.kind,
        origin=status.origin,
        source=status.source,
        state=status.state,
        detail=status.detail,
        verdict=status.verdict,
        last_verdict=status.last_verdict,
        width=status.size[0],
        height=status.size[1],
        viewers=status.viewers,
        rates=RatesDocument(**{name: round(rate, 2) for name, rate in asdict(rates).items()}),
        totals=TotalsDocument(**asdict(totals)),
        latency_ms=LatencyDocument(p50=round(latency[0] * 1e3, 1), p95=round(latency[1] * 1e3, 1)) if latency else None,
        bitrate_kbps=status.transport.bitrate_kbps,
        packet_loss=status.transport.packet_loss,
        priority=watch.priority,
        sampling=SamplingDocument(
            judged_per_second=status.sampling.most, detect_every=watch.detect_every, **asdict(status.sampling)
        ),
        outputs=[_output_document(status.name, number, *each) for number, each in enumerate(status.outputs)],
        vote=VoteDocument(
            window=watch.vote.window, open_share=watch.vote.open_share, close_share=watch.vote.close_share
        ),
        interruptions=status.interruptions,
        restarts=status.restarts,
        tracks=track_documents(status.newest),
        since=status.since,
    )


def _output_document(stream: str, number: int, status: PushStatus, target: Target) -> OutputDocument:
    return OutputDocument(
        target=status.target,
        up=status.up,
        detail=status.detail,
        pictures=status.sent,
        packets=status.packets,
        dropped=status.dropped,
        failures=status.failures,
        reconnects=status.reconnects,
        lag_seconds=round(status.lag, 3),
        hls=None if target.playlist is None else f"/hls/{stream}/{number}/{quote(target.playlist.name)}",
    )


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
        cause=event.cause,
        incident=event.incident,
        snapshot=f"/api/v1/events/{event.id}/snapshot" if has_picture else None,
    )


def _within(value: float) -> float:
    return round(min(max(value, 0.0), 1.0), _DIGITS)


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, _DIGITS)
