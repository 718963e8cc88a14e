"""Views of pairs: one chain for both, and the truth goes with them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from streamguard.training.augment import View
from streamguard.training.batched.seen import seen
from tests.training.batched.material import SIZE, pictures, tensor, views


def pairs(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    return torch.stack([real, fake], dim=1)


@pytest.mark.parametrize("seed", range(3))
def test_a_fake_that_equals_its_real_comes_out_equal(seed: int) -> None:
    crops, _ = pictures(16)
    real, recipes = tensor(crops), views(16, seed=seed)
    # Every step of the chain is taken by some of them.
    for taken in (recipes.levelled, recipes.blur > 0, recipes.sent < 128, recipes.quality > 0, recipes.cubic):
        assert taken.any()
    out, truth = seen(pairs(real, real), torch.zeros(16, SIZE, SIZE), recipes)
    assert out.shape == (16, 2, 3, 128, 128)
    assert torch.equal(out[:, 0], out[:, 1])
    assert torch.equal(out, out.round().clamp(0, 255))
    assert not truth.any()


def test_noise_and_softening_are_shared_too() -> None:
    crops, _ = pictures(4)
    recipes = replace(views(4, degrade=0), noise=np.full(4, 5.0), soften=np.array([0, 0.8, 0, 0.8]))
    out, _ = seen(pairs(tensor(crops), tensor(crops)), torch.zeros(4, SIZE, SIZE), recipes)
    still, _ = seen(
        pairs(tensor(crops), tensor(crops)), torch.zeros(4, SIZE, SIZE), replace(recipes, noise=np.zeros(4))
    )
    assert torch.equal(out[:, 0], out[:, 1])
    assert 3 < (out - still).std() < 6


@pytest.mark.parametrize("seed", range(4))
def test_the_mask_lies_where_the_fake_does(seed: int) -> None:
    """Known squares, brighter by 100: where the views of real and fake differ, there is the mask of the view."""
    crops, _ = pictures(8)
    real = (tensor(crops) / 4).round()
    mask = torch.zeros(8, SIZE, SIZE)
    mask[:, 90:150, 110:200] = 1
    mask[:, 200:230, 100:130] = 1
    recipes = views(8, 160, seed, degrade=0, view=View(160, (0.5, 1.4)))
    out, truth = seen(pairs(real, real + 100 * mask[:, None]), mask, recipes)
    changed = (out[:, 1] - out[:, 0]).amax(dim=1)
    assert truth.sum() > 1000
    for n in range(8):
        exact, marked = (changed[n] > 30).numpy().astype(np.uint8), truth[n].numpy().astype(np.uint8)
        # Interpolation leaves a border of a pixel or two in doubt, no more.
        core = cv2.erode(marked, np.ones((5, 5)))
        rim = cv2.dilate(marked, np.ones((5, 5)))
        assert (exact[core > 0] == 1).all()
        assert (exact[rim == 0] == 0).all()


def test_a_hidden_region_is_hidden_from_all() -> None:
    crops, _ = pictures(3)
    recipes = views(3, degrade=0)
    hidden = np.array([[10, 20, 30, 40], [0, 0, 0, 0], [0, 0, 5, 5]])
    out, truth = seen(pairs(tensor(crops), tensor(crops)), torch.ones(3, SIZE, SIZE), replace(recipes, hidden=hidden))
    fill = torch.from_numpy(recipes.fill[0]).float()[None, :, None, None]
    assert torch.equal(out[0, :, :, 20:60, 10:40], fill.expand(2, 3, 40, 30))
    assert truth.sum(dim=(1, 2)).tolist() == [128 * 128 - 1200, 128 * 128, 128 * 128 - 25]


@pytest.mark.parametrize(("patch", "zoom"), [(128, 0.5), (256, 1.0)])
def test_the_zoom_decides_how_much_is_seen(patch: int, zoom: float) -> None:
    crops, _ = pictures(12)
    mask = torch.zeros(12, SIZE, SIZE)
    mask[:, 120:200, 130:190] = 1
    recipes = views(12, patch, 3, degrade=0, view=View(patch, (zoom, zoom)))
    _, truth = seen(pairs(tensor(crops), tensor(crops)), mask, recipes)
    areas = truth.sum(dim=(1, 2)) / (mask[0].sum() * zoom**2)
    assert ((areas > 0.75) & (areas < 1.25)).all()


def test_degrading_is_as_frequent_as_told() -> None:
    for share in (0.0, 0.5, 1.0):
        recipes = views(4000, degrade=share)
        assert (recipes.sent < 128).mean() == pytest.approx(0.35 * share, abs=0.03)
        assert (recipes.quality > 0).mean() == pytest.approx(0.6 * share, abs=0.03)
        assert (recipes.noise > 0).mean() == pytest.approx(0.15 * share, abs=0.03)
        assert (recipes.soften > 0).mean() == pytest.approx(0.1 * share, abs=0.03)
