"""Which examples a network still gets wrong: the last known loss of each, and a draw by it.

A batch is drawn while the one before is learned from. So that the draw hangs on the step alone and never on which of
the two was faster, what is learned at a step counts from two steps later on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from streamguard.types import Float64Array

CAPACITY = 16_384
"""Examples remembered of each pool; of more, those not seen for longest are forgotten."""
LAG = 2
"""Steps after which a loss counts."""


@dataclass(frozen=True, slots=True)
class Example:
    """What a loss is remembered by.

    Attributes:
        pool: where it was drawn from and what was done to it: a pack's own fakes, or those made anew of its crops.
        index: number of the triple in its pack.
    """

    pool: str
    index: int


@dataclass(frozen=True, slots=True)
class Known:
    """The losses known at a step.

    Attributes:
        pools: for each pool the examples, int64 [N], and the rising sum of their losses, float64 [N].
    """

    pools: Mapping[str, tuple[np.ndarray, Float64Array]] = field(default_factory=dict)

    def draw(self, pool: str, random: np.random.Generator) -> int | None:
        """Number of an example of the pool, each as likely as its loss is large; None where no loss is known yet."""
        examples, sums = self.pools.get(pool, (np.empty(0), np.empty(0)))
        if not len(sums) or sums[-1] <= 0:
            return None
        place = np.searchsorted(sums, random.random() * sums[-1], side="right")
        return int(examples[min(int(place), len(examples) - 1)])


class LossMemory:
    """The last known loss of each example.

    Args:
        capacity: examples remembered of each pool, > 0.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._pools: dict[str, dict[int, float]] = {}
        self._fresh: list[tuple[int, list[tuple[str, int, float]]]] = []

    def record(self, step: int, examples: Sequence[Example], losses: Sequence[float]) -> None:
        """What was learned at a step (from 0): the loss of each example, >= 0; what is not finite is left out."""
        rows = [
            (each.pool, each.index, float(loss))
            for each, loss in zip(examples, losses, strict=True)
            if math.isfinite(loss)
        ]
        self._fresh.append((step, rows))

    def known(self, step: int) -> Known:
        """What counts when the batch of a step is drawn; steps are asked for in rising order."""
        for _, rows in (each for each in self._fresh if each[0] <= step - LAG):
            for pool, index, loss in rows:
                known = self._pools.setdefault(pool, {})
                # The order is that of the last sight.
                known.pop(index, None)
                known[index] = max(0.0, loss)
                if len(known) > self._capacity:
                    del known[next(iter(known))]
        self._fresh = [each for each in self._fresh if each[0] > step - LAG]
        return Known({pool: _summed(losses) for pool, losses in self._pools.items()})

    def state(self) -> dict[str, Any]:
        """All of it, as tensors and plain values, for a checkpoint."""
        pools = {
            pool: (torch.tensor(list(losses)), torch.tensor(list(losses.values()), dtype=torch.float64))
            for pool, losses in self._pools.items()
        }
        return {"pools": pools, "fresh": list(self._fresh)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Back to what `state` gave."""
        self._pools = {
            pool: dict(zip(examples.tolist(), losses.tolist(), strict=True))
            for pool, (examples, losses) in state["pools"].items()
        }
        self._fresh = [(step, [tuple(row) for row in rows]) for step, rows in state["fresh"]]


def pair_losses(logits: torch.Tensor, truth: torch.Tensor) -> list[float]:
    """Loss of each pair of a batch: binary cross-entropy, the mean over both pictures' pixels.

    Args:
        logits: float32 [2N, H, W], real and fake of a pair behind each other.
        truth: float32 [2N, H, W], 0 or 1.
    """
    loss = functional.binary_cross_entropy_with_logits(logits.detach(), truth, reduction="none")
    values: list[float] = loss.reshape(len(loss) // 2, -1).mean(dim=1).tolist()
    return values


def _summed(losses: Mapping[int, float]) -> tuple[np.ndarray, Float64Array]:
    count = len(losses)
    return np.fromiter(losses, np.int64, count), np.cumsum(np.fromiter(losses.values(), np.float64, count))
