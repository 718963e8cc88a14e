"""Measures against brute force and scipy; intervals against resampling by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import f1_score, roc_auc_score

from streamguard.errors import DataError
from streamguard.training.evaluation.metrics import auc, auc_figure, dice, draw, ratio_figure

# Few distinct values: ties are the rule, not the exception.
scored = st.lists(st.tuples(st.integers(0, 6).map(lambda n: n / 6), st.booleans()), max_size=40)


def brute_auc(scores: np.ndarray, labels: np.ndarray) -> float | None:
    pairs = list(itertools.product(scores[labels], scores[~labels]))
    return sum(1.0 if f > r else 0.5 if f == r else 0.0 for f, r in pairs) / len(pairs) if pairs else None


def split(rows: list[tuple[float, bool]]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([row[0] for row in rows]), np.array([row[1] for row in rows], dtype=bool)


@settings(deadline=None)
@given(scored)
def test_auc_against_every_pair_scipy_and_the_curve(rows: list[tuple[float, bool]]) -> None:
    scores, labels = split(rows)
    expected, got = brute_auc(scores, labels), auc(scores, labels)
    if expected is None:
        assert got is None
        return
    assert got == pytest.approx(expected)
    n_fake, n_real = int(labels.sum()), int((~labels).sum())
    u = stats.mannwhitneyu(scores[labels], scores[~labels]).statistic
    assert got == pytest.approx(u / (n_fake * n_real))
    ranks = stats.rankdata(scores)[labels].sum()
    assert got == pytest.approx((ranks - n_fake * (n_fake + 1) / 2) / (n_fake * n_real))
    assert got == pytest.approx(roc_auc_score(labels, scores))


@pytest.mark.parametrize("scores", [[0.1], [[0.1], [0.2]], [0.1, np.nan]])
def test_unusable_scores_are_refused(scores: list[float]) -> None:
    with pytest.raises(DataError):
        auc(scores, [True, False])


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 4).map(float), st.booleans()), max_size=6), min_size=1, max_size=7))
def test_bootstrapped_auc_equals_resampling_by_hand(rows: list[list[tuple[float, bool]]]) -> None:
    clips = [split(part) for part in rows]
    drawn = draw([index % 2 == 0 for index in range(len(clips))], n_boot=30, seed=3)
    figure = auc_figure(clips, drawn)
    values = []
    for weights in drawn.weights.astype(int):
        chosen = [clip for clip, times in zip(clips, weights, strict=True) for _ in range(times)]
        value = brute_auc(np.concatenate([c[0] for c in chosen]), np.concatenate([c[1] for c in chosen]))
        values += [] if value is None else [value]
    expected = brute_auc(np.concatenate([c[0] for c in clips]), np.concatenate([c[1] for c in clips]))
    if expected is None:
        assert figure.value is None
        assert figure.reason
        return
    assert figure.value == pytest.approx(expected)
    if figure.low is not None:
        np.testing.assert_allclose((figure.low, figure.high), np.percentile(values, (2.5, 97.5)))
    else:
        assert figure.reason


def test_bootstrapped_ratio_equals_resampling_by_hand() -> None:
    rng = np.random.default_rng(0)
    over, under = rng.integers(0, 5, 12).astype(float), rng.integers(5, 9, 12).astype(float)
    drawn = draw([index < 5 for index in range(12)], n_boot=200, seed=1)
    figure = ratio_figure(over, under, drawn, under > 0, "none")
    by_hand = [sum(w * over) / sum(w * under) for w in drawn.weights]
    assert figure.value == pytest.approx(over.sum() / under.sum())
    np.testing.assert_allclose((figure.low, figure.high), np.percentile(by_hand, (2.5, 97.5)))


def test_resamples_keep_the_size_of_each_class() -> None:
    drawn = draw([True] * 3 + [False] * 5, n_boot=100, seed=0)
    assert set(drawn.weights[:, :3].sum(axis=1)) == {3.0}
    assert set(drawn.weights[:, 3:].sum(axis=1)) == {5.0}


def test_seeds_decide() -> None:
    first, again, other = (draw([True, False] * 4, n_boot=9, seed=seed).weights for seed in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(7)
    covered = 0
    for trial in range(200):
        rates = rng.beta(4, 2, 60)
        hits = rng.binomial(20, rates).astype(float)
        size = np.full(60, 20.0)
        figure = ratio_figure(hits, size, draw([True] * 60, n_boot=400, seed=trial), size > 0, "")
        assert figure.low is not None
        assert figure.high is not None
        covered += figure.low <= 4 / 6 <= figure.high
    assert 180 <= covered <= 199


@given(st.lists(st.booleans(), min_size=9, max_size=9), st.lists(st.booleans(), min_size=9, max_size=9))
def test_dice_against_scikit_learn(ours: list[bool], true: list[bool]) -> None:
    assert dice(np.reshape(ours, (3, 3)), np.reshape(true, (3, 3))) == pytest.approx(
        f1_score(true, ours, zero_division=1.0)
    )


def test_an_empty_truth_is_met_by_an_empty_mask_only() -> None:
    empty, dot = np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    assert (dice(empty, empty), dice(dot, empty)) == (1.0, 0.0)


def test_units_that_hold_both_classes_count_for_either() -> None:
    both, fake = split([(0.9, True), (0.2, False)]), split([(0.4, True)])
    assert auc_figure([both, fake, both], draw([None, True, None], n_boot=50, seed=0)).low is not None
    alone = auc_figure([both, fake], draw([None, True], n_boot=50, seed=0))
    assert (alone.value, alone.low) == (1.0, None)
    assert "one group" in (alone.reason or "")
