"""Calibration, threshold grid and know-nothing baselines."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize

from streamguard.errors import DataError
from streamguard.training.evaluation.calibrate import Platt, fit_platt, reliability
from streamguard.training.evaluation.ellipse import blur, ellipse_mask, face_box, picture_size, sharpness
from streamguard.training.evaluation.grid import MaskSample, largest_components, threshold_grid


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
    assert fit.apply(0.0) == pytest.approx(0.5)


def test_calibrated_scores_come_true() -> None:
    rng = np.random.default_rng(0)
    raw = rng.normal(0, 3, 20_000)
    labels = rng.random(20_000) < 1 / (1 + np.exp(-(1.7 * raw - 0.4)))
    fit = fit_platt(raw, labels)
    assert (fit.slope, fit.offset) == pytest.approx((1.7, -0.4), abs=0.1)
    curve = reliability(fit.apply(raw), labels)
    assert curve is not None
    assert curve.error < 0.02
    assert curve.count.sum() == 20_000


def test_applying_never_overflows() -> None:
    np.testing.assert_allclose(Platt(1.0, 0.0).apply(np.array([-1e9, 0.0, 1e9])), [0, 0.5, 1])


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


def blot(side: int, level: int) -> np.ndarray:
    probability = np.zeros((256, 256), np.uint8)
    probability[50 : 50 + side, 60 : 60 + side] = level
    return probability


def test_largest_component_is_counted_above_the_threshold() -> None:
    probability = blot(20, 130)
    probability[200:210, 200:205] = 255
    assert largest_components(probability, [0.2, 130 / 255, 0.9, 1.0]) == [400, 50, 50, 0]


def test_the_grid_finds_the_setting_that_separates() -> None:
    samples = [MaskSample(blot(20, 200), True, f"f{n}") for n in range(3)]
    samples += [MaskSample(blot(20, 90), False, f"r{n}") for n in range(3)]
    samples += [MaskSample(blot(6, 255), False, "dots")]
    grid = threshold_grid(iter(samples), thresholds=(0.1, 0.5, 0.7, 0.9), smallest=(0, 100, 600))
    assert len(grid.rows) == 12
    assert (grid.best.threshold, grid.best.smallest) in {(0.5, 100), (0.7, 100)}
    assert (grid.best.f1, grid.best.balanced_accuracy, grid.best.video) == (1.0, 1.0, 1.0)
    worst = next(row for row in grid.rows if (row.threshold, row.smallest) == (0.1, 0))
    assert (worst.recall, worst.balanced_accuracy, worst.precision) == pytest.approx((1.0, 0.5, 3 / 7))


def test_a_component_of_exactly_the_smallest_size_does_not_count() -> None:
    samples = [MaskSample(blot(10, 255), True, "f"), MaskSample(blot(0, 0), False, "r")]
    rows = threshold_grid(samples, thresholds=(0.5,), smallest=(99, 100)).rows
    assert [row.recall for row in rows] == [1.0, 0.0]


def test_a_plateau_is_entered_in_the_middle() -> None:
    samples = [MaskSample(blot(30, 255), True, "f"), MaskSample(blot(0, 0), False, "r")]
    best = threshold_grid(samples, thresholds=(0.1, 0.3, 0.5, 0.7, 0.9), smallest=(0, 100, 200)).best
    assert (best.threshold, best.smallest) == (0.5, 100)


def test_the_grid_needs_both_classes_and_a_setting() -> None:
    with pytest.raises(DataError):
        threshold_grid([MaskSample(blot(5, 9), True, "a")])
    with pytest.raises(DataError):
        threshold_grid([], thresholds=())


def test_ellipse_lies_in_the_middle_of_the_crop() -> None:
    box = face_box(1.4)
    width, height = box[2] - box[0], box[3] - box[1]
    assert height == pytest.approx(256 / 1.4)
    assert width == pytest.approx(0.75 * height)
    mask = ellipse_mask(box)
    assert mask.sum() == pytest.approx(np.pi / 4 * width * height, rel=0.01)
    rows, columns = np.nonzero(mask)
    assert columns.mean() == pytest.approx(127.5, abs=0.5)
    assert rows.mean() == pytest.approx(127.5 - 0.05 * height, abs=1)


@pytest.mark.parametrize("values", [{"margin": 0.9}, {"margin": 1.3, "aspect": 0.0}])
def test_impossible_faces_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(DataError):
        face_box(**values)
    with pytest.raises(DataError):
        ellipse_mask((5, 5, 5, 9))


def test_blurring_a_picture_raises_its_blur() -> None:
    sharp = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    soft = cv2.GaussianBlur(sharp, (7, 7), 0)
    assert blur(soft) > blur(sharp)
    assert sharpness(np.full((9, 9), 7, np.uint8)) == 0
    assert picture_size(640, 360) == 230_400
