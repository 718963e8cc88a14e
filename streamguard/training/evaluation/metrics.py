"""The measures themselves: pure functions of scores, labels and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamguard.errors import DataError

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Roc:
    """A receiver operating characteristic, from (0, 0) to (1, 1).

    Attributes:
        false_alarms: float64 [K], share of real ones at or above each threshold, rising.
        hits: float64 [K], share of fakes at or above each threshold, rising.
        thresholds: float64 [K], falling; the first is infinite (nothing is called fake).
    """

    false_alarms: Floats
    hits: Floats
    thresholds: Floats


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


def roc(scores: ArrayLike, labels: ArrayLike, weights: ArrayLike | None = None) -> Roc | None:
    """The ROC curve with one point per distinct score; None with one class only.

    Args:
        scores, labels: as `auc`.
        weights: how often each one counts, >= 0, [N]; all alike when None.

    Raises:
        DataError: as `checked`, or weights of another length or below 0.
    """
    values, truth = checked(scores, labels)
    weight = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)
    if weight.shape != values.shape or (weight < 0).any():
        raise DataError("weights", "are not one number of at least 0 for each score")
    order = np.argsort(-values, kind="stable")
    values, fake, real = values[order], (weight * truth)[order].cumsum(), (weight * ~truth)[order].cumsum()
    if values.size == 0 or fake[-1] == 0 or real[-1] == 0:
        return None
    last = np.append(np.flatnonzero(np.diff(values)), values.size - 1)
    return Roc(
        np.append(0.0, real[last] / real[-1]),
        np.append(0.0, fake[last] / fake[-1]),
        np.append(np.inf, values[last]),
    )


def mask_agreement(predicted: ArrayLike, truth: ArrayLike) -> tuple[float, float]:
    """Dice and intersection over union of two masks, each 0..1.

    An empty truth is met by an empty prediction only: 1 then, 0 for any other (the real halves of a set).

    Args:
        predicted, truth: bool [H, W], or anything that is true where a pixel is fake.

    Raises:
        DataError: the shapes differ.
    """
    ours, true = np.asarray(predicted, dtype=bool), np.asarray(truth, dtype=bool)
    if ours.shape != true.shape:
        raise DataError("masks", f"shapes differ: {ours.shape} and {true.shape}")
    both, either = int((ours & true).sum()), int((ours | true).sum())
    if either == 0:
        return 1.0, 1.0
    return 2.0 * both / (both + either), both / either


def video_verdict(verdicts: ArrayLike) -> bool | None:
    """The video rule: fake when more than half of the judged frames are; None when none was judged.

    Source: Preste's articles on deepfake segmentation.
    """
    fake = np.asarray(verdicts, dtype=bool)
    return bool(2 * int(fake.sum()) > fake.size) if fake.size else None
