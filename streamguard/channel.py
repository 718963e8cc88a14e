"""Hand-over of values from one producer thread to one asyncio consumer.

`Latest` keeps the newest value only and never blocks the producer; `Bounded` loses nothing and makes the
producer wait. Both tell the producer when the consumer has gone, and the consumer why the producer stopped.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import Generic, Self, TypeVar

T = TypeVar("T")


class ChannelClosed(Exception):
    """The other side has closed the channel without giving an error."""


class _Channel(Generic[T]):
    """What both channels share: the lock, the closing and the consumer's side."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._items: deque[T] = deque()
        self._closed = False
        self._error: BaseException | None = None
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None

    @property
    def closed(self) -> bool:
        """True once either side has closed; values put before may still be waiting."""
        return self._closed

    def close(self, error: BaseException | None = None, *, discard: bool = False) -> None:
        """Close from either side, from any thread. The first call's error counts; later ones are ignored.

        Args:
            error: what `get` raises once the waiting values are read; None ends the iteration normally.
            discard: drop the values that wait (the consumer's way: it will read no more).
        """
        with self._changed:
            if not self._closed:
                self._closed, self._error = True, error
            if discard:
                self._items.clear()
            self._changed.notify_all()
            self._wake()

    async def get(self) -> T:
        """The next value. One consumer at a time; cancelling it loses no value.

        Raises:
            ChannelClosed: closed without an error and nothing is left to read.
            BaseException: the error given to `close`, once nothing is left to read.
        """
        while True:
            with self._changed:
                if self._items:
                    item = self._items.popleft()
                    self._changed.notify()
                    return item
                if self._closed:
                    raise self._error or ChannelClosed
                if self._waiter is not None:
                    raise RuntimeError("a channel has one consumer at a time")
                loop = asyncio.get_running_loop()
                waiter = (loop, loop.create_future())
                self._waiter = waiter
            try:
                await waiter[1]
            finally:
                with self._changed:
                    if self._waiter is waiter:
                        self._waiter = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            return await self.get()
        except ChannelClosed:
            raise StopAsyncIteration from None

    def _wake(self) -> None:
        if self._waiter is None:
            return
        (loop, future), self._waiter = self._waiter, None
        # A loop that was closed under its consumer has nobody left to wake.
        if not loop.is_closed():
            try:
                loop.call_soon_threadsafe(_resolve, future)
            except RuntimeError:
                if not loop.is_closed():
                    raise


class Latest(_Channel[T]):
    """One slot: a new value replaces the one that was not read yet."""

    def __init__(self) -> None:
        super().__init__()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Values replaced before anybody read them."""
        return self._dropped

    def put(self, item: T) -> None:
        """Offer a value; never blocks.

        Raises:
            ChannelClosed: the channel is closed; the value was not taken.
        """
        with self._changed:
            if self._closed:
                raise ChannelClosed
            if self._items:
                self._items.clear()
                self._dropped += 1
            self._items.append(item)
            self._wake()


class Bounded(_Channel[T]):
    """A queue of `capacity` values that makes its producer wait when it is full."""

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, not {capacity}")
        super().__init__()
        self._capacity = capacity

    def put(self, item: T) -> None:
        """Add a value; blocks the calling thread while the queue is full. Never call it on the event loop.

        Raises:
            ChannelClosed: the channel is, or was while waiting, closed; the value was not taken.
        """
        with self._changed:
            while len(self._items) >= self._capacity and not self._closed:
                self._changed.wait()
            if self._closed:
                raise ChannelClosed
            self._items.append(item)
            self._wake()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
