"""Where the training loop's batches come from: made on the CPU one by one, or on the device all at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch

from streamguard.training.batched.sampler import BatchedSampler
from streamguard.training.config import Stage, TrainConfig
from streamguard.training.hard_examples import Example, Known
from streamguard.training.sampler import Packs, Sample, Sampler, stacked


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step learns from, on the training device.

    Attributes:
        pixels: [2N, 3, P, P], 0..255, uint8 or whole numbers in float32; real and fake of a pair behind each other.
        truth: float32 [2N, P, P], 1 where fake.
        examples: N, what the losses of the pairs are remembered by.
    """

    pixels: torch.Tensor
    truth: torch.Tensor
    examples: tuple[Example, ...]


class Samples(Protocol):
    """Pairs of a run to be looked at."""

    def stage(self, step: int) -> Stage:
        """The stage that a step (from 0) belongs to."""

    def samples(self, step: int) -> list[Sample]:
        """The pairs of one step."""


Prepare = Callable[[int, Known], Callable[[], Batch]]
"""The host's part of a step, for a thread of its own; what it returns does the device's part, for the thread that
trains."""


def feed(config: TrainConfig, sampler: Sampler, device: torch.device) -> Prepare:
    """The batches of a run, made where `[train] augment_on` says."""
    return _batched(sampler, device) if config.train.augment_on == "device" else _one_by_one(sampler, device)


def samples_of(config: TrainConfig, packs: Packs) -> Samples:
    """The same pairs as the run has, made on the CPU."""
    sampler = Sampler(config, packs)
    return BatchedSampler(sampler, torch.device("cpu")) if config.train.augment_on == "device" else sampler


def _one_by_one(sampler: Sampler, device: torch.device) -> Prepare:
    def prepare(step: int, known: Known) -> Callable[[], Batch]:
        samples = sampler.samples(step, known)
        pixels, truth = (torch.from_numpy(each) for each in stacked(samples))
        examples = tuple(sample.example for sample in samples)
        return lambda: Batch(pixels.to(device).permute(0, 3, 1, 2), truth.to(device), examples)

    return prepare


def _batched(sampler: Sampler, device: torch.device) -> Prepare:
    maker = BatchedSampler(sampler, device)

    def prepare(step: int, known: Known) -> Callable[[], Batch]:
        raw = maker.gather(step, known)
        return lambda: Batch(*maker.make(raw), raw.examples)

    return prepare
