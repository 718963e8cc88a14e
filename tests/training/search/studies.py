"""Small searches, and trials that only pretend."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest

from streamguard.training.config import TrainConfig
from streamguard.training.search import Budget, Plan, Searched, Space, Standing, search
from streamguard.training.search.trial import Result, Task


def plan_of(config: TrainConfig, packs: Path, out: Path, trials: int = 3, steps: int = 2) -> Plan:
    space = Space(config, ("unet_v1",), ("data", "pairs", "picture_loss"))
    return Plan(space, packs, out, trials, Budget(steps=steps), sampler="random", triples=2)


def quietly(study: optuna.Study, standing: Standing) -> None:
    pass


def pretended(task: Task, *_: object) -> Result:
    """What a trial gives, without training: more for a heavier picture loss."""
    value = 0.5 + task.config.train.picture_loss / 10
    return Result(value, value, None, 2, 2, 0.1)


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


def fast(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> Searched:
    monkeypatch.setattr("streamguard.training.search.workers.attempt", pretended)
    return search(plan, quietly)


def task_of(config: TrainConfig, packs: Path, scratch: Path, budget: Budget, objective: str = "calibration") -> Task:
    return Task(config, 1.0, budget, packs, objective, triples=2, scratch=scratch)
