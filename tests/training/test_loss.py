"""The loss against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from streamguard.training.loss import PICTURE_FRACTION, SMOOTH, picture_loss, segmentation_loss

MAPS = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6)


def plain(logits: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """BCE - ln(DICE), as written down."""
    probability = 1 / (1 + np.exp(-logits))
    entropy = -(truth * np.log(probability) + (1 - truth) * np.log(1 - probability)).mean()
    dice = (2 * (probability * truth).sum() + SMOOTH) / (probability.sum() + truth.sum() + SMOOTH)
    return float(entropy - np.log(dice))


@settings(max_examples=80, deadline=None)
@given(data=st.data(), shape=MAPS)
def test_the_segmentation_loss_is_bce_minus_ln_dice(data: st.DataObject, shape: tuple[int, ...]) -> None:
    logits = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(-12, 12)))
    truth = data.draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0])))
    ours = float(segmentation_loss(torch.tensor(logits), torch.tensor(truth)))
    assert ours == pytest.approx(plain(logits, truth), rel=1e-6, abs=1e-6)
    assert ours >= -1e-9


def test_a_perfect_map_costs_nothing_and_a_wrong_one_much() -> None:
    truth = torch.zeros(2, 8, 8)
    truth[1, 2:6, 2:6] = 1
    right = segmentation_loss((truth * 2 - 1) * 30, truth)
    wrong = segmentation_loss((1 - truth * 2) * 30, truth)
    assert float(right) < 1e-3
    assert float(wrong) > 20


def test_extreme_logits_stay_finite_and_have_a_gradient() -> None:
    logits = torch.full((1, 4, 4), -1000.0, requires_grad=True)
    loss = segmentation_loss(logits, torch.ones(1, 4, 4))
    loss.backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(loss)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_picture_loss_is_bce_of_the_mean_of_the_highest_sixteenth(seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (4, 16, 16))
    truth = np.zeros((4, 16, 16))
    truth[::2, 4:10, 4:10] = 1
    count = 256 // PICTURE_FRACTION
    pooled = np.sort(logits.reshape(4, -1), axis=1)[:, -count:].mean(axis=1)
    label = np.array([1, 0, 1, 0])
    expected = np.log1p(np.exp(-pooled * (2 * label - 1))).mean()
    assert float(picture_loss(torch.tensor(logits), torch.tensor(truth))) == pytest.approx(expected, rel=1e-6)


def test_pictures_that_are_neither_clearly_real_nor_clearly_fake_are_left_out() -> None:
    random = torch.manual_seed(0)
    logits = torch.randn(3, 16, 16, generator=random)
    truth = torch.zeros(3, 16, 16)
    truth[1, 0, :3] = 1
    truth[2, :8] = 1
    without = picture_loss(logits[[0, 2]], truth[[0, 2]])
    assert float(picture_loss(logits, truth)) == pytest.approx(float(without))
    other = logits.clone()
    other[1] += 50
    assert float(picture_loss(other, truth)) == pytest.approx(float(without))


def test_a_batch_of_unclear_pictures_costs_nothing_and_can_be_learnt_from() -> None:
    logits = torch.randn(2, 16, 16, requires_grad=True)
    truth = torch.zeros(2, 16, 16)
    truth[:, 0, 0] = 1
    loss = picture_loss(logits, truth)
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()
