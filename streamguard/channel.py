"""Hand-over of values from one producer thread to one asyncio consumer, and from one task to many.

`Latest` keeps the newest value only and never blocks the producer; `Bounded` loses nothing and makes the
producer wait. Both tell the producer when the consumer has gone, and the consumer why the producer stopped.
`Fanout` hands each value to all that have subscribed.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Literal, Self, TypeVar

T = TypeVar("T")


class ChannelClosed(Exception):
    """The other side has closed the channel without giving an error."""


class _Channel(Generic[T]):
    """Lock, closing and consumer's side, which both channels share."""

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
    """The newest values that were not read yet, one unless told otherwise: a new one replaces the oldest."""

    def __init__(self, capacity: int = 1) -> None:
        super().__init__()
        self._capacity = capacity
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
            if len(self._items) >= self._capacity:
                self._items.popleft()
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


class Fanout(Generic[T]):
    """Hands each value to whoever listens, on one event loop: a slow one loses its own values only.

    Attributes:
        refused: values that a listener did not take.
    """

    def __init__(self) -> None:
        self._takers: dict[object, Callable[[T], object]] = {}
        self._channels: dict[Latest[T], Callable[[], None]] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._takers)

    def publish(self, value: T) -> None:
        """Hand a value to everybody; never waits."""
        for take in tuple(self._takers.values()):
            self.refused += take(value) is False

    def listen(self, take: Callable[[T], object]) -> Callable[[], None]:
        """Call `take` with each value, until what is returned is called.

        Args:
            take: must be quick; False says that the value was lost.
        """
        key = object()
        self._takers[key] = take

        def forget() -> None:
            self._takers.pop(key, None)

        return forget

    @contextmanager
    def subscribe(self, policy: Literal["newest", "all"] = "newest", bound: int = 100) -> Iterator[Latest[T]]:
        """A channel of the values for as long as the context lasts, or until `close`.

        Args:
            policy: `newest`: a new value replaces the one before; `all`: up to `bound` wait, then the oldest is lost.
            bound: values that wait at the most.
        """
        channel: Latest[T] = Latest(1 if policy == "newest" else bound)
        self._channels[channel] = forget = self.listen(channel.put)
        try:
            yield channel
        finally:
            forget()
            self._channels.pop(channel, None)

    def close(self) -> None:
        """End every subscription made until now; listeners stay."""
        for channel, forget in self._channels.items():
            forget()
            channel.close()
        self._channels.clear()


async def cancel_and_wait(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks and wait until they have ended; None is passed over.

    Raises:
        asyncio.CancelledError: the caller was cancelled meanwhile.
        Exception: that of the first task which had failed.
    """
    there = [task for task in tasks if task is not None]
    for task in there:
        task.cancel()
    for ended in await asyncio.gather(*there, return_exceptions=True):
        if isinstance(ended, Exception):
            raise ended


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
