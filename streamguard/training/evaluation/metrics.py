"""The measures, pure functions of scores, labels and masks; their intervals; calibration; baselines that know nothing.

Intervals are by percentile bootstrap over units (Efron 1979): clips, or groups of clips that show the same person.
Frames of one clip resemble one another, so units are resampled, never frames; within each class, so that AUC stays
defined. Every figure is a ratio of sums over units, or a double sum over pairs of units: all resamples are evaluated by
one matrix product. Neither `scipy.stats.bootstrap` nor scikit-learn resamples units within classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from streamguard.errors import DataError
from streamguard.types import BoolArray, Box, UInt8Array

Floats: TypeAlias = NDArray[np.float64]
Bools: TypeAlias = NDArray[np.bool_]

CONFIDENCE = 0.95
RISE = 0.05
_BOTH = 2


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
    """Number of sorted real scores that each fake score beats, ties counting half; float64 [N]."""
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


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure, or the reason why there is none.

    Attributes:
        value: None where the figure is undefined.
        low, high: 95 % percentile interval; None where the value or too many resamples are undefined, or
            where a class holds one unit only.
        reason: why the value, or else the interval, is missing; None when both are there.
        units: clips or groups that went into it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    units: int = 0


@dataclass(frozen=True, slots=True)
class Resamples:
    """Number of times that each unit is drawn.

    Attributes:
        weights: float64 [B, U], the sums over each class's units are constant.
        classes: int [U], 0 real, 1 fake, 2 both.
    """

    weights: Floats
    classes: NDArray[np.int64]


def draw(labels: Sequence[bool | None], *, n_boot: int, seed: int) -> Resamples:
    """`n_boot` resamples of the units with replacement, stratified by label; None for units that hold both."""
    classes = np.array([_BOTH if label is None else int(label) for label in labels], dtype=np.int64)
    weights = np.zeros((n_boot, classes.size))
    rng = np.random.default_rng(seed)
    for kind in np.unique(classes):
        members = np.flatnonzero(classes == kind)
        weights[:, members] = rng.multinomial(members.size, np.full(members.size, 1 / members.size), size=n_boot)
    return Resamples(weights, classes)


def ratio_figure(over: Floats, under: Floats, resamples: Resamples, present: Bools, reason: str) -> Figure:
    """The figure sum(over) / sum(under) with its interval.

    Args:
        over, under: float64 [U], each unit's share in numerator and denominator.
        resamples: of the same U units.
        present: bool [U], the units that were looked at; a unit may be present and add nothing (a real clip
            never called fake adds nothing to precision, and still is one of the clips that could have been
            drawn).
        reason: what to say when the denominator is 0.
    """
    if not under.sum() > 0:
        return Figure(None, reason=reason, units=int(present.sum()))
    top, bottom = resamples.weights @ over, resamples.weights @ under
    values = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return _with_interval(float(over.sum() / under.sum()), values, resamples.classes[present])


def auc_figure(units: Sequence[tuple[Floats, Bools]], resamples: Resamples) -> Figure:
    """The pooled AUC of all scores with its interval.

    Args:
        units: per unit its scores, float64 [N], and labels, bool [N]; N may be 0 and may differ.
        resamples: of the same units.
    """
    fakes, reals = [s[t] for s, t in units], [s[~t] for s, t in units]
    n_fake, n_real = _sizes(fakes), _sizes(reals)
    missing = [word for word, n in (("fake", n_fake), ("real", n_real)) if not n.sum()]
    if missing:
        return Figure(None, reason=f"nothing {' and nothing '.join(missing)} was judged")
    # beaten[i, j]: pairs (fake of unit i, real of unit j) in the right order; unit weights then multiply both
    # sides.
    beaten = np.zeros((len(units), len(units)))
    pooled = np.concatenate(fakes)
    owner = np.repeat(np.arange(len(units)), n_fake.astype(int))
    for column, real in enumerate(reals):
        if real.size:
            beaten[:, column] = np.bincount(owner, wins(pooled, np.sort(real)), minlength=len(units))
    weights = resamples.weights
    top = np.einsum("bi,bi->b", weights @ beaten, weights)
    bottom = (weights @ n_fake) * (weights @ n_real)
    values = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    contributes = (n_fake > 0) | (n_real > 0)
    value = float(beaten.sum() / (n_fake.sum() * n_real.sum()))
    return _with_interval(value, values, resamples.classes[contributes])


def _sizes(parts: Sequence[NDArray[np.float64]]) -> Floats:
    return np.array([part.size for part in parts], dtype=np.float64)


def _with_interval(value: float, values: Floats, classes: NDArray[np.int64]) -> Figure:
    defined = values[~np.isnan(values)]
    held = [int(((classes == label) | (classes == _BOTH)).sum()) for label in (0, 1)]
    if 1 in held or not any(held):
        return Figure(value, reason="no interval: a class holds one group only", units=classes.size)
    if defined.size < 0.9 * values.size or not defined.size:
        return Figure(value, reason="no interval: undefined in more than a tenth of the resamples", units=classes.size)
    low, high = (float(edge) for edge in np.percentile(defined, (2.5, 97.5)))
    return Figure(value, low, high, units=classes.size)


def poisson_bound(count: int) -> float:
    """The largest mean at which so few events are not yet too rare (Garwood 1936): one-sided, 95 %."""
    return float(stats.gamma.ppf(CONFIDENCE, count + 1))


def share_bound(count: int, of: int) -> float:
    """The largest share at which so few of so many are not yet too rare (Clopper & Pearson 1934): one-sided, 95 %."""
    if not of:
        return 1.0
    return float(stats.binomtest(count, of, alternative="less").proportion_ci(CONFIDENCE, "exact").high)


@dataclass(frozen=True, slots=True)
class Platt:
    """Calibrated probability = 1 / (1 + exp(-(slope * raw + offset)))."""

    slope: float
    offset: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Share of scores that came true, by bin; only bins that hold a score are listed.

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


def ellipse_mask(box: Box, *, size: int = 256, rise: float = RISE) -> BoolArray:
    """The ellipse inscribed in a face box, raised a little: bool [size, size].

    Face swaps replace an oval about that size; on frames of 24 swapped recordings it reaches a Dice of 0.88
    with the filled truth while it knows nothing of the picture. It is therefore right on no real face.

    Args:
        box: the face box in crop pixels; not empty.
        size: side of the crop in pixels.
        rise: how far the ellipse's centre lies above the box's, as a share of the box's height.
    """
    x0, y0, x1, y1 = box
    rows, columns = np.mgrid[:size, :size] + 0.5
    across = (columns - (x0 + x1) / 2) / ((x1 - x0) / 2)
    down = (rows - (y0 + y1) / 2 + rise * (y1 - y0)) / ((y1 - y0) / 2)
    inside: BoolArray = across**2 + down**2 <= 1.0
    return inside


def blur(pixels: UInt8Array) -> float:
    """The baseline "blurred means fake": variance of the Laplacian of the luma (Pech-Pacheco et al. 2000), with its
    sign turned, so that higher means more fake.

    Args:
        pixels: uint8 [H, W, 3] RGB.
    """
    return -float(cv2.Laplacian(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())


def largest_components(probability: UInt8Array, thresholds: Sequence[float]) -> list[int]:
    """Points of the largest 8-connected component above each threshold (0 where there is none).

    Args:
        probability: uint8 [H, W], 0..255 for a fake probability of 0..1.
        thresholds: 0..1.
    """
    sizes = []
    for threshold in thresholds:
        above = (probability > threshold * 255).astype(np.uint8)
        if not above.any():
            sizes.append(0)
            continue
        stats = cv2.connectedComponentsWithStats(above, connectivity=8)[2]
        sizes.append(int(stats[1:, cv2.CC_STAT_AREA].max()))
    return sizes
