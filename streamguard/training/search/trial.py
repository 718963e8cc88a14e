"""One trial: a short training and what it is worth on held-out faces."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from streamguard.errors import ConfigError
from streamguard.models import Guard, LoadedModel
from streamguard.training.config import TrainConfig
from streamguard.training.evaluation.metrics import auc
from streamguard.training.loop import Progress, Trainer
from streamguard.training.loss import PICTURE_FRACTION
from streamguard.training.pack import Pack
from streamguard.training.sampler import open_packs
from streamguard.training.search.space import evenly, lengthened

CALIBRATION, VALIDATION = "calibration", "validation"
OBJECTIVES = {
    CALIBRATION: "frame AUC on the self-blends of held-out faces; the pairs kept for reports are not looked at",
    VALIDATION: "mean of that AUC and the one on the validation persons' pairs, which then no longer are a test",
}
PACE_STEPS = 3
"""Steps of each stage whose time tells how many fit into the budget; the first of them does not count."""
MARGIN = 0.9
"""Share of the seconds that steps are planned for: the learning rate should have fallen before the time is over."""
LOOKS = (1 / 3, 2 / 3)
"""Shares of a trial after which a pruner may look at it."""
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Budget:
    """What a trial of full length may use; at least one is given, and the tighter one holds.

    Attributes:
        seconds: of training. Finding the pace and judging come on top, and take about the same for all.
        steps: of training.

    Raises:
        ConfigError: neither is given, or one is not positive.
    """

    seconds: float | None = None
    steps: int | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.seconds, self.steps) if value is not None]
        if not given or min(given) <= 0:
            raise ConfigError("budget of a trial", "nothing to spend", "give --seconds, --steps or both, above 0")


@dataclass(frozen=True, slots=True)
class Task:
    """What a process needs to know to do a trial.

    Attributes:
        config: with the choices made; its stages are stretched to the budget.
        length: share of the budget that is used, 0..1.
        packs: folder of the packs.
        objective: a name of `OBJECTIVES`.
        triples: how many of a pack are judged at most, evenly spread.
        scratch: where the training's checkpoint lies meanwhile.
        device: `cpu` or `cuda`.
    """

    config: TrainConfig
    length: float
    budget: Budget
    packs: Path
    objective: str
    triples: int
    scratch: Path
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it.

    Attributes:
        value: the objective, 0..1.
        blends_auc: frame AUC on the self-blends of held-out faces.
        pairs_auc: the same on the validation persons' pairs; None where they were not looked at.
        steps, planned: taken, and meant to be taken; fewer are taken where the time was over.
        seconds: of training.
    """

    value: float
    blends_auc: float
    pairs_auc: float | None
    steps: int
    planned: int
    seconds: float


class Pruned(Exception):
    """The trial is not worth its end."""


class Stopped(Exception):
    """The search is being stopped."""


class _OutOfTime(Exception):
    """The trial's seconds are used up."""


def attempt(
    task: Task, look: Callable[[int, float], bool] | None = None, stopped: Callable[[], bool] = lambda: False
) -> Result:
    """Train and judge.

    Args:
        task: what.
        look: told which of `LOOKS` (from 1) was reached and the objective there; true ends the trial.
        stopped: asked after each step; true ends the trial.

    Raises:
        Pruned, Stopped: as `look` or `stopped` said.
        DataError: a pack is missing or damaged, or the network's answers are not finite.
    """
    packs = replace(open_packs(task.packs), validation=None)
    judge = _Judge(task)
    with tempfile.TemporaryDirectory(prefix="trial-", dir=task.scratch) as name:
        folder = Path(name)

        def halt(progress: Progress, loss: float) -> None:
            if stopped():
                raise Stopped

        def trainer(config: TrainConfig, file: str) -> Trainer:
            return Trainer(config, packs, folder / file, task.device)

        seconds = None if task.budget.seconds is None else task.budget.seconds * task.length
        allowed = [] if task.budget.steps is None else [max(1, round(task.budget.steps * task.length))]
        if seconds is not None:
            pace = _pace(trainer(evenly(task.config, PACE_STEPS), "pace.pt"), task.config, halt)
            allowed.append(max(1, int(MARGIN * seconds / pace)))
        config = lengthened(task.config, min(allowed))
        made = trainer(config, "checkpoint.pt")
        clock = _Clock(seconds)
        looks = {max(1, round(share * made.total_steps)): number for number, share in enumerate(LOOKS, 1)}

        def advance(progress: Progress, loss: float) -> None:
            halt(progress, loss)
            clock.check()
            if look is not None and progress.step in looks and progress.step < made.total_steps:
                with clock.paused():
                    worth = judge(made.averaged()).value
                if look(looks[progress.step], worth):
                    raise Pruned

        with contextlib.suppress(_OutOfTime):
            made.run(advance)
        spent = clock.seconds
        result = judge(made.averaged())
        return replace(result, steps=made.progress.step, planned=made.total_steps, seconds=spent)


def frame_auc(model: LoadedModel, pack: Pack, triples: int) -> float:
    """Frame AUC over real and fake halves of the pack (at most `triples`, evenly spread), 0..1.

    A frame's score is the mean logit of its most suspect pixels, as in the training's own validation: no rounding to
    bytes, so that faint differences of barely trained networks count.

    Raises:
        DataError: the network's answers are not finite.
    """
    guard = Guard(model.spec, model.network).eval()
    size = model.spec.size
    offset = (pack.real.shape[1] - size) // 2
    inner = slice(offset, offset + size)
    chosen = np.unique(np.linspace(0, len(pack) - 1, triples).astype(int))
    scores: list[float] = []
    with torch.inference_mode():
        for index in chosen:
            both = np.stack([pack.real[index][inner, inner], pack.fake[index][inner, inner]])
            logits = torch.logit(guard(torch.from_numpy(both)), EPSILON).flatten(1)
            scores += logits.topk(size * size // PICTURE_FRACTION, dim=1).values.mean(dim=1).tolist()
    return auc(scores, [False, True] * len(chosen)) or 0.0


class _Judge:
    """The objective, its packs opened once."""

    def __init__(self, task: Task) -> None:
        self._triples = task.triples
        self._blends = Pack(task.packs / CALIBRATION)
        self._pairs = Pack(task.packs / VALIDATION) if task.objective == VALIDATION else None

    def __call__(self, model: LoadedModel) -> Result:
        blends = frame_auc(model, self._blends, self._triples)
        pairs = None if self._pairs is None else frame_auc(model, self._pairs, self._triples)
        value = blends if pairs is None else (blends + pairs) / 2
        return Result(value, blends, pairs, steps=0, planned=0, seconds=0.0)


class _Clock:
    """The seconds of training, without those of judging."""

    def __init__(self, limit: float | None) -> None:
        self._limit, self._since = limit, time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._since

    def check(self) -> None:
        if self._limit is not None and self.seconds >= self._limit:
            raise _OutOfTime

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        start = time.monotonic()
        yield
        self._since += time.monotonic() - start


def _pace(trainer: Trainer, config: TrainConfig, halt: Callable[[Progress, float], None]) -> float:
    """Seconds per step over all stages, in the shares that they have of the configuration."""
    ends = [time.monotonic()]

    def advance(progress: Progress, loss: float) -> None:
        ends.append(time.monotonic())
        halt(progress, loss)

    trainer.run(advance)
    # The first step of a stage makes the kernels for its patch size.
    each = np.diff(ends).reshape(-1, PACE_STEPS)[:, 1:].mean(axis=1)
    return float(np.average(each, weights=[stage.steps for stage in config.train.stages]))
