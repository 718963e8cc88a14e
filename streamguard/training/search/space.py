"""Space of a search, and the recipe that a choice stands for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from streamguard.errors import ConfigError
from streamguard.training.recipe import IMAGENET, Recipe, SourceTable, StageTable, ViewTable

Value: TypeAlias = str | int | float | bool | None
Choice: TypeAlias = Mapping[str, Any]

PRETRAINED, CHANCE = "unet_lite0", "chance"
"""The network whose encoder ImageNet taught, and the other start."""
SHARE = "share_"
DIMENSIONS = {
    "rate": "learning rate of the first stage; all others in proportion",
    "weight_decay": "decay of the weights",
    "pairs": "(real, fake) pairs a step of the first stage; the others in proportion",
    "shares": "how often each source is drawn",
    "parts": "share of the registered fakes of which a part is left",
    "mixup": "share of the registered fakes that are mixed with their real picture",
    "blur": "share of the patches that are blurred",
    "degrade": "share of the patches that are rescaled, made noisy or compressed",
    "zoom": "largest scale of a patch over the smallest, around the middle of the recipe's",
    "picture_loss": "weight of the picture-level loss",
    "dice": "weight of -ln(DICE) beside the BCE of the masks",
    "start": f"random weights (`{CHANCE}`), or the encoder as ImageNet taught it",
}
"""Names that can be varied."""


@dataclass(frozen=True, slots=True)
class Space:
    """The choices of a search.

    Attributes:
        recipe: what stays as it is.
        vary: the dimensions, names of `DIMENSIONS`; empty: all that this recipe has. The others stay as they are.

    Raises:
        ConfigError: a dimension is unknown, or the recipe has nothing of the kind.
    """

    recipe: Recipe
    vary: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.vary) - set(DIMENSIONS)):
            raise ConfigError(f"--vary {unknown[0]}", "no dimension of that name", f"choose of {', '.join(DIMENSIONS)}")
        if idle := sorted(set(self.vary) & self._idle()):
            raise ConfigError(f"--vary {idle[0]}", "nothing in this recipe that it could change", "leave it out")

    def distributions(self) -> dict[str, BaseDistribution]:
        """Distributions by parameter: a dimension, or a source's share."""
        first, names = self.recipe.stages[0], self.described()
        every: dict[str, BaseDistribution] = {
            "rate": FloatDistribution(1e-4, 1e-2, log=True),
            "weight_decay": FloatDistribution(1e-4, 0.3, log=True),
            "pairs": CategoricalDistribution(sorted({max(1, first.pairs // 2), first.pairs, first.pairs * 2})),
            "parts": FloatDistribution(0.0, 0.5),
            "mixup": FloatDistribution(0.0, 0.5),
            "blur": FloatDistribution(0.0, 0.6),
            "degrade": FloatDistribution(0.0, 1.0),
            "zoom": FloatDistribution(1.0, 3.0, log=True),
            "picture_loss": FloatDistribution(0.0, 6.0),
            "dice": FloatDistribution(0.0, 1.0),
            "start": CategoricalDistribution([CHANCE, IMAGENET]),
        }
        # The least is next to nothing: so is told what a source is good for.
        return {name: every.get(name) or FloatDistribution(0.02, 1.0, log=True) for name in names}

    def described(self) -> dict[str, str]:
        """Description of each parameter, for people."""
        wanted = [name for name in DIMENSIONS if name in self.vary or not (self.vary or name in self._idle())]
        described: dict[str, str] = {}
        for name in wanted:
            if name != "shares":
                described[name] = DIMENSIONS[name]
                continue
            for number, source in enumerate(self.recipe.sources, 1):
                sets = ", ".join(source.fakes or source.reals)
                described[f"{SHARE}{number}"] = f"how often source {number} is drawn ({source.kind}: {sets})"
        return described

    def recipe_of(self, choice: Choice) -> Recipe:
        """The recipe of one choice."""
        recipe = self.recipe
        update = {name: choice[name] for name in ("weight_decay", "picture_loss", "dice") if name in choice}
        if "start" in choice:
            update["start_from"] = IMAGENET if choice["start"] == IMAGENET else ""
        update["sources"] = tuple(_source(table, n, choice) for n, table in enumerate(recipe.sources, 1))
        update["stages"] = tuple(_stage(table, recipe.stages[0], choice) for table in recipe.stages)
        update["view"] = _view(recipe.view, choice)
        return recipe.model_copy(update=update)

    def _idle(self) -> set[str]:
        idle = set() if self.recipe.network == PRETRAINED else {"start"}
        if len(self.recipe.sources) == 1:
            idle.add("shares")
        if all(source.kind != "registered" for source in self.recipe.sources):
            idle |= {"parts", "mixup"}
        return idle


def lengthened(recipe: Recipe, steps: int, validations: int = 1) -> Recipe:
    """The recipe with its stages stretched or shortened in proportion to `steps` in all, one each at the least.

    Args:
        recipe: as configured.
        steps: in all.
        validations: how often the averaged weights are measured; the last time at the end.
    """
    counts = [max(1, round(steps * stage.steps / recipe.steps)) for stage in recipe.stages]
    counts[0] = max(1, counts[0] + steps - sum(counts))
    stages = [stage.model_copy(update={"steps": n}) for stage, n in zip(recipe.stages, counts, strict=True)]
    # A short training warms up for as large a share of it as the long one does.
    warmup = math.ceil(recipe.warmup_steps * min(1.0, sum(counts) / recipe.steps))
    every = math.ceil(sum(counts) / validations)
    return recipe.model_copy(update={"stages": tuple(stages), "warmup_steps": warmup, "validate_every": every})


def _source(table: SourceTable, number: int, choice: Choice) -> SourceTable:
    update = {"share": choice[f"{SHARE}{number}"]} if f"{SHARE}{number}" in choice else {}
    if table.kind == "registered":
        update |= {name: choice[name] for name in ("parts", "mixup") if name in choice}
    return table.model_copy(update=update)


def _stage(table: StageTable, first: StageTable, choice: Choice) -> StageTable:
    pairs = max(1, round(table.pairs * choice.get("pairs", first.pairs) / first.pairs))
    factor = choice.get("rate", first.rate[0]) / first.rate[0]
    return table.model_copy(update={"pairs": pairs, "rate": tuple(rate * factor for rate in table.rate)})


def _view(table: ViewTable, choice: Choice) -> ViewTable:
    update: dict[str, Any] = {name: choice[name] for name in ("blur", "degrade") if name in choice}
    if "zoom" in choice:
        middle, half = math.sqrt(table.zoom[0] * table.zoom[1]), math.sqrt(choice["zoom"])
        update["zoom"] = middle / half, middle * half
    return table.model_copy(update=update)
