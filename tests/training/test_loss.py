"""The loss against plain numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from streamguard.training.loss import PICTURE_FRACTION, SMOOTH, mask_loss, pooled_logits, presence_loss

MAPS = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=6)


def plain(logits: NDArray[np.float64], truth: NDArray[np.float64], taught: NDArray[np.float64], weight: float) -> float:
    """BCE - ln(DICE) over what is taught, as written down."""
    probability = 1 / (1 + np.exp(-logits))
    each = -(truth * np.log(probability) + (1 - truth) * np.log(1 - probability))
    entropy = (each * taught).sum() / max(1.0, taught.sum())
    both = (probability * truth * taught).sum()
    dice = (2 * both + SMOOTH) / ((probability * taught).sum() + (truth * taught).sum() + SMOOTH)
    return float(entropy - weight * np.log(dice))


@settings(max_examples=80, deadline=None)
@given(data=st.data(), shape=MAPS, weight=st.floats(0, 2))
def test_the_mask_loss_is_bce_minus_ln_dice_of_what_is_taught(
    data: st.DataObject, shape: tuple[int, ...], weight: float
) -> None:
    logits = data.draw(hnp.arrays(np.float64, shape, elements=st.floats(-12, 12)))
    truth = data.draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.4, 1.0])))
    taught = data.draw(hnp.arrays(np.float64, shape, elements=st.sampled_from([0.0, 1.0])))
    ours = float(mask_loss(torch.tensor(logits), torch.tensor(truth), torch.tensor(taught), weight))
    assert ours == pytest.approx(plain(logits, truth, taught, weight), rel=1e-6, abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_what_is_not_taught_has_no_gradient(seed: int) -> None:
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 8, 8, generator=random, requires_grad=True)
    truth, taught = (torch.rand(2, 8, 8, generator=random) > share for share in (0.7, 0.5))
    mask_loss(logits, truth.float(), taught.float()).backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert not logits.grad[~taught].any()
    assert logits.grad[taught].all()


def test_a_perfect_map_costs_nothing_and_a_wrong_one_much() -> None:
    truth = torch.zeros(2, 8, 8)
    truth[1, 2:6, 2:6] = 1
    taught = torch.ones_like(truth)
    right = mask_loss((truth * 2 - 1) * 30, truth, taught)
    wrong = mask_loss((1 - truth * 2) * 30, truth, taught)
    assert float(right) < 1e-3
    assert float(wrong) > 20


def test_extreme_logits_and_nothing_taught_stay_finite() -> None:
    for taught in (torch.ones(1, 4, 4), torch.zeros(1, 4, 4)):
        logits = torch.full((1, 4, 4), -1000.0, requires_grad=True)
        loss = mask_loss(logits, torch.ones(1, 4, 4), taught)
        loss.backward()  # type: ignore[no-untyped-call]
        assert torch.isfinite(loss)
        assert logits.grad is not None
        assert torch.isfinite(logits.grad).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_picture_loss_is_bce_of_the_mean_of_the_highest_sixteenth(seed: int) -> None:
    random = np.random.default_rng(seed)
    logits = random.normal(0, 3, (4, 16, 16))
    count = 256 // PICTURE_FRACTION
    pooled = np.sort(logits.reshape(4, -1), axis=1)[:, -count:].mean(axis=1)
    label = random.uniform(0, 1, 4)
    expected = (np.log1p(np.exp(pooled)) - pooled * label).mean()
    assert float(presence_loss(pooled_logits(torch.tensor(logits)), torch.tensor(label))) == pytest.approx(
        expected, rel=1e-6
    )


def test_pictures_that_are_neither_clearly_real_nor_clearly_fake_are_left_out() -> None:
    logits = torch.tensor([1.0, 50.0, -2.0])
    label = torch.tensor([1.0, math.nan, 0.0])
    without = presence_loss(logits[[0, 2]], label[[0, 2]])
    assert float(presence_loss(logits, label)) == pytest.approx(float(without))


def test_a_batch_of_unclear_pictures_costs_nothing_and_can_be_learnt_from() -> None:
    logits = torch.randn(2, requires_grad=True)
    loss = presence_loss(logits, torch.full((2,), math.nan))
    loss.backward()  # type: ignore[no-untyped-call]
    assert float(loss.detach()) == 0
    assert logits.grad is not None
    assert not logits.grad.any()
