"""One trial: a short training and what it is worth on held-out faces."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from streamguard.errors import DataError
from streamguard.models.networks import fresh
from streamguard.training.held_out import HeldOutCrops
from streamguard.training.pack import open_packs
from streamguard.training.recipe import Recipe
from streamguard.training.trainer import Reached, Trainer


@dataclass(frozen=True, slots=True)
class Task:
    """Task of a process that does a trial.

    Attributes:
        recipe: with the choices made, of the trial's length; every validation before the last may end it.
        packs: folder of the packs.
        sets: held-out sets that are measured; empty: all.
        most: held-out examples of each set and program at the most.
        scratch: where the training's checkpoint lies meanwhile.
        device: `cpu` or `cuda`.
    """

    recipe: Recipe
    packs: Path
    sets: tuple[str, ...]
    most: int
    scratch: Path
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Result:
    """Result of a trial.

    Attributes:
        value: mean frame AUC over the held-out sets, 0..1.
        sets: frame AUC of each.
        seconds: of the trial, measuring included.
    """

    value: float
    sets: dict[str, float]
    seconds: float


class Pruned(Exception):
    """The trial is not worth its end."""


class Stopped(Exception):
    """The search is being stopped."""


def attempt(
    task: Task, look: Callable[[int, float], bool] | None = None, stopped: Callable[[], bool] = lambda: False
) -> Result:
    """Train and measure.

    Args:
        task: what.
        look: told of each validation before the last (from 1) and the objective there; true ends the trial.
        stopped: asked after each step; true ends the trial.

    Raises:
        Pruned, Stopped: as `look` or `stopped` said.
        DataError: a pack is missing or damaged, or the loss is no number any more.
        ConfigError: the start cannot be had.
    """
    recipe = task.recipe
    held = _held_out(task.packs, task.sets, task.most, fresh(recipe.network).spec.margin)
    packs = open_packs(task.packs / "train", recipe.sets)
    looked = 0

    def advance(reached: Reached) -> None:
        nonlocal looked
        if stopped():
            raise Stopped
        if look is not None and looked < len(reached.curve) and reached.step < recipe.steps:
            looked = len(reached.curve)
            if look(looked, _worth(reached.curve[-1]["sets"])[0]):
                raise Pruned

    with tempfile.TemporaryDirectory(prefix="trial-", dir=task.scratch) as folder:
        trainer = Trainer(recipe, packs, held, Path(folder) / "checkpoint.pt", task.device)
        trainer.run(advance)
    return Result(*_worth(trainer.reached.curve[-1]["sets"]), trainer.reached.seconds)


@lru_cache(maxsize=1)
def _held_out(packs: Path, sets: tuple[str, ...], most: int, margin: float) -> HeldOutCrops:
    """The crops, cut once for all trials of a process."""
    return HeldOutCrops(open_packs(packs / "validation"), margin, most, sets)


def _worth(figures: Mapping[str, Mapping[str, Any]]) -> tuple[float, dict[str, float]]:
    """The objective, and frame AUC by set; parts of sets do not count again."""
    by_set = {name: float(each["auc"]) for name, each in figures.items() if "/" not in name and each["auc"] is not None}
    if not by_set:
        raise DataError("held-out sets", "they hold no real or no fake face", "name sets with both")
    return float(np.mean(list(by_set.values()))), by_set
