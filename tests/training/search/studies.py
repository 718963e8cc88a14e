"""Small searches, and trials that only pretend."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest

from streamguard.training.recipe import Recipe
from streamguard.training.search import Searched, SearchPlan, Space, Standing, search
from streamguard.training.search.space import lengthened
from streamguard.training.search.trial import Result, Task


def plan_of(recipe: Recipe, packs: Path, out: Path, trials: int = 3, steps: int = 2) -> SearchPlan:
    space = Space(recipe, ("shares", "pairs", "picture_loss"))
    return SearchPlan(space, packs, out, trials, steps, most=2, sampler="random")


def quietly(study: optuna.Study, standing: Standing) -> None:
    pass


def pretended(task: Task, *_: object) -> Result:
    """What a trial gives, without training: more for a heavier picture loss."""
    value = 0.3 + task.recipe.picture_loss / 10
    return Result(value, {"swaps": value}, 0.1)


@dataclass(frozen=True)
class KilledOnce:
    """In place of a pruner's look, so in the midst of a trial: ends the process of whoever looks first."""

    marker: Path

    def __call__(self, number: int, worth: float) -> bool:
        try:
            self.marker.touch(exist_ok=False)
        except FileExistsError:
            return False
        os.kill(os.getpid(), signal.SIGKILL)
        return True


def fast(plan: SearchPlan, monkeypatch: pytest.MonkeyPatch) -> Searched:
    monkeypatch.setattr("streamguard.training.search.workers.attempt", pretended)
    return search(plan, quietly)


def task_of(recipe: Recipe, packs: Path, scratch: Path, steps: int, looks: int = 1, sets: tuple[str, ...] = ()) -> Task:
    return Task(lengthened(recipe, steps, looks), packs, sets, most=2, scratch=scratch)
