"""One queue per stream, taken from in turn."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """First in, first out within a stream; one item per stream and turn between streams."""

    def __init__(self) -> None:
        # Only streams with something in them, the next one to be served first.
        self._queues: dict[str, deque[T]] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, stream: str, item: T) -> None:
        """Append to the stream's queue; a stream new here is served after those that wait already."""
        self._queues.setdefault(stream, deque()).append(item)
        self._size += 1

    def take(self, count: int) -> list[T]:
        """Remove up to `count` items, one per stream and turn; the next call goes on with the next stream."""
        taken: list[T] = []
        while self._queues and len(taken) < count:
            stream = next(iter(self._queues))
            queue = self._queues.pop(stream)
            taken.append(queue.popleft())
            if queue:
                self._queues[stream] = queue
        self._size -= len(taken)
        return taken

    def remove(self, stream: str, item: T) -> bool:
        """Take out one item; False when it is not here (any more)."""
        queue = self._queues.get(stream)
        if queue is None or item not in queue:
            return False
        queue.remove(item)
        self._size -= 1
        if not queue:
            del self._queues[stream]
        return True

    def heads(self) -> Iterator[T]:
        """The oldest item of each stream."""
        return (queue[0] for queue in self._queues.values())
