"""How much of a stream is judged, and how soon."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Self

from streamguard.inference import Batcher
from streamguard.media import SourceItem, Up
from streamguard.types import Crop, Frame, Mask

_TOLERANCE = 1e-4
"""Seconds; media times are rounded to their time base."""


class Thinned:
    """The items of a source with no more than so many frames per second of media; the others are let go.

    Args:
        items: frames and connection changes.
        most: frames per second, above 0.
    """

    def __init__(self, items: AsyncIterator[SourceItem], most: float) -> None:
        self._items, self._step = items, 1.0 / most
        self._due = self._last = float("-inf")

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SourceItem:
        while True:
            item = await anext(self._items)
            if not isinstance(item, Frame):
                if isinstance(item, Up):
                    self._due = self._last = float("-inf")
                return item
            if item.time < self._last:
                self._due = item.time
            self._last = item.time
            if item.time >= self._due - _TOLERANCE:
                # A frame that is a little late is made up for; a gap begins the count anew.
                punctual = item.time - self._due < self._step
                self._due = (self._due if punctual else item.time) + self._step
                return item


class Favoured:
    """The shared batcher for a stream of higher priority.

    Args:
        batcher: judges.
        priority: crops of the stream that are taken at its turn while others wait, at least 1.
    """

    def __init__(self, batcher: Batcher, priority: int) -> None:
        self._batcher, self._priority = batcher, priority

    async def submit(self, stream: str, crops: Sequence[Crop]) -> list[Mask]:
        """As `Batcher.submit`."""
        return await self._batcher.submit(stream, crops, self._priority)
