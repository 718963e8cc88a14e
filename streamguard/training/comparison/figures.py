"""Figures of each set from scores of held-out crops, with intervals, and baselines that know nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from streamguard.faces import sharpness
from streamguard.training.evaluation.metrics import Bools, Figure, Floats, auc_figure, blur, dice, draw, ratio_figure
from streamguard.training.held_out import HeldCrop
from streamguard.types import UInt8Array

N_BOOT = 2000
MARKED = 127
"""Pixels of a map above it are marked: a probability of 0.5."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Figures of a detector on a set, or on one program of it; intervals by bootstrap over groups.

    Attributes:
        auc: of the fakes against the set's real crops, or against all real crops where it has none.
        dice: of masks at 0.5, mean over both halves of registered pairs.
        fakes, reals: crops.
    """

    auc: Figure
    dice: Figure
    fakes: int
    reals: int


def cross_figures(crops: Sequence[HeldCrop], scores: Floats, dices: Floats) -> dict[str, Cell]:
    """Figures by set, and by `set/program` of sets with several programs.

    Args:
        crops: all that were judged.
        scores: float64 [N], higher is more fake.
        dices: float64 [N] of `pair_dices`.
    """
    fake = np.array([crop.fake for crop in crops])
    sets, programs, groups = (np.array([getattr(crop, name) for crop in crops]) for name in ("set", "program", "group"))
    cells = {}
    for name in sorted(set(sets[fake].tolist())):
        own = ~fake & (sets == name)
        kinds = sorted(set(programs[fake & (sets == name)].tolist()))
        columns = {name: sets == name, **{f"{name}/{kind}": (sets == name) & (programs == kind) for kind in kinds}}
        for column, within in columns.items() if len(kinds) > 1 else [(name, sets == name)]:
            chosen = (fake & within) | (own if own.any() else ~fake)
            cells[column] = _cell(scores[chosen], fake[chosen], groups[chosen], dices[chosen])
    return cells


def pair_dices(crops: Sequence[HeldCrop], maps: Sequence[UInt8Array]) -> Floats:
    """float64 [N]: of each registered fake, the mean Dice of itself and of its real crop; NaN of all else."""
    dices = np.full(len(crops), np.nan)
    for number, crop in enumerate(crops):
        if crop.mask is not None and crop.pair >= 0:
            clean = not (maps[crop.pair] > MARKED).any()
            dices[number] = (dice(maps[number] > MARKED, crop.mask > 0) + clean) / 2
    return dices


def _cell(scores: Floats, fake: Bools, groups: np.ndarray, dices: Floats) -> Cell:
    names, owner = np.unique(groups, return_inverse=True)
    drawn = draw([None] * len(names), n_boot=N_BOOT, seed=0)
    known = np.isfinite(dices)
    count = np.bincount(owner[known], minlength=len(names)).astype(np.float64)
    total = np.bincount(owner[known], dices[known], minlength=len(names)).astype(np.float64)
    return Cell(
        auc=auc_figure([(scores[owner == each], fake[owner == each]) for each in range(len(names))], drawn),
        dice=ratio_figure(total, count, drawn, count > 0, "no masks, or none whose truth is known"),
        fakes=int(fake.sum()),
        reals=int((~fake).sum()),
    )


BASELINES: dict[str, Callable[[UInt8Array], float]] = {
    "blur": blur,
    "sharpness": sharpness,
    "brightness": lambda pixels: float(pixels.mean()),
}
"""Baselines that know nothing of fakes: blurred, sharp for its contrast, or bright means fake."""
