"""What every detector of a comparison is tested on: three sets of faces that nobody was trained on.

`pairs` are real-time face swaps (the validation pack), `selfblends` and `otherfaces` are blends of held-out faces (the
calibration pack) with themselves and with other people's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamguard.errors import DataError
from streamguard.training.augment import jpeg
from streamguard.training.comparison.packs import later
from streamguard.training.donor_blend import donor_blend, similarity
from streamguard.training.pack import Entry, Pack
from streamguard.training.sampler import DONORS, Packs
from streamguard.types import UInt8Array

CROP = 256
"""Side of a pack's middle, which is the live crop."""
SETS = {
    "pairs": "face swaps",
    "selfblends": "self-blends",
    "otherfaces": "other faces blended in",
}
"""The sets and their headings."""

Pair = tuple[UInt8Array, UInt8Array]


@dataclass(frozen=True, slots=True)
class CrossSet:
    """One set.

    Attributes:
        name: a key of `SETS`.
        entries: where each triple of its pack comes from.
        chosen: the rows that are judged.
        make: from a row, and the row that decides what is drawn, to the real and the fake crop, uint8 [S, S, 3].
    """

    name: str
    entries: tuple[Entry, ...]
    chosen: tuple[int, ...]
    make: Callable[[int, int], Pair]

    def views(self, row: int, frames: int = 1) -> Pair:
        """Real and fake crop, uint8 [S, S, 3]; tracks of the row and those after it, [frames, S, S, 3], if several."""
        if frames == 1:
            return self.make(row, row)
        window = self.entries[row : row + frames]
        rows = [row + later(window, offset)[0] for offset in range(frames)]
        reals, fakes = zip(*(self.make(each, row) for each in rows), strict=True)
        return np.stack(reals), np.stack(fakes)


def cross_sets(folder: Path, trained: Packs, *, side: int, most: int, seed: int) -> list[CrossSet]:
    """The three sets.

    Args:
        folder: holds the packs `validation` and `calibration`.
        trained: the training packs, whose persons must be in none of the sets.
        side: of the crops in pixels, at most 256.
        most: triples judged of each set, evenly spread; 0: all.
        seed: of the faces that are blended in.

    Raises:
        DataError: a pack is missing, or somebody in it was trained on.
    """
    validation, calibration = (Pack(folder / name) for name in ("validation", "calibration"))
    known = frozenset().union(*(pack.persons() for pack in (trained.pairs, trained.selfblend) if pack))
    for name, pack in (("validation", validation), ("calibration", calibration)):
        if both := known & pack.persons():
            raise DataError(
                str(folder / name), f"on both sides of the split: {', '.join(sorted(both))}", "prepare the packs again"
            )
    makers: dict[str, tuple[Pack, Callable[[int, int], Pair]]] = {
        "pairs": (validation, lambda row, anchor: _stored(validation, row, side)),
        "selfblends": (calibration, lambda row, anchor: _stored(calibration, row, side)),
        "otherfaces": (calibration, lambda row, anchor: _other_face(calibration, row, anchor, side, seed)),
    }
    return [CrossSet(name, pack.entries, _spread(len(pack), most), make) for name, (pack, make) in makers.items()]


def _spread(count: int, most: int) -> tuple[int, ...]:
    wanted = min(count, most) if most else count
    return tuple(int(row) for row in np.linspace(0, count - 1, wanted).round())


def _stored(pack: Pack, row: int, side: int) -> Pair:
    return _middle(np.array(pack.real[row]), side), _middle(np.array(pack.fake[row]), side)


def _other_face(pack: Pack, row: int, anchor: int, side: int, seed: int) -> Pair:
    random = np.random.default_rng([seed, anchor])
    marks = np.array(pack.landmarks[anchor])
    person = pack.entries[anchor].person
    others = [other for other, entry in enumerate(pack.entries) if entry.person != person]
    few = random.choice(others or range(len(pack)), size=DONORS)
    best = min(few, key=lambda donor: similarity(pack.landmarks[donor], marks)[1])
    real = np.array(pack.real[row])
    blend = donor_blend(
        real, np.array(pack.landmarks[row]), np.array(pack.real[best]), np.array(pack.landmarks[best]), random
    )
    # Blends are compressed after they were made, beside their real picture: as those of the packs are.
    quality = int(random.integers(70, 98))
    return _middle(jpeg(real, quality), side), _middle(jpeg(blend.pixels, quality), side)


def _middle(picture: UInt8Array, side: int) -> UInt8Array:
    offset = (picture.shape[0] - CROP) // 2
    crop = picture[offset : offset + CROP, offset : offset + CROP]
    if side != CROP:
        crop = np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.ascontiguousarray(crop)
