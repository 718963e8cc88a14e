"""Server-sent events of one stream (WHATWG HTML, 9.2)."""

from __future__ import annotations

import json
import time

from aiohttp import web

from streamguard.server.documents import dump
from streamguard.server.event_log import EventLog
from streamguard.server.live_stream import LiveStream
from streamguard.server.messages import event_document
from streamguard.server.readers import Reader
from streamguard.types import Event

_VERDICT_PAUSE = 0.1
_STATE_PAUSE = 1.0
EVENT_STREAM = "text/event-stream"


async def send_events(request: web.Request, stream: LiveStream, events: EventLog) -> web.StreamResponse:
    """Verdicts (ten a second at the most), alerts, and the stream's state each second, until one side ends it.

    `Last-Event-ID` brings the alerts that came after that one first, as far as they are kept.
    """
    response = web.StreamResponse(
        headers={"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    await response.prepare(request)
    with stream.readers.joined() as reader:
        missed = request.headers.get("Last-Event-ID")
        try:
            if missed:
                for event in events.after(missed, stream.name):
                    await response.write(_alert(event, events))
            await _follow(response, stream, events, reader)
        except ConnectionResetError:
            pass
    return response


async def _follow(response: web.StreamResponse, stream: LiveStream, events: EventLog, reader: Reader) -> None:
    verdict_due = state_due = time.monotonic()
    if stream.over:
        reader.end()
    while True:
        now = time.monotonic()
        if now >= state_due:
            await response.write(_message("state", json.dumps(dump(stream.document()))))
            state_due = now + _STATE_PAUSE
        if reader.erased:
            reader.erased = False
            await response.write(_message("erased", "{}"))
        while reader.alerts:
            await response.write(_alert(reader.alerts.popleft(), events))
        if reader.verdict is not None and now >= verdict_due:
            message, reader.verdict = reader.verdict, None
            await response.write(_message("verdict", message))
            verdict_due = now + _VERDICT_PAUSE
        if reader.ended:
            await response.write(_message("state", json.dumps(dump(stream.document()))))
            return
        due = min(state_due, verdict_due) if reader.verdict is not None else state_due
        await reader.wait(due - time.monotonic())


def _alert(event: Event, events: EventLog) -> bytes:
    document = event_document(event, has_picture=events.has_picture(event.id))
    return _message("alert", json.dumps(dump(document)), event.id)


def _message(kind: str, data: str, key: str | None = None) -> bytes:
    # JSON has no raw line ends, so one `data` line holds it.
    head = f"id: {key}\n" if key else ""
    return f"{head}event: {kind}\ndata: {data}\n\n".encode()
