"""Packs seen in another order, or in part: rows are looked up, nothing is copied."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from streamguard.training.pack import Entry, Pack


class Rows:
    """Chosen rows of an array, read when they are asked for.

    Args:
        array: [N, ...].
        chosen: M row numbers, each below N.
    """

    def __init__(self, array: NDArray[Any], chosen: Sequence[int]) -> None:
        self._array, self._chosen = array, np.asarray(chosen, dtype=np.intp)

    @property
    def shape(self) -> tuple[int, ...]:
        """[M, ...]."""
        return (len(self._chosen), *self._array.shape[1:])

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Row `index` of the chosen ones."""
        row: NDArray[Any] = self._array[self._chosen[index]]
        return row


def part(pack: Pack, chosen: Sequence[int]) -> Pack:
    """The pack's rows `chosen`, in that order; its arrays then answer to one index at a time."""
    seen = copy.copy(pack)
    seen.entries = tuple(pack.entries[row] for row in chosen)
    # All that is ever asked of a pack's arrays is one row and the shape.
    for name in ("real", "fake", "mask", "landmarks"):
        setattr(seen, name, cast("NDArray[Any]", Rows(getattr(pack, name), chosen)))
    return seen


def without(pack: Pack, persons: Collection[str]) -> Pack:
    """The pack without the triples of these persons."""
    return part(pack, [row for row, entry in enumerate(pack.entries) if entry.person not in persons])


def later(entries: Sequence[Entry], offset: int) -> list[int]:
    """For each row the one that comes `offset` rows later in the same clip; the clip's last one beyond its end."""
    ends = [0] * len(entries)
    end = len(entries) - 1
    for row in range(len(entries) - 1, -1, -1):
        if entries[row].clip != entries[end].clip:
            end = row
        ends[row] = end
    return [min(row + offset, end) for row, end in enumerate(ends)]
