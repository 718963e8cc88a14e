"""The measures themselves: pure functions of scores, labels and masks."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamguard.errors import DataError

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]


def checked(scores: ArrayLike, labels: ArrayLike) -> tuple[Floats, Bools]:
    """Scores as float64 [N] and labels as bool [N].

    Raises:
        DataError: they differ in length, have more than one axis, or a score is not finite.
    """
    values, truth = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=bool)
    if values.ndim != 1 or values.shape != truth.shape:
        raise DataError("scores", f"shapes {values.shape} and {truth.shape} are not one list each of one length")
    if not np.isfinite(values).all():
        raise DataError("scores", "hold values that are not finite")
    return values, truth


def auc(scores: ArrayLike, labels: ArrayLike) -> float | None:
    """The chance 0..1 that a fake scores above a real one, ties counting half; None with one class only.

    This is the Mann-Whitney statistic, equal to the area under the ROC curve (Hanley & McNeil 1982).

    Raises:
        DataError: as `checked`.
    """
    values, truth = checked(scores, labels)
    if truth.all() or not truth.any():
        return None
    fake, real = values[truth], np.sort(values[~truth])
    return float(wins(fake, real).sum() / (fake.size * real.size))


def wins(fake: Floats, real_sorted: Floats) -> Floats:
    """For each fake score, how many of the sorted real scores it beats, ties counting half; float64 [N]."""
    below = np.searchsorted(real_sorted, fake, side="left")
    upto = np.searchsorted(real_sorted, fake, side="right")
    beaten: Floats = (below + upto) / 2.0
    return beaten


def dice(predicted: ArrayLike, truth: ArrayLike) -> float:
    """Dice 0..1 of two masks of one shape; an empty truth is met by an empty prediction only.

    Args:
        predicted, truth: bool [H, W], or anything that is true where a pixel is fake.
    """
    ours, true = np.asarray(predicted, dtype=bool), np.asarray(truth, dtype=bool)
    size = int(ours.sum() + true.sum())
    return 2.0 * int((ours & true).sum()) / size if size else 1.0
