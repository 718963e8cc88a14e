"""Intervals: percentile bootstrap over clips (Efron 1979), drawn within each label so that AUC stays defined.

Frames of one clip resemble one another, so clips are resampled, never frames. Every figure is a ratio of sums
over clips, or a double sum over pairs of clips: all resamples are evaluated by one matrix product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamguard.training.evaluation.metrics import Bools, Floats, wins


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure, or the reason why there is none.

    Attributes:
        value: None where the figure is undefined.
        low, high: 95 % percentile interval; None where the value or too many resamples are undefined, or
            where a class holds one clip only.
        reason: why the value, or else the interval, is missing; None when both are there.
        clips: clips that went into it.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None
    clips: int = 0


@dataclass(frozen=True, slots=True)
class Resamples:
    """How often each clip is drawn.

    Attributes:
        weights: float64 [B, C], the sums over each label's clips are constant.
        labels: bool [C].
    """

    weights: Floats
    labels: Bools


def draw(labels: Sequence[bool], *, n_boot: int, seed: int) -> Resamples:
    """`n_boot` resamples of the clips with replacement, stratified by label."""
    truth = np.asarray(labels, dtype=bool)
    weights = np.zeros((n_boot, truth.size))
    rng = np.random.default_rng(seed)
    for label in (False, True):
        members = np.flatnonzero(truth == label)
        if members.size:
            weights[:, members] = rng.multinomial(members.size, np.full(members.size, 1 / members.size), size=n_boot)
    return Resamples(weights, truth)


def ratio_figure(over: Floats, under: Floats, resamples: Resamples, present: Bools, reason: str) -> Figure:
    """The figure sum(over) / sum(under) with its interval.

    Args:
        over, under: float64 [C], each clip's share in numerator and denominator.
        resamples: of the same C clips.
        present: bool [C], the clips that were looked at; a clip may be present and add nothing (a real clip
            never called fake adds nothing to precision, and still is one of the clips that could have been
            drawn).
        reason: what to say when the denominator is 0.
    """
    clips = int(present.sum())
    if not under.sum() > 0:
        return Figure(None, reason=reason, clips=clips)
    top, bottom = resamples.weights @ over, resamples.weights @ under
    values = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    return _with_interval(float(over.sum() / under.sum()), values, resamples.labels[present])


def auc_figure(clips: Sequence[tuple[Floats, Bools]], resamples: Resamples) -> Figure:
    """The pooled AUC of all scores with its interval.

    Args:
        clips: per clip its scores, float64 [N], and labels, bool [N]; N may be 0 and may differ.
        resamples: of the same clips.
    """
    fakes, reals = [s[t] for s, t in clips], [s[~t] for s, t in clips]
    n_fake, n_real = _sizes(fakes), _sizes(reals)
    missing = [word for word, n in (("fake", n_fake), ("real", n_real)) if not n.sum()]
    if missing:
        return Figure(None, reason=f"nothing {' and nothing '.join(missing)} was judged")
    # beaten[i, j]: pairs (fake of clip i, real of clip j) in the right order; clip weights then multiply both
    # sides.
    beaten = np.zeros((len(clips), len(clips)))
    pooled = np.concatenate(fakes)
    owner = np.repeat(np.arange(len(clips)), n_fake.astype(int))
    for column, real in enumerate(reals):
        if real.size:
            beaten[:, column] = np.bincount(owner, wins(pooled, np.sort(real)), minlength=len(clips))
    weights = resamples.weights
    top = np.einsum("bi,bi->b", weights @ beaten, weights)
    bottom = (weights @ n_fake) * (weights @ n_real)
    values = np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
    contributes = (n_fake > 0) | (n_real > 0)
    value = float(beaten.sum() / (n_fake.sum() * n_real.sum()))
    return _with_interval(value, values, resamples.labels[contributes])


def _sizes(parts: Sequence[NDArray[np.float64]]) -> Floats:
    return np.array([part.size for part in parts], dtype=np.float64)


def _with_interval(value: float, values: Floats, labels: Bools) -> Figure:
    clips = labels.size
    defined = values[~np.isnan(values)]
    if min(int((labels == label).sum()) for label in np.unique(labels)) < 2:
        return Figure(value, reason="no interval: a class holds one clip only", clips=clips)
    if defined.size < 0.9 * values.size or not defined.size:
        return Figure(value, reason="no interval: undefined in more than a tenth of the resamples", clips=clips)
    low, high = (float(edge) for edge in np.percentile(defined, (2.5, 97.5)))
    return Figure(value, low, high, clips=clips)
