"""Server-sent events of one stream (WHATWG HTML, 9.2)."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias

from aiohttp import web

from streamguard.channel import ChannelClosed, Latest, cancel_and_wait
from streamguard.pipeline.stream import FrameReport
from streamguard.server.documents import EventDocument, dump
from streamguard.server.messages import stream_document, verdict_json
from streamguard.streams.live_stream import LiveStream
from streamguard.streams.stream_events import Erased
from streamguard.types import Event

_VERDICT_PAUSE = 0.1
_STATE_PAUSE = 1.0
EVENT_STREAM = "text/event-stream"
Tell: TypeAlias = Callable[[Event], EventDocument]


async def send_events(
    request: web.Request, stream: LiveStream, missed: Callable[[str], Awaitable[list[EventDocument]]], told: Tell
) -> web.StreamResponse:
    """Verdicts (ten a second at the most), alerts, and the stream's state each second, until one side ends it.

    Args:
        request: `Last-Event-ID` brings the alerts that came after that one first, as far as they are kept.
        stream: which.
        missed: the stream's events after the one with that id.
        told: an event's document.

    Raises:
        Problem: as `missed`.
    """
    response = web.StreamResponse(
        headers={"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    with stream.reports.subscribe() as reports, stream.notices.subscribe("all") as notices:
        last = request.headers.get("Last-Event-ID")
        # Events from now on wait; those in both are sent once.
        earlier = await missed(last) if last else []
        await response.prepare(request)
        try:
            for document in earlier:
                await response.write(_alert(document))
            if stream.over:
                notices.close()
            known = {document.id for document in earlier}
            await _follow(response, stream, reports, notices, lambda event: None if event.id in known else told(event))
        except ConnectionResetError:
            pass
    return response


async def _follow(
    response: web.StreamResponse,
    stream: LiveStream,
    reports: Latest[FrameReport],
    notices: Latest[Event | Erased],
    document_of: Callable[[Event], EventDocument | None],
) -> None:
    state_due = verdict_due = time.monotonic()
    notice = asyncio.create_task(notices.get(), name=f"notices of {stream.name}")
    report: asyncio.Task[FrameReport] | None = None
    try:
        while True:
            now = time.monotonic()
            if now >= state_due:
                await response.write(_state(stream))
                state_due = now + _STATE_PAUSE
            if notice.done():
                if isinstance(notice.exception(), ChannelClosed):
                    await response.write(_state(stream))
                    return
                told = notice.result()
                notice = asyncio.create_task(notices.get(), name=f"notices of {stream.name}")
                if isinstance(told, Erased):
                    await response.write(_message("erased", "{}"))
                elif (document := document_of(told)) is not None:
                    await response.write(_alert(document))
                continue
            if report is not None and report.done() and report.exception() is None:
                await response.write(_message("verdict", verdict_json(stream.name, report.result())))
                report, verdict_due = None, now + _VERDICT_PAUSE
            if report is None and now >= verdict_due:
                report = asyncio.create_task(reports.get(), name=f"verdicts of {stream.name}")
            waited = {notice} if report is None or report.done() else {notice, report}
            due = state_due if report is not None else min(state_due, verdict_due)
            await asyncio.wait(waited, timeout=max(0.0, due - time.monotonic()), return_when=asyncio.FIRST_COMPLETED)
    finally:
        with suppress(ChannelClosed):
            await cancel_and_wait(notice, report)


def _state(stream: LiveStream) -> bytes:
    return _message("state", json.dumps(dump(stream_document(stream.status()))))


def _alert(document: EventDocument) -> bytes:
    return _message("alert", json.dumps(dump(document)), document.id)


def _message(kind: str, data: str, key: str | None = None) -> bytes:
    # JSON has no raw line ends, so one `data` line holds it.
    head = f"id: {key}\n" if key else ""
    return f"{head}event: {kind}\ndata: {data}\n\n".encode()
