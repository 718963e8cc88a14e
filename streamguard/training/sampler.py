"""What a training step learns from: patches drawn from the packs, many of them blended anew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamguard.errors import DataError
from streamguard.training.augment import Patches, View, augment, mix
from streamguard.training.config import Stage, TrainConfig
from streamguard.training.donor_blend import donor_blend, similarities
from streamguard.training.hard_examples import Example, Known
from streamguard.training.pack import Pack
from streamguard.training.selfblend import SelfBlend, self_blend, swap_like_blend
from streamguard.types import Float64Array, FloatArray, UInt8Array

NOTHING_KNOWN = Known()
PARTS = frozenset({"part of a face swap", "part of a rendered face"})
"""Kinds of which only a random part of the pack's own fake is left."""
DONORS = 16
TONE_WEIGHT = 0.004
"""What a grey level of another skin tone counts in the choice of a donor; a misfit of the landmarks is 0.03 to 0.3."""


@dataclass(frozen=True, slots=True)
class Packs:
    """What the loop draws from.

    Attributes:
        pairs, selfblend: training packs; at least one is there.
        validation: pairs of persons who are in neither.
        rerendered: faces of the training packs rendered again.
    """

    pairs: Pack | None
    selfblend: Pack | None
    validation: Pack | None
    rerendered: Pack | None = None


def open_packs(folder: Path) -> Packs:
    """The packs below `folder`.

    Raises:
        DataError: there is no training pack, or a person is on both sides of the split.
    """
    found = {
        name: Pack(folder / name) if (folder / name / "index.json").is_file() else None
        for name in ("pairs", "selfblend", "validation", "rerendered")
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
        kind: how the fake was made: `face swap`, `part of a face swap`, `self-blend`, `other face`, `plain swap`,
            `rendered face`, `part of a rendered face`.
        patches: real and fake, with the truth.
        example: what its loss is remembered by.
    """

    kind: str
    patches: Patches
    example: Example


@dataclass(frozen=True, slots=True)
class Donor:
    """Another person's face.

    Attributes:
        pixels: uint8 [S, S, 3], as the pack holds it.
        landmarks: float32 [5, 2] in its pixels.
    """

    pixels: UInt8Array
    landmarks: FloatArray


@dataclass(frozen=True, slots=True)
class Choice:
    """What a pair is made of.

    Attributes:
        kind: as in `Sample`.
        pack, index: the triple.
        anew: the pack's own fake is not used, another one is made of its real crop.
        donor: whose face is put on, where another person's is.
    """

    kind: str
    pack: Pack
    index: int
    anew: bool
    example: Example
    donor: Donor | None = None

    def degrade(self, stage: Stage) -> float:
        """Chance of a further chain of noise and compression, 0..1."""
        # The packs' own fakes were compressed after blending; these were not yet.
        return (1 + stage.degrade) / 2 if self.anew else stage.degrade


class Sampler:
    """Draws the batches of a run; equal steps, with equal knowledge of the losses, give equal batches.

    Args:
        config: the shares of what is drawn.
        packs: the material.

    Raises:
        DataError: faces rendered again are asked for, and there is no pack of them.
    """

    def __init__(self, config: TrainConfig, packs: Packs) -> None:
        self._train, self._packs = config.train, packs
        if config.train.rerendered_share and packs.rerendered is None:
            raise DataError("rerendered", "there is no such pack", "run `streamguard train`, which makes it")
        self._tones: dict[int, Float64Array] = {}

    def stage(self, step: int) -> Stage:
        """The stage that a step (from 0) belongs to; the last one beyond the end."""
        for stage in self._train.stages:
            if step < stage.steps:
                return stage
            step -= stage.steps
        return self._train.stages[-1]

    def batch(self, step: int) -> tuple[UInt8Array, FloatArray]:
        """Real and fake patches of the same moment side by side: uint8 [2B, P, P, 3] and float32 [2B, P, P]."""
        return stacked(self.samples(step))

    def samples(self, step: int, known: Known = NOTHING_KNOWN) -> list[Sample]:
        """The pairs of one step; `known` are the losses that hard examples are drawn by."""
        random, stage = self.random(step), self.stage(step)
        return [self._draw(stage, random, known) for _ in range(stage.pairs)]

    def random(self, step: int) -> np.random.Generator:
        """What decides a step."""
        # Seeded by the step: a resumed run sees what an uninterrupted one would have seen.
        return np.random.default_rng([self._train.seed, step])

    def choose(self, stage: Stage, random: np.random.Generator, known: Known = NOTHING_KNOWN) -> Choice:
        """What the next pair is made of."""
        packs, train = self._packs, self._train
        plain = random.random() < stage.plain_share
        # Without such faces nothing more is drawn than ever was: the same seeds give the same batches.
        rendered = not plain and train.rerendered_share and random.random() < train.rerendered_share
        if rendered and packs.rerendered is not None:
            index = self._index(packs.rerendered, "rendered face", random, known)
            kind = "part of a rendered face" if random.random() < train.mix_share else "rendered face"
            return Choice(kind, packs.rerendered, index, False, Example("rendered face", index))
        blend = plain or packs.pairs is None or random.random() < train.selfblend_share
        anew = plain or (blend and random.random() < train.fresh_share)
        pack = packs.pairs
        if packs.selfblend is not None and blend and not (anew and pack is not None and random.random() < 0.3):
            pack = packs.selfblend
        assert pack is not None
        own = "face swap" if pack is packs.pairs else "self-blend"
        pool = f"{own}, made anew" if anew else own
        index = self._index(pack, pool, random, known)
        example = Example(pool, index)
        if not anew:
            part = pack is packs.pairs and random.random() < train.mix_share
            return Choice("part of a face swap" if part else own, pack, index, False, example)
        if plain:
            return Choice("plain swap", pack, index, True, example)
        if random.random() >= train.donor_share:
            return Choice("self-blend", pack, index, True, example)
        donor = self.donor(pack.real[index], np.array(pack.landmarks[index]), random)
        return Choice("other face", pack, index, True, example, donor)

    def _index(self, pack: Pack, pool: str, random: np.random.Generator, known: Known) -> int:
        share = self._train.hard_share
        # Without hard examples nothing more is drawn than ever was: the same seeds give the same batches.
        hard = known.draw(pool, random) if share and random.random() < share else None
        return int(random.integers(len(pack))) if hard is None else hard

    def _draw(self, stage: Stage, random: np.random.Generator, known: Known) -> Sample:
        choice = self.choose(stage, random, known)
        pack, index = choice.pack, choice.index
        real, fake, mask = (np.array(part[index]) for part in (pack.real, pack.fake, pack.mask))
        if choice.anew:
            made = _blend(choice, real, np.array(pack.landmarks[index]), random)
            fake, mask = made.pixels, made.mask
        elif choice.kind in PARTS:
            fake, mask = mix(real, fake, mask, random)
        view = View(stage.patch, stage.zoom, choice.degrade(stage), stage.blur)
        return Sample(choice.kind, augment(real, fake, mask, view, random), choice.example)

    def donor(self, real: UInt8Array, marks: FloatArray, random: np.random.Generator) -> Donor:
        """Of a few other faces the one that is turned and lit most alike: a bad fit would be too easily seen.

        Args:
            real: uint8 [S, S, 3].
            marks: float32 [5, 2], its landmarks.
            random: decides which few.
        """
        packs = self._packs
        if packs.pairs is not None and random.random() < self._train.swapped_donor_share:
            pack, pictures = packs.pairs, packs.pairs.fake
        else:
            pack = packs.selfblend or packs.pairs  # type: ignore[assignment]  # one of them is there
            pictures = pack.real
        few = random.integers(len(pack), size=DONORS)
        tones = np.stack([self._tone(pictures, pack, int(index)) for index in few])
        gaps = np.abs(tones - _tone(real, marks)).mean(axis=1)
        misfits = similarities(pack.landmarks[few], marks)[1] + TONE_WEIGHT * gaps
        best = int(few[int(misfits.argmin())])
        return Donor(np.array(pictures[best]), np.array(pack.landmarks[best]))

    def _tone(self, pictures: UInt8Array, pack: Pack, index: int) -> Float64Array:
        """`_tone` of a pack's picture, remembered: a face is looked at for many others."""
        tones = self._tones.get(id(pictures))
        if tones is None:
            tones = self._tones[id(pictures)] = np.full((len(pack), 3), np.nan)
        if np.isnan(tones[index, 0]):
            tones[index] = _tone(pictures[index], np.array(pack.landmarks[index]))
        tone: Float64Array = tones[index]
        return tone


def stacked(samples: list[Sample]) -> tuple[UInt8Array, FloatArray]:
    """Real and fake patches side by side: uint8 [2B, P, P, 3] and float32 [2B, P, P]."""
    pairs = [sample.patches for sample in samples]
    pixels = np.stack([view for pair in pairs for view in (pair.real, pair.fake)])
    truth = np.stack([mask for pair in pairs for mask in (np.zeros_like(pair.mask), pair.mask)])
    return pixels, truth.astype(np.float32)


def _blend(choice: Choice, real: UInt8Array, marks: FloatArray, random: np.random.Generator) -> SelfBlend:
    if choice.kind == "plain swap":
        return swap_like_blend(real, marks, random, resolution=float(random.uniform(45, 120)))
    if choice.donor is None:
        return self_blend(real, marks, random)
    return donor_blend(real, marks, choice.donor.pixels, choice.donor.landmarks, random)


def _tone(rgb: UInt8Array, landmarks: FloatArray) -> Float64Array:
    """float64 [3]: mean colour around the middle of a face, from few of its pixels."""
    x, y = landmarks.mean(axis=0).astype(int)
    reach = max(8, int(np.ptp(landmarks[:, 0])) // 2)
    mean: Float64Array = rgb[max(0, y - reach) : y + reach : 8, max(0, x - reach) : x + reach : 8].mean(axis=(0, 1))
    return mean
