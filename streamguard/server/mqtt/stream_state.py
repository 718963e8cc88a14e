"""State of a stream in the few values that a home understands."""

from __future__ import annotations

import json

from streamguard.server.mqtt.topics import OFF, ON, UNKNOWN
from streamguard.streams.live_stream import LiveStream
from streamguard.types import Closing, Event, EventKind, Verdict

_NO_FAKE = frozenset({Verdict.REAL, Verdict.UNSURE})


class HomeState:
    """Follows one stream.

    ON while a face is held for fake. OFF once it was judged and cleared, or while faces are judged of which none is.
    Unknown otherwise: before any face was judged, and after one that was held for fake was lost from sight.

    Attributes:
        opened: id of the newest opening, for its picture.
    """

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._said, self._cause = UNKNOWN, ""
        self.opened = ""

    def take(self, event: Event) -> None:
        """Take in an event of the stream."""
        face = event.incident or f"{event.epoch}/{event.track}"
        if event.kind is EventKind.FAKE_OPENED:
            self._held.add(face)
            self._cause, self.opened = "", event.id
        elif event.kind is EventKind.FAKE_CLOSED:
            self._held.discard(face)
            self._cause = (event.cause or Closing.LOST).value
            self._said = OFF if event.cause is Closing.CLEARED else UNKNOWN
        if self._held:
            self._said = ON

    def document(self, stream: LiveStream) -> str:
        """JSON: `fake` (ON, OFF or None), `score` and `faces` of the newest frame, `judged`, `state`, `cause`."""
        newest = stream.newest if stream.state == "up" else None
        faces = newest.faces if newest is not None else ()
        if not self._held and any(face.state in _NO_FAKE for face in faces):
            self._said = OFF
        scores = [face.score for face in faces if face.score is not None]
        return json.dumps(
            {
                "fake": self._said,
                "score": round(max(scores), 2) if scores else None,
                "faces": len(faces) if newest is not None else None,
                "judged": OFF if stream.paused else ON,
                "state": stream.state,
                "cause": self._cause,
                "incidents": sorted(self._held),
            }
        )
