"""Train one network of a comparison within a budget that is the same for all; resumable."""

from __future__ import annotations

import math
import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from streamguard.errors import DataError
from streamguard.training.checkpoint import write_checkpoint
from streamguard.training.comparison.learner import Learner, normalised
from streamguard.training.comparison.material import Material
from streamguard.types import FloatArray, UInt8Array

SCHEMA = "streamguard.comparison/1"
SAVE_EVERY = 60.0
"""Seconds of training between checkpoints."""
WARMUP = 0.03
"""Share of the budget in which the learning rate rises."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How much each network is given: seconds of training (its batches' making included) or crops seen; one is 0."""

    seconds: float = 0.0
    crops: int = 0


@dataclass(slots=True)
class Reached:
    """How far a network is; travels inside the checkpoint.

    Attributes:
        step, crops, seconds: what was spent.
        losses: (crops seen, loss), about every hundredth of the budget.
    """

    step: int = 0
    crops: int = 0
    seconds: float = 0.0
    losses: list[tuple[int, float]] = field(default_factory=list)

    def share(self, budget: Budget) -> float:
        """Share of the budget that is spent, 0..1."""
        spent = self.seconds / budget.seconds if budget.seconds else self.crops / budget.crops
        return min(1.0, spent)


class ComparisonTrainer:
    """Trains one network.

    Args:
        learner: the network and its recipe.
        material: what it learns from.
        budget: when it ends.
        identity: all that decides the result; a checkpoint of another one is refused.
        checkpoint: the file to resume from and to write.
        device: `cpu` or `cuda`.
        seed: of dropout.

    Raises:
        DataError: the checkpoint is damaged, of another network, or was made with other settings.
    """

    def __init__(
        self,
        learner: Learner,
        material: Material,
        budget: Budget,
        identity: dict[str, Any],
        checkpoint: Path,
        device: str = "cpu",
        seed: int = 0,
    ) -> None:
        self._learner, self._material, self._budget, self._seed = learner, material, budget, seed
        self._identity, self._checkpoint = identity, checkpoint
        self._device = torch.device(device)
        self.network = learner.network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs know 4-d tensors only
        self._optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=learner.learning_rate, weight_decay=learner.weight_decay
        )
        self.reached = Reached()
        self._losses: list[float] = []
        if checkpoint.is_file():
            self._resume()

    def run(self, advance: Callable[[Reached, float], None]) -> None:
        """Train until the budget is spent; `advance` is called after each step with the step's loss."""
        self.network.train()
        saved = self.reached.seconds
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as maker:
            following = maker.submit(self._material.batch, self.reached.step)
            while (share := self.reached.share(self._budget)) < 1:
                started = time.monotonic()
                batch = following.result()
                following = maker.submit(self._material.batch, self.reached.step + 1)
                loss = self._learn(*batch, share)
                self._count(batch[0], loss, time.monotonic() - started)
                if self.reached.seconds - saved >= SAVE_EVERY or self.reached.share(self._budget) == 1:
                    self._save()
                    saved = self.reached.seconds
                advance(self.reached, loss)
            following.cancel()
        self.network.eval()

    def probabilities(self, pixels: UInt8Array) -> list[float]:
        """The fake probability 0..1 of each crop, uint8 [N, P, P, 3], or track, [N, frames, P, P, 3]."""
        self.network.eval()
        with torch.inference_mode(), self._autocast():
            output = self.network(normalised(pixels, self._learner.std, self._device)).float()
            values: list[float] = torch.sigmoid(self._learner.logit(output)).tolist()
        return values

    def _learn(self, pixels: UInt8Array, truth: FloatArray, share: float) -> float:
        for group in self._optimizer.param_groups:
            group["lr"] = self._learner.learning_rate * _schedule(share)
        # Seeded by the step: a resumed run leaves out what an uninterrupted one would have left out.
        devices = [self._device] if self._device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self._seed * 1_000_003 + self.reached.step)
            with self._autocast():
                output = self.network(normalised(pixels, self._learner.std, self._device))
        loss = self._learner.loss(output.float(), torch.from_numpy(truth).to(self._device))
        value = float(loss.detach())
        if not math.isfinite(value):
            raise DataError(
                self._checkpoint.parent.name,
                f"the loss is no finite number after {self.reached.crops} crops",
                "train on larger batches or at a lower learning rate",
            )
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self._optimizer.step()
        return value

    def _count(self, pixels: UInt8Array, loss: float, seconds: float) -> None:
        reached = self.reached
        before = reached.share(self._budget)
        reached.step += 1
        reached.crops += int(np.prod(pixels.shape[:-3]))
        reached.seconds += seconds
        self._losses.append(loss)
        share = reached.share(self._budget)
        if int(share * 100) > int(before * 100):
            reached.losses.append((reached.crops, float(np.mean(self._losses))))
            self._losses.clear()

    def _autocast(self) -> torch.autocast:
        # bfloat16 on both: its range needs no loss scaling.
        return torch.autocast(self._device.type, dtype=torch.bfloat16)

    def _save(self) -> None:
        state = {
            "schema": SCHEMA,
            "identity": self._identity,
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "reached": asdict(self.reached),
            "losses": self._losses,
        }
        write_checkpoint(self._checkpoint, state)

    def _resume(self) -> None:
        try:
            state = torch.load(self._checkpoint, map_location=self._device, weights_only=True)
            if state["schema"] != SCHEMA or state["identity"] != self._identity:
                raise DataError(
                    str(self._checkpoint), "made with other settings", "give another `--out`, or those settings"
                )
            self.network.load_state_dict(state["network"])
            self._optimizer.load_state_dict(state["optimizer"])
            self.reached = Reached(**state["reached"])
            self._losses = list(state["losses"])
        except (
            OSError,
            RuntimeError,
            KeyError,
            TypeError,
            ValueError,
            IndexError,
            EOFError,
            pickle.UnpicklingError,
        ) as error:
            raise DataError(
                str(self._checkpoint), "damaged or of another network", "remove it to start again"
            ) from error


def _schedule(share: float) -> float:
    """Factor of the learning rate: up in a straight line, then down along a cosine to a hundredth."""
    if share < WARMUP:
        return 0.05 + 0.95 * share / WARMUP
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (share - WARMUP) / (1 - WARMUP)))
