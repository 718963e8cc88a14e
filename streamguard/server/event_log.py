"""The newest events and alert pictures, in memory and bounded."""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from datetime import datetime

from streamguard.types import Event, EventKind


class EventLog:
    """Keeps the newest events of all streams; the oldest go first.

    Args:
        capacity: events kept.
        snapshots: pictures kept.
    """

    def __init__(self, capacity: int = 10_000, snapshots: int = 200) -> None:
        self._events: deque[Event] = deque(maxlen=capacity)
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        self._most_pictures = snapshots
        self.counts: Counter[EventKind] = Counter()
        """Events since the start, by kind."""
        self.listeners: list[Callable[[Event], None]] = []
        """Called with every event; must be quick."""

    def add(self, event: Event) -> None:
        """Keep an event."""
        self._events.append(event)
        for listener in self.listeners:
            listener(event)
        self.counts[event.kind] += 1

    def keep_picture(self, event: str, jpeg: bytes) -> None:
        """Keep the picture of the event with that id."""
        self._pictures[event] = jpeg
        while len(self._pictures) > self._most_pictures:
            self._pictures.popitem(last=False)

    def picture(self, event: str) -> bytes | None:
        """The event's JPEG, if it is still kept."""
        return self._pictures.get(event)

    def has_picture(self, event: str) -> bool:
        """Whether the event's picture is still kept."""
        return event in self._pictures

    def forget_pictures(self, stream: str) -> None:
        """Erase the pictures of a stream's events."""
        for event in self._events:
            if event.stream == stream:
                self._pictures.pop(event.id, None)

    def find(
        self,
        *,
        limit: int,
        stream: str | None = None,
        kind: EventKind | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        cursor: str | None = None,
    ) -> tuple[list[Event], str | None]:
        """Events, newest first, and the cursor of the page after them.

        Args:
            limit: most events returned, at least 1.
            stream, kind: only these.
            since, until: UTC; `since` is in, `until` is not.
            cursor: as returned for the page before; one that is no longer kept gives nothing.
        """
        found: list[Event] = []
        for event in self._before(cursor):
            wanted = (
                (stream is None or event.stream == stream)
                and (kind is None or event.kind is kind)
                and (since is None or event.at >= since)
                and (until is None or event.at < until)
            )
            if not wanted:
                continue
            if len(found) == limit:
                return found, found[-1].id
            found.append(event)
        return found, None

    def after(self, event: str, stream: str) -> list[Event]:
        """The stream's events after the one with that id, oldest first; all that are kept if it is not known."""
        newer: list[Event] = []
        for each in reversed(self._events):
            if each.id == event:
                break
            if each.stream == stream:
                newer.append(each)
        return newer[::-1]

    def _before(self, cursor: str | None) -> Iterator[Event]:
        events = reversed(self._events)
        if cursor is not None:
            for event in events:
                if event.id == cursor:
                    break
        return events
