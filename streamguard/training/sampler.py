"""What a training step learns from: patches drawn from the packs, many of them blended anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamguard.errors import DataError
from streamguard.training.augment import Patches, View, augment, mix
from streamguard.training.config import Stage, TrainConfig
from streamguard.training.donor_blend import donor_blend, similarity
from streamguard.training.pack import Pack
from streamguard.training.selfblend import SelfBlend, self_blend, swap_like_blend
from streamguard.types import Float64Array, FloatArray, UInt8Array

DONORS = 16
TONE_WEIGHT = 0.004
"""What a grey level of another skin tone counts in the choice of a donor; a misfit of the landmarks is 0.03 to 0.3."""


@dataclass(frozen=True, slots=True)
class Packs:
    """What the loop draws from.

    Attributes:
        pairs, selfblend: training packs; at least one is there.
        validation: pairs of persons who are in neither.
    """

    pairs: Pack | None
    selfblend: Pack | None
    validation: Pack | None


def open_packs(folder: Path) -> Packs:
    """The packs below `folder`.

    Raises:
        DataError: there is no training pack, or a person is on both sides of the split.
    """
    found = {
        name: Pack(folder / name) if (folder / name / "index.json").is_file() else None
        for name in ("pairs", "selfblend", "validation")
    }
    packs = Packs(**found)
    if packs.pairs is None and packs.selfblend is None:
        raise DataError(
            str(folder), "no training pack here", "run `streamguard train` with `--data`, which prepares one"
        )
    if packs.validation is not None:
        trained = frozenset().union(*(pack.persons() for pack in (packs.pairs, packs.selfblend) if pack))
        if both := trained & packs.validation.persons():
            raise DataError(
                str(folder), f"on both sides of the split: {', '.join(sorted(both))}", "prepare the packs again"
            )
    return packs


@dataclass(frozen=True, slots=True)
class Sample:
    """A drawn pair of patches.

    Attributes:
        kind: how the fake was made: `face swap`, `part of a face swap`, `self-blend`, `other face`, `plain swap`.
        patches: real and fake, with the truth.
    """

    kind: str
    patches: Patches


class Sampler:
    """Draws the batches of a run; equal steps give equal batches.

    Args:
        config: the shares of what is drawn.
        packs: the material.
    """

    def __init__(self, config: TrainConfig, packs: Packs) -> None:
        self._train, self._packs = config.train, packs

    def stage(self, step: int) -> Stage:
        """The stage that a step (from 0) belongs to; the last one beyond the end."""
        for stage in self._train.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self._train.stages[-1]

    def batch(self, step: int) -> tuple[UInt8Array, FloatArray]:
        """Real and fake patches of the same moment side by side: uint8 [2B, P, P, 3] and float32 [2B, P, P]."""
        pairs = [sample.patches for sample in self.samples(step)]
        pixels = np.stack([view for pair in pairs for view in (pair.real, pair.fake)])
        truth = np.stack([mask for pair in pairs for mask in (np.zeros_like(pair.mask), pair.mask)])
        return pixels, truth.astype(np.float32)

    def samples(self, step: int) -> list[Sample]:
        """The pairs of one step."""
        # Seeded by the step: a resumed run sees what an uninterrupted one would have seen.
        random = np.random.default_rng([self._train.seed, step])
        stage = self.stage(step)
        return [self._draw(stage, random) for _ in range(stage.pairs)]

    def _draw(self, stage: Stage, random: np.random.Generator) -> Sample:
        packs, train = self._packs, self._train
        plain = random.random() < stage.plain_share
        blend = plain or packs.pairs is None or random.random() < train.selfblend_share
        made_anew = plain or (blend and random.random() < train.fresh_share)
        pack = packs.pairs
        if packs.selfblend is not None and blend and not (made_anew and pack is not None and random.random() < 0.3):
            pack = packs.selfblend
        assert pack is not None
        index = int(random.integers(len(pack)))
        real, fake, mask = (np.array(part[index]) for part in (pack.real, pack.fake, pack.mask))
        kind, degrade = "face swap" if pack is packs.pairs else "self-blend", stage.degrade
        if made_anew:
            kind, made = self._blend(real, np.array(pack.landmarks[index]), plain, random)
            fake, mask = made.pixels, made.mask
            # The packs' own fakes were compressed after blending; these were not yet.
            degrade = (1 + degrade) / 2
        elif pack is packs.pairs and random.random() < train.mix_share:
            kind, (fake, mask) = "part of a face swap", mix(real, fake, mask, random)
        return Sample(kind, augment(real, fake, mask, View(stage.patch, stage.zoom, degrade, stage.blur), random))

    def _blend(
        self, real: UInt8Array, marks: FloatArray, plain: bool, random: np.random.Generator
    ) -> tuple[str, SelfBlend]:
        if plain:
            return "plain swap", swap_like_blend(real, marks, random, resolution=float(random.uniform(45, 120)))
        if random.random() >= self._train.donor_share:
            return "self-blend", self_blend(real, marks, random)
        donor, donor_marks = self._donor(real, marks, random)
        return "other face", donor_blend(real, marks, donor, donor_marks, random)

    def _donor(self, real: UInt8Array, marks: FloatArray, random: np.random.Generator) -> tuple[UInt8Array, FloatArray]:
        """Of a few other faces the one that is turned and lit most alike: a bad fit would be too easily seen."""
        packs = self._packs
        if packs.pairs is not None and random.random() < self._train.swapped_donor_share:
            pack, pictures = packs.pairs, packs.pairs.fake
        else:
            pack = packs.selfblend or packs.pairs  # type: ignore[assignment]  # one of them is there
            pictures = pack.real
        tone = _tone(real, marks)

        def misfit(index: int) -> float:
            landmarks = np.array(pack.landmarks[index])
            gap = np.abs(_tone(pictures[index], landmarks) - tone).mean()
            return similarity(landmarks, marks)[1] + TONE_WEIGHT * float(gap)

        best = min(random.integers(len(pack), size=DONORS).tolist(), key=misfit)
        return np.array(pictures[best]), np.array(pack.landmarks[best])


def _tone(rgb: UInt8Array, landmarks: FloatArray) -> Float64Array:
    """float64 [3]: mean colour around the middle of a face, from few of its pixels."""
    x, y = landmarks.mean(axis=0).astype(int)
    reach = max(8, int(np.ptp(landmarks[:, 0])) // 2)
    mean: Float64Array = rgb[max(0, y - reach) : y + reach : 8, max(0, x - reach) : x + reach : 8].mean(axis=(0, 1))
    return mean
