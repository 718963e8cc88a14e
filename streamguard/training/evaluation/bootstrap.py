"""Intervals: percentile bootstrap over units (Efron 1979): clips, or groups of clips that show the same person.

Frames of one clip resemble one another, so units are resampled, never frames; within each class, so that AUC stays
defined. Every figure is a ratio of sums over units, or a double sum over pairs of units: all resamples are evaluated by
one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamguard.training.evaluation.metrics import Bools, Floats, wins

_BOTH = 2


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
    """How often each unit is drawn.

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
