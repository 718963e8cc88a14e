"""Calibration, component sizes and the fixed ellipse."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, special

from streamguard.errors import DataError
from streamguard.training.evaluation.metrics import blur, ellipse_mask, fit_platt, largest_components, reliability


def loss(fit: np.ndarray, raw: np.ndarray, labels: np.ndarray) -> float:
    fakes, reals = labels.sum(), (~labels).sum()
    target = np.where(labels, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    z = fit[0] * raw + fit[1]
    return float((np.logaddexp(0, z) - target * z).sum())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 9999), st.floats(-5, 5), st.floats(0.01, 300), st.floats(-1000, 1000))
def test_platt_reaches_the_minimum_scipy_finds(seed: int, gap: float, unit: float, offset: float) -> None:
    rng = np.random.default_rng(seed)
    labels = np.arange(60) % 3 == 0
    raw = rng.normal(0, 1, 60) + gap * labels
    fit = fit_platt(raw * unit + offset, labels)
    best = optimize.minimize(loss, np.zeros(2), args=(raw, labels), method="BFGS", options={"gtol": 1e-8}).fun
    assert loss(np.array([fit.slope, fit.offset]), raw * unit + offset, labels) <= best + 1e-5 * (1 + abs(best))


def test_separable_scores_keep_a_finite_slope() -> None:
    fit = fit_platt([-2.0, -1.0, 1.0, 2.0], [False, False, True, True])
    assert 0 < fit.slope < 20
    assert fit.offset == pytest.approx(0.0, abs=1e-6)


def test_calibrated_scores_come_true() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 3, 20_000)
    labels = rng.random(20_000) < special.expit(1.7 * raw - 0.4)
    fit = fit_platt(raw, labels)
    assert (fit.slope, fit.offset) == pytest.approx((1.7, -0.4), abs=0.1)
    curve = reliability(special.expit(fit.slope * raw + fit.offset), labels)
    assert curve is not None
    assert curve.error < 0.02
    assert curve.count.sum() == 20_000


@pytest.mark.parametrize(
    ("raw", "labels"),
    [([1.0, 2.0], [True, True]), ([], []), ([1.0, 1.0], [True, False]), ([np.nan, 1.0], [True, False])],
)
def test_unusable_calibration_data_is_refused(raw: list[float], labels: list[bool]) -> None:
    with pytest.raises(DataError):
        fit_platt(raw, labels)


def test_expected_calibration_error_by_hand() -> None:
    curve = reliability([0.05, 0.05, 0.95, 1.0], [False, True, True, True])
    assert curve is not None
    np.testing.assert_allclose(curve.share, [0.5, 1.0])
    assert curve.error == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)
    assert reliability([], []) is None
    with pytest.raises(DataError):
        reliability([1.5], [True])


def test_largest_component_is_counted_above_the_threshold() -> None:
    probability = np.zeros((256, 256), np.uint8)
    probability[50:70, 60:80], probability[200:210, 200:205] = 130, 255
    assert largest_components(probability, [0.2, 130 / 255, 0.9, 1.0]) == [400, 50, 50, 0]


def test_ellipse_lies_a_little_above_the_middle_of_its_box() -> None:
    mask = ellipse_mask((60.0, 40.0, 190.0, 220.0))
    assert mask.sum() == pytest.approx(np.pi / 4 * 130 * 180, rel=0.01)
    rows, columns = np.nonzero(mask)
    assert columns.mean() == pytest.approx(124.5, abs=0.5)
    assert rows.mean() == pytest.approx(129.5 - 0.05 * 180, abs=1)


def test_blurring_a_picture_raises_its_blur() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert blur(np.asarray(cv2.GaussianBlur(sharp, (7, 7), 0), np.uint8)) > blur(sharp)
    assert blur(np.full((9, 9, 3), 7, np.uint8)) == 0
