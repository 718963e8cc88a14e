"""Events as they come: handed to who listens now, counted; and the newest alert pictures, bounded."""

from __future__ import annotations

from collections import Counter, OrderedDict

from streamguard.channel import Fanout
from streamguard.types import Event, EventKind


class LiveEvents:
    """Passes on the events of all streams; what happened before is in the database.

    Args:
        pictures: pictures kept.

    Attributes:
        counts: events since the start, by kind.
        added: every event, as it comes.
    """

    def __init__(self, pictures: int = 200) -> None:
        self._pictures: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._most_pictures = pictures
        self.counts: Counter[EventKind] = Counter()
        self.added: Fanout[Event] = Fanout()

    def add(self, event: Event) -> None:
        """Pass an event on."""
        self.counts[event.kind] += 1
        self.added.publish(event)

    def keep_picture(self, event: Event, jpeg: bytes) -> None:
        """Keep the picture of the event; the oldest goes where there are too many."""
        self._pictures[event.id] = (event.stream, jpeg)
        while len(self._pictures) > self._most_pictures:
            self._pictures.popitem(last=False)

    def picture(self, event: str) -> bytes | None:
        """The JPEG of the event with that id, if it is still kept."""
        return self._pictures.get(event, (None, None))[1]

    def forget_pictures(self, stream: str) -> None:
        """Erase the pictures of a stream's events."""
        for event in [id for id, (of, _) in self._pictures.items() if of == stream]:
            del self._pictures[event]
