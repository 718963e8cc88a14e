"""Fakes of a whole batch."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from streamguard.training.batched.fakes import bilateral, blended, lost_detail, parted
from streamguard.training.batched.outline import hard_inside
from streamguard.training.batched.recipes import Detail, draw_parts
from tests.training.batched.material import SIZE, blends, pictures, pixels, tensor

NONE = torch.empty(0, 3, SIZE, SIZE)


@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_what_the_mask_covers_changes_and_little_else(seed: int, plain: bool) -> None:
    crops, marks = pictures(6)
    real, recipes = tensor(crops), blends(marks, seed, plain=plain)
    recipes = replace(recipes, outer=np.zeros(6, bool))
    fake, mask = blended(real, NONE, recipes)
    assert fake.shape == real.shape
    assert torch.equal(fake, fake.round().clamp(0, 255))
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    moved = (fake - real).abs().sum(dim=1)
    inside, outside = ((moved * part).sum() / part.sum() for part in (mask, 1 - mask))
    assert outside < 0.35 * inside
    assert inside > 0.5
    # Where no blend reaches, not one level changes.
    far = cv2.dilate(hard_inside(recipes.outlines, SIZE, real).amax(dim=0).numpy(), np.ones((121, 121))) == 0
    assert moved[:, torch.from_numpy(far)].max() == 0


def test_what_lies_around_the_face_may_be_the_altered_side() -> None:
    crops, marks = pictures(2)
    recipes = replace(blends(marks, 1), outer=np.ones(2, bool), match=np.zeros(2), ratio=np.ones(2))
    colours = replace(recipes.colours, offset=np.full((2, 3), 20.0))
    same = np.tile(np.eye(2, 3), (2, 1, 1))
    fake, mask = blended(tensor(crops), NONE, replace(recipes, colours=colours, matrices=same, edge=np.full(2, 0.6)))
    moved = (fake - tensor(crops)).abs().sum(dim=1)
    inside, outside = ((moved * part).sum() / part.sum() for part in (mask, 1 - mask))
    assert outside > 5 * inside


def test_another_persons_face_is_put_where_this_one_is() -> None:
    crops, marks = pictures(4)
    donors = crops[::-1].copy()
    recipes = blends(marks, 2, donors=4)
    fake, mask = blended(tensor(crops), tensor(donors), recipes)
    # All crops show one portrait, each shifted: brought to this one's landmarks it is the same picture.
    off = [n for n in range(4) if recipes.detail.small[n] == 0 and recipes.detail.sigma[n] == 0]
    assert off
    for n in off:
        inside = mask[n] > 0
        shifted = (tensor(donors)[n] - tensor(crops)[n]).abs().mean(dim=0)[inside].mean()
        registered = (fake[n] - tensor(crops)[n]).abs().mean(dim=0)[inside].mean()
        assert registered < shifted


def test_nothing_is_blended_from_beyond_the_donors_picture() -> None:
    crops, marks = pictures(1)
    recipes = blends(marks, 0, donors=1)
    beyond = recipes.matrices.copy()
    beyond[0] = [[1, 0, 200], [0, 1, 0]]
    fake, mask = blended(tensor(crops), tensor(crops[:, ::-1].copy()), replace(recipes, matrices=beyond))
    assert torch.equal(fake[..., :190], tensor(crops)[..., :190])
    assert not mask[..., :190].any()


def test_each_loss_of_detail_is_the_one_told() -> None:
    crops, _ = pictures(5)
    none = np.zeros(5)
    detail = Detail(
        small=np.array([80, 0, 0, 0, 0]),
        cubic=np.zeros(5, bool),
        sigma=np.array([0, 1.5, 1.5, 0, 0]),
        sharpen=np.array([0, 0, 1.0, 0, 0]),
        smooth=np.array([0, 0, 0, 30.0, 0]),
        chroma=none,
    )
    made = pixels(lost_detail(tensor(crops), detail))
    small = cv2.resize(crops[0], (80, 80), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(crops[2].astype(np.float32), (0, 0), 1.5)
    theirs = [
        cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR),
        cv2.GaussianBlur(crops[1], (0, 0), 1.5),
        np.clip(2 * crops[2].astype(np.float32) - soft, 0, 255),
        cv2.bilateralFilter(crops[3], 7, 30, 5),
        crops[4],
    ]
    for mine, other in zip(made, theirs, strict=True):
        assert np.abs(mine.astype(float) - other).max() <= 3
    colourless = replace(detail, small=none, sigma=none, smooth=none, chroma=np.full(5, 6.0))
    made = pixels(lost_detail(tensor(crops), colourless))
    one, two = (cv2.cvtColor(each[0], cv2.COLOR_RGB2YCrCb).astype(int) for each in (made, crops))
    assert np.abs(one - two)[..., 0].mean() < 1
    assert np.abs(np.diff(one[..., 1], axis=0)).mean() < 0.7 * np.abs(np.diff(two[..., 1], axis=0)).mean()


def test_the_bilateral_filter_keeps_edges() -> None:
    step = torch.zeros(1, 3, 40, 40)
    step[..., 20:] = 200
    noisy = step + torch.randn(1, 1, 40, 40, generator=torch.Generator().manual_seed(0)) * 4
    made = bilateral(noisy, torch.full((1, 1, 1, 1), 40.0))
    assert (made - step).abs().mean() < 0.5 * (noisy - step).abs().mean()
    assert (made[..., 20] - made[..., 19]).min() > 180


def test_of_a_fake_a_part_is_left() -> None:
    crops, _ = pictures(8)
    real = tensor(crops)
    mask = torch.zeros(8, SIZE, SIZE)
    mask[:, 80:240, 100:220] = 1
    fake = real + mask[:, None] * torch.where(real < 128, 60, -60)
    anchor = np.tile([160.0, 150.0], (8, 1))
    made, left = parted(real, fake, mask, draw_parts(anchor, SIZE, np.random.default_rng(0)))
    assert not (left * (1 - mask)).any()
    assert torch.equal(made[:, :, :80], real[:, :, :80])
    shares = left.sum(dim=(1, 2)) / mask.sum(dim=(1, 2))
    assert (shares > 0).all()
    assert (shares < 1).all()
    for n in range(8):
        changed = (made[n] - real[n]).abs().amax(dim=0)
        gone = (mask[n] - left[n]) > 0
        assert changed[left[n] > 0].mean() > 2 * changed[gone].mean()
