"""From raw scores to probabilities, and how right these probabilities are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from streamguard.errors import DataError
from streamguard.training.evaluation.metrics import Floats, checked


@dataclass(frozen=True, slots=True)
class Platt:
    """Calibrated probability = 1 / (1 + exp(-(slope * raw + offset)))."""

    slope: float
    offset: float


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


def fit_platt(raw: ArrayLike, labels: ArrayLike) -> Platt:
    """Slope and offset by logistic regression on Platt's smoothed targets.

    Source: Platt 1999: the targets (N+ + 1) / (N+ + 2) and 1 / (N- + 2) keep the slope finite on separable data.

    Args:
        raw: [N] raw scores.
        labels: [N], true for fake.

    Raises:
        DataError: one class only, or scores that are not finite or all alike.
    """
    from sklearn.linear_model import LogisticRegression

    scores, truth = checked(raw, labels)
    fakes = int(truth.sum())
    if not 0 < fakes < truth.size:
        raise DataError("calibration", "all scores belong to one class", "give scores of real and of fake frames")
    # Shifted and scaled scores keep the Hessian well conditioned whatever unit the raw score has.
    centre, spread = float(scores.mean()), float(scores.std())
    if not spread > 1e-12 * max(1.0, abs(centre)):
        raise DataError("calibration", "all scores are alike", "check the detector before calibrating it")
    target = np.where(truth, (fakes + 1) / (fakes + 2), 1 / (truth.size - fakes + 2))
    # A smoothed target is one example of each class with these weights.
    values = np.tile((scores - centre) / spread, 2)[:, None]
    fit = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-9, max_iter=1000)
    fit.fit(values, np.repeat([1, 0], truth.size), np.concatenate([target, 1 - target]))
    slope = float(fit.coef_[0, 0]) / spread
    return Platt(slope, float(fit.intercept_[0]) - slope * centre)


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
