"""What every detector of a comparison is trained on: the same views of the same packs, step by step."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np

from streamguard.errors import DataError
from streamguard.training.comparison.packs import later, part, without
from streamguard.training.config import TrainConfig
from streamguard.training.sampler import Packs, Sampler
from streamguard.types import FloatArray, UInt8Array

TrainedOn = Literal["pairs", "selfblends", "both"]
WANDER = 6 / 256
"""How far a crop's place is off at most in each frame of a track, as a share of its side."""
FLICKER = 0.02
"""Spread of the brightness among them."""


def training_config(config: TrainConfig, trained_on: TrainedOn, side: int, pairs: int) -> TrainConfig:
    """The configuration with one stage: whole faces of `side` pixels, `pairs` (real, fake) pairs a step.

    `pairs` learns from face swaps and parts of them; `selfblends` from a face blended with itself, never with
    another's; `both` from what the configuration says, other people's faces among it.
    """
    last = config.train.stages[-1]
    stage = last.model_copy(update={"steps": 1, "patch": side, "pairs": pairs, "zoom": _whole_face(side)})
    shares: dict[str, object] = {}
    if trained_on == "pairs":
        stage = stage.model_copy(update={"plain_share": 0.0})
        shares = {"selfblend_share": 0.0}
    elif trained_on == "selfblends":
        shares = {"selfblend_share": 1.0, "donor_share": 0.0}
    train = config.train.model_copy(update={"stages": (stage,), **shares})
    return config.model_copy(update={"train": train})


def training_packs(packs: Packs, trained_on: TrainedOn) -> Packs:
    """The packs with only what may be learned from.

    For `selfblends` nobody of the pairs is left: their recordings would make the pairs a set that is half known.

    Raises:
        DataError: the pack is missing, or nothing is left of it.
    """
    if trained_on == "both":
        return Packs(packs.pairs, packs.selfblend, None)
    if trained_on == "pairs":
        if packs.pairs is None:
            raise DataError("pack pairs", "there is none", "compare `--trained-on selfblends`, or prepare pairs")
        return Packs(packs.pairs, None, None)
    if packs.selfblend is None:
        raise DataError("pack selfblend", "there is none", "compare `--trained-on pairs`, or prepare faces")
    left = without(packs.selfblend, packs.pairs.persons() if packs.pairs else ())
    if not len(left):
        raise DataError("pack selfblend", "holds nobody but the persons of the pairs", "add portraits or real videos")
    return Packs(None, left, None)


class Material:
    """The batches of a run; equal steps give equal batches, whatever is trained on them.

    A track is made of consecutive triples of a clip; of a clip with one picture, of that picture again and again. Its
    frames share the kind of fake, the blend, the view and the compression, as frames of one stream do; the crop's
    place wanders and its brightness flickers from frame to frame.

    Args:
        config: as `training_config` gives it.
        packs: as `training_packs` gives them.
        frames: 1 for pictures, more for tracks of that many.
    """

    def __init__(self, config: TrainConfig, packs: Packs, frames: int = 1) -> None:
        self._frames, self._seed = frames, config.train.seed
        # One sampler for each frame: all draw the same, from packs in which each row is so many rows later.
        self._samplers = [Sampler(config, _shifted(packs, offset)) for offset in range(frames)]

    def batch(self, step: int) -> tuple[UInt8Array, FloatArray]:
        """Real and fake side by side, and the truth.

        Returns uint8 [2B, P, P, 3], or [2B, frames, P, P, 3] of tracks, and float32 [2B, P, P], 1 where fake (of a
        track: in any of its frames).
        """
        batches = [sampler.batch(step) for sampler in self._samplers]
        if self._frames == 1:
            return batches[0]
        tracks = np.stack([pixels for pixels, _ in batches], axis=1)
        truth = np.maximum.reduce([mask for _, mask in batches])
        random = np.random.default_rng([self._seed, step, self._frames])
        reach = round(WANDER * tracks.shape[2])
        for first in range(0, len(tracks), 2):
            for frame in range(self._frames):
                dx, dy = (int(each) for each in random.integers(-reach, reach + 1, size=2))
                gain = 1 + float(random.normal(0, FLICKER))
                # Alike for real and fake: it must not tell them apart.
                for row in (first, first + 1):
                    tracks[row, frame] = _moved(tracks[row, frame], dx, dy, gain)
        return tracks, truth


def _whole_face(side: int) -> tuple[float, float]:
    return 0.9 * side / 256, 1.1 * side / 256


def _shifted(packs: Packs, offset: int) -> Packs:
    if not offset:
        return packs
    pairs, blends = (pack and part(pack, later(pack.entries, offset)) for pack in (packs.pairs, packs.selfblend))
    return Packs(pairs, blends, None)


def _moved(picture: UInt8Array, dx: int, dy: int, gain: float) -> UInt8Array:
    matrix = np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])
    size = (picture.shape[1], picture.shape[0])
    moved = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.convertScaleAbs(moved, alpha=gain), dtype=np.uint8)
