"""Figures of each set from scores of held-out crops, with intervals, and baselines that know nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamguard.faces import sharpness
from streamguard.training.evaluation.metrics import (
    Bools,
    Figure,
    Floats,
    auc_figure,
    blur,
    checked,
    dice,
    draw,
    largest_components,
    ratio_figure,
)
from streamguard.training.held_out import HeldCrop
from streamguard.types import UInt8Array

N_BOOT = 2000
MARKED = 127
"""Pixels of a map above it are marked: a probability of 0.5."""
GRID = (*(step / 20 for step in range(1, 20)), 0.97, 0.98, 0.99, 0.995)
"""Thresholds that are tried."""
OF_A_VIDEO = 3
"""Crops of one clip at the least for it to be judged as a video."""


@dataclass(frozen=True, slots=True)
class Calls:
    """How right the verdicts are, of frames or of videos.

    Attributes:
        fakes, reals: how many were judged.
        precision, recall, f1: of those called fake.
    """

    fakes: int
    reals: int
    precision: Figure
    recall: Figure
    f1: Figure


@dataclass(frozen=True, slots=True)
class Cell:
    """Figures of a detector on a set, or on one program of it; intervals by bootstrap over groups.

    Attributes:
        auc: of the fakes against the set's real crops, or against all real crops where it has none.
        dice: of masks at 0.5, mean over both halves of registered pairs.
        fakes, reals: crops.
        frames: at the row's threshold; None where it has none, or there is no real crop to compare with.
        videos: the same of clips of several crops, fake where more than half of these are called fake; None where
            there are no fake or no real ones.
    """

    auc: Figure
    dice: Figure
    fakes: int
    reals: int
    frames: Calls | None
    videos: Calls | None


def cross_figures(
    crops: Sequence[HeldCrop], scores: Floats, dices: Floats, called: Bools | None = None
) -> dict[str, Cell]:
    """Figures by set, and by `set/program` of sets with several programs.

    Args:
        crops: all that were judged.
        scores: float64 [N], higher is more fake.
        dices: float64 [N] of `pair_dices`.
        called: bool [N], which are called fake; None: there is no threshold.

    Raises:
        DataError: a score is not finite.
    """
    scores, fake = checked(scores, [crop.fake for crop in crops])
    sets, programs = (np.array([getattr(crop, name) for crop in crops]) for name in ("set", "program"))
    cells = {}
    for name in sorted(set(sets[fake].tolist())):
        own = ~fake & (sets == name)
        kinds = sorted(set(programs[fake & (sets == name)].tolist()))
        columns = {name: sets == name, **{f"{name}/{kind}": (sets == name) & (programs == kind) for kind in kinds}}
        for column, within in columns.items() if len(kinds) > 1 else [(name, sets == name)]:
            chosen = (fake & within) | (own if own.any() else ~fake)
            numbers = np.flatnonzero(chosen)
            cells[column] = _cell(
                [crops[int(number)] for number in numbers], scores[chosen], dices[chosen], called, numbers
            )
    return cells


def mask_levels(maps: Sequence[UInt8Array], smallest: int, grid: Sequence[float] = GRID) -> NDArray[np.int64]:
    """int64 [N]: at how many thresholds of the grid, from the lowest on, the frame rule calls a map fake.

    Args:
        maps: uint8 [H, W] each, 0..255 for 0..1.
        smallest: pixels; a component counts when it has more.
        grid: thresholds 0..1, rising.
    """
    return np.array([sum(size > smallest for size in largest_components(each, grid)) for each in maps], np.int64)


def score_levels(scores: Floats, grid: Sequence[float] = GRID) -> NDArray[np.int64]:
    """The same of a classifier's probabilities, float64 [N]."""
    return np.searchsorted(grid, scores, side="left")


def best_threshold(
    crops: Sequence[HeldCrop], levels: NDArray[np.int64], fakes: Sequence[str], reals: Sequence[str]
) -> int | None:
    """Place in `GRID` at which most crops are called what they are; the middle one of several that are as good.

    Fake and real count alike, and so do the sets of each: by F1 alone, calling everything fake looks good.

    Args:
        crops: all that were judged.
        levels: int64 [N] of `mask_levels` or `score_levels`.
        fakes, reals: sets whose fake and whose real crops count.

    Returns:
        None where fake or real crops are missing, or none is better than calling everything the same.
    """
    fake, sets = np.array([crop.fake for crop in crops]), np.array([crop.set for crop in crops])
    called = levels[:, None] > np.arange(len(GRID))
    shares = []
    for names, label in ((fakes, True), (reals, False)):
        of_sets = [called[chosen] == label for name in names if (chosen := (sets == name) & (fake == label)).any()]
        if not of_sets:
            return None
        shares.append(np.mean([right.mean(axis=0) for right in of_sets], axis=0))
    right = shares[0] + shares[1]
    best = np.flatnonzero(np.isclose(right, right.max()))
    return int(best[len(best) // 2]) if right.max() > 1 + 1e-9 else None


def pair_dices(crops: Sequence[HeldCrop], maps: Sequence[UInt8Array]) -> Floats:
    """float64 [N]: of each registered fake, the mean Dice of itself and of its real crop; NaN of all else."""
    dices = np.full(len(crops), np.nan)
    for number, crop in enumerate(crops):
        if crop.mask is not None and crop.pair >= 0:
            clean = not (maps[crop.pair] > MARKED).any()
            dices[number] = (dice(maps[number] > MARKED, crop.mask > 0) + clean) / 2
    return dices


def _cell(
    crops: Sequence[HeldCrop], scores: Floats, dices: Floats, called: Bools | None, numbers: NDArray[np.int64]
) -> Cell:
    fake = np.array([crop.fake for crop in crops])
    names, owner = np.unique([crop.group for crop in crops], return_inverse=True)
    drawn = draw([None] * len(names), n_boot=N_BOOT, seed=0)

    def summed(values: NDArray[Any], of: NDArray[np.int64]) -> Floats:
        return np.bincount(of, values, minlength=len(names)).astype(np.float64)

    def calls(said: Bools, label: Bools, of: NDArray[np.int64]) -> Calls | None:
        if label.all() or not label.any():
            return None
        hits, present = summed(said & label, of), np.bincount(of, minlength=len(names)) > 0
        said_fake, fakes = summed(said, of), summed(label, of)
        return Calls(
            fakes=int(label.sum()),
            reals=int((~label).sum()),
            precision=ratio_figure(hits, said_fake, drawn, present, "nothing was called fake"),
            recall=ratio_figure(hits, fakes, drawn, present, "nothing fake was judged"),
            f1=ratio_figure(2 * hits, said_fake + fakes, drawn, present, "nothing fake was judged or called fake"),
        )

    frames = videos = None
    if called is not None:
        frames = calls(said := called[numbers], fake, owner)
        clips: dict[tuple[str, str, str, bool], list[int]] = {}
        for place, crop in enumerate(crops):
            # Fakes of several programs share one real recording.
            program = crop.program if crop.fake else ""
            clips.setdefault((crop.set, program, crop.file, crop.fake), []).append(place)
        whole = [places for places in clips.values() if len(places) >= OF_A_VIDEO]
        if whole:
            first = np.array([places[0] for places in whole])
            videos = calls(np.array([said[places].mean() > 0.5 for places in whole]), fake[first], owner[first])
    known = np.isfinite(dices)
    count = summed(known, owner)
    return Cell(
        auc=auc_figure([(scores[owner == each], fake[owner == each]) for each in range(len(names))], drawn),
        dice=ratio_figure(
            summed(np.where(known, dices, 0.0), owner),
            count,
            drawn,
            count > 0,
            "no masks, or none whose truth is known",
        ),
        fakes=int(fake.sum()),
        reals=int((~fake).sum()),
        frames=frames,
        videos=videos,
    )


BASELINES: dict[str, Callable[[UInt8Array], float]] = {
    "blur": blur,
    "sharpness": sharpness,
    "brightness": lambda pixels: float(pixels.mean()),
}
"""Baselines that know nothing of fakes: blurred, sharp for its contrast, or bright means fake."""
