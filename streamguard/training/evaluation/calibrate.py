"""From raw scores to probabilities, and how right these probabilities are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike

from streamguard.errors import DataError
from streamguard.training.evaluation.metrics import Floats, checked

SMALLEST_GAIN = 1e-12
"""Share of the loss; a Newton step that promises less is the last."""


@dataclass(frozen=True, slots=True)
class Platt:
    """Calibrated probability = 1 / (1 + exp(-(slope * raw + offset)))."""

    slope: float
    offset: float

    @overload
    def apply(self, raw: float) -> float: ...
    @overload
    def apply(self, raw: Floats) -> Floats: ...
    def apply(self, raw: float | Floats) -> float | Floats:
        """The fake probability 0..1 of raw scores, of the same shape."""
        probability = _logistic(self.slope * np.asarray(raw, dtype=np.float64) + self.offset)
        return float(probability) if np.ndim(raw) == 0 else probability


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often a score came true; only bins that hold a score are listed.

    Attributes:
        score: float64 [K], mean score of each bin 0..1.
        share: float64 [K], share of fakes among them 0..1.
        count: int64 [K].
        error: expected calibration error 0..1: mean of |score - share| weighted by count (Naeini et al.
            2015).
    """

    score: Floats
    share: Floats
    count: np.ndarray[tuple[int], np.dtype[np.int64]]
    error: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the error, and one entry for each bin."""
        rows = zip(self.score.tolist(), self.share.tolist(), self.count.tolist(), strict=True)
        bins = [{"score": score, "share_fake": share, "frames": count} for score, share, count in rows]
        return {"expected_calibration_error": self.error, "bins": bins}


def fit_platt(raw: ArrayLike, labels: ArrayLike, *, steps: int = 100) -> Platt:
    """Slope and offset by Newton's method with step halving on Platt's smoothed targets.

    Sources: Platt 1999 for the targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2), which keep the slope finite on
    separable data; Lin, Lin & Weng 2007 for the numerically safe loss and the line search.

    Args:
        raw: [N] raw scores.
        labels: [N], true for fake.
        steps: Newton steps at most.

    Raises:
        DataError: one class only, scores not finite or all alike, or no convergence.
    """
    scores, truth = checked(raw, labels)
    fakes = int(truth.sum())
    if not 0 < fakes < truth.size:
        raise DataError("calibration", "all scores belong to one class", "give scores of real and of fake frames")
    # Shifted and scaled scores keep the Hessian well conditioned whatever unit the raw score has.
    centre, spread = float(scores.mean()), float(scores.std())
    if not spread > 1e-12 * max(1.0, abs(centre)):
        raise DataError("calibration", "all scores are alike", "check the detector before calibrating it")
    x = (scores - centre) / spread
    target = np.where(truth, (fakes + 1) / (fakes + 2), 1 / (truth.size - fakes + 2))
    design = np.stack([x, np.ones_like(x)], axis=1)
    fit = np.array([0.0, math.log((fakes + 1) / (truth.size - fakes + 1))])
    loss = _loss(design @ fit, target)
    for _ in range(steps):
        p = _logistic(design @ fit)
        gradient = design.T @ (p - target)
        if float(np.abs(gradient).max()) < 1e-9 * truth.size:
            slope = float(fit[0]) / spread
            return Platt(slope, float(fit[1]) - slope * centre)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        if float(gradient @ step) < SMALLEST_GAIN * (1 + abs(loss)):
            # All that is left to gain is lost in rounding.
            slope = float(fit[0]) / spread
            return Platt(slope, float(fit[1]) - slope * centre)
        size = 1.0
        while size > 1e-10 and _loss(design @ (fit - size * step), target) > loss - 1e-4 * size * (gradient @ step):
            size /= 2
        if size <= 1e-10:
            # No lower loss within rounding: the minimum is reached as nearly as float64 can tell.
            slope = float(fit[0]) / spread
            return Platt(slope, float(fit[1]) - slope * centre)
        fit = fit - size * step
        loss = _loss(design @ fit, target)
    raise DataError("calibration", f"no convergence after {steps} steps", "look at the scores: are they bounded?")


def reliability(scores: ArrayLike, labels: ArrayLike, *, bins: int = 10) -> Reliability | None:
    """The reliability curve over bins of equal width; None without scores.

    Args:
        scores: [N] probabilities 0..1.
        labels: [N], true for fake.
        bins: number of bins, at least 1.

    Raises:
        DataError: a score outside 0..1, or as `metrics.checked`.
    """
    values, truth = checked(scores, labels)
    if values.size == 0:
        return None
    if values.min() < 0 or values.max() > 1:
        raise DataError("scores", "lie outside 0..1", "calibrate them first")
    index = np.minimum((values * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    held = count > 0
    score = np.bincount(index, values, minlength=bins)[held] / count[held]
    share = np.bincount(index, truth.astype(np.float64), minlength=bins)[held] / count[held]
    error = float((count[held] * np.abs(score - share)).sum() / values.size)
    return Reliability(score, share, count[held].astype(np.int64), error)


def _logistic(z: Floats) -> Floats:
    small = np.exp(-np.abs(z))
    probability: Floats = np.where(z >= 0, 1.0, small) / (1.0 + small)
    return probability


def _loss(z: Floats, target: Floats) -> float:
    return float((np.logaddexp(0.0, z) - target * z).sum())
