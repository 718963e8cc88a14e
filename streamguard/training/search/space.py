"""What a search varies, and the training configuration that a choice stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution

from streamguard.errors import ConfigError
from streamguard.training.config import IMAGENET, Stage, TrainConfig

Value: TypeAlias = str | int | float | bool | None
Choice: TypeAlias = Mapping[str, Value]

PAIRS, BLENDS, BOTH, OTHERS = "pairs", "self-blends", "both", ", other faces"
LENGTHS = (0.25, 0.5, 1.0)
SCHEDULES = ("constant", "cosine")
WEIGHT_DECAYS = (1e-4, 1e-1)
PICTURE_LOSSES = (0.0, 4.0)
PRETRAINED = "unet_lite0"
EVEN = 0.5
"""The share of a mixture that the configuration itself has none of."""

DIMENSIONS = {
    "data": "what is learned from: pairs, self-blends, both; with or without other people's faces put on",
    "pairs": "(real, fake) pairs per step of the first stage; the others in proportion",
    "length": "share of a trial's budget that is used",
    "weight_decay": "decay of the weights",
    "schedule": "the learning rate over the steps",
    "picture_loss": "weight of the picture-level loss",
    "network": "the network",
}
"""What can be varied."""
LEFT_OUT = {
    "dropout": "none of the networks has any",
    "one-cycle": "the trainer warms up and then keeps the learning rate or lets it fall along a cosine",
}
"""What a search of classifiers would vary, too, and why this one does not."""


@dataclass(frozen=True, slots=True)
class Space:
    """The choices of a search.

    Attributes:
        config: what stays as it is.
        networks: names of the networks to choose from.
        vary: the dimensions, names of `DIMENSIONS`; the others stay as configured.
        sources: which packs there are: `pairs`, `self-blends` or both of them.

    Raises:
        ConfigError: a dimension is unknown.
    """

    config: TrainConfig
    networks: tuple[str, ...]
    vary: tuple[str, ...] = tuple(DIMENSIONS)
    sources: frozenset[str] = frozenset({PAIRS, BLENDS})

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.vary) - set(DIMENSIONS)):
            raise ConfigError(f"--vary {unknown[0]}", "no dimension of that name", f"choose of {', '.join(DIMENSIONS)}")

    def distributions(self) -> dict[str, BaseDistribution]:
        """What is drawn from, by dimension."""
        first = self.config.train.stages[0].pairs
        every: dict[str, BaseDistribution] = {
            "data": CategoricalDistribution(self.data()),
            "pairs": CategoricalDistribution(sorted({max(1, first // 2), first, first * 2})),
            "length": CategoricalDistribution(LENGTHS),
            "weight_decay": FloatDistribution(*WEIGHT_DECAYS, log=True),
            "schedule": CategoricalDistribution(SCHEDULES),
            "picture_loss": FloatDistribution(*PICTURE_LOSSES),
            "network": CategoricalDistribution(self.networks),
        }
        return {name: every[name] for name in DIMENSIONS if name in self.vary}

    def data(self) -> tuple[str, ...]:
        """The mixtures that the packs allow. Self-blends can be made of the real halves of pairs alone."""
        if PAIRS not in self.sources:
            return BLENDS, BLENDS + OTHERS
        return PAIRS, BLENDS, BLENDS + OTHERS, BOTH, BOTH + OTHERS

    def configured(self, choice: Choice) -> TrainConfig:
        """The configuration of one choice; its stages keep their steps.

        No trial starts from a trained detector, which would hide what a choice does: all from random weights, the
        encoder of `unet_lite0` as ImageNet taught it.
        """
        config, network = self.config, choice.get("network", self.config.network)
        train = config.train.model_copy(update={"start_from": IMAGENET if network == PRETRAINED else ""})
        update = {name: choice[name] for name in ("weight_decay", "schedule", "picture_loss") if name in choice}
        stages = train.stages
        if "pairs" in choice:
            stages = _batches(stages, int(choice["pairs"] or 1))
        if "data" in choice:
            update |= self._shares(str(choice["data"]))
            if choice["data"] == PAIRS:
                # A plain swap is blended, too.
                stages = tuple(stage.model_copy(update={"plain_share": 0.0}) for stage in stages)
        train = train.model_copy(update={**update, "stages": stages})
        return config.model_copy(update={"train": train, "network": network})

    def _shares(self, data: str) -> dict[str, Value]:
        train, others = self.config.train, data.endswith(OTHERS)
        mixed = train.selfblend_share if 0 < train.selfblend_share < 1 else EVEN
        share = {PAIRS: 0.0, BLENDS: 1.0, BOTH: mixed}[data.removesuffix(OTHERS)]
        fresh = train.fresh_share or (EVEN if others else 0.0)
        if BLENDS not in self.sources:
            # Not made anew, the fakes of that pack are face swaps.
            fresh = 1.0
        donors = (train.donor_share or EVEN) if others else 0.0
        return {"selfblend_share": share, "fresh_share": fresh, "donor_share": donors}


def lengthened(config: TrainConfig, steps: int) -> TrainConfig:
    """The configuration with its stages stretched or shortened in proportion to `steps` in all.

    Each stage keeps one step at the least.
    """
    stages = config.train.stages
    planned = sum(stage.steps for stage in stages)
    counts = [max(1, round(steps * stage.steps / planned)) for stage in stages]
    counts[0] = max(1, counts[0] + steps - sum(counts))
    return _stepped(config, counts)


def evenly(config: TrainConfig, steps: int) -> TrainConfig:
    """The configuration with `steps` in each stage."""
    return _stepped(config, [steps] * len(config.train.stages))


def _stepped(config: TrainConfig, counts: Sequence[int]) -> TrainConfig:
    train = config.train
    stages = tuple(stage.model_copy(update={"steps": count}) for stage, count in zip(train.stages, counts, strict=True))
    total = sum(counts)
    # A short training warms up for as large a share of it as the long one does.
    whole = sum(stage.steps for stage in train.stages)
    warmup = min(train.warmup_steps, max(1, round(train.warmup_steps * total / whole)))
    update = {"stages": stages, "warmup_steps": warmup, "validate_every": total}
    return config.model_copy(update={"train": train.model_copy(update=update)})


def _batches(stages: Sequence[Stage], pairs: int) -> tuple[Stage, ...]:
    first = stages[0].pairs
    return tuple(stage.model_copy(update={"pairs": max(1, round(stage.pairs * pairs / first))}) for stage in stages)
