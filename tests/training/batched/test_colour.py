"""Colours against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from streamguard.training.batched.colour import coloured_like, levelled, recoloured, to_rgb, to_ycc, turned_hue
from tests.training.batched.material import pictures, tensor


def test_luma_and_colour_difference_and_back() -> None:
    crops, _ = pictures(2)
    ycc = to_ycc(tensor(crops))
    for number, picture in enumerate(crops):
        luma, red, blue = cv2.split(cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb))
        theirs = np.stack([luma, blue, red])
        assert np.abs(ycc[number].numpy() - theirs).max() <= 1
    assert (to_rgb(ycc) - tensor(crops)).abs().max() < 1e-3


@pytest.mark.parametrize(("hue", "saturation"), [(0, 1), (12, 0.75), (-12, 1.25), (170, 3)])
def test_hue_and_saturation(hue: float, saturation: float) -> None:
    crops, _ = pictures(2)
    noise = np.random.default_rng(0).integers(0, 256, crops.shape, dtype=np.uint8)
    for batch in (crops, noise):
        made = turned_hue(tensor(batch), torch.full((2, 1, 1), hue), torch.full((2, 1, 1), saturation))
        for number, picture in enumerate(batch):
            hsv = cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
            hsv[..., 0] = (hsv[..., 0] + hue) % 360
            hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 1)
            theirs = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255
            assert np.abs(made[number].permute(1, 2, 0).numpy() - theirs).max() < 0.1


def test_other_colours_add_up() -> None:
    crops, _ = pictures(1)
    flat = tensor(crops) * 0.3 + 80
    zero, one = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    offset = torch.tensor([5.0, 0, -5])[None, :, None, None]
    made = recoloured(flat, offset, one * 1.1, one * 4, zero[0], one[0])
    wide = (made.std(dim=(2, 3)) / flat.std(dim=(2, 3))).tolist()
    assert torch.allclose(made.mean(dim=(0, 2, 3)), flat.mean(dim=(0, 2, 3)) + torch.tensor([9.0, 4, -1]), atol=0.1)
    assert wide[0] == pytest.approx([1.1] * 3, rel=0.02)


def test_likened_pictures_have_the_mean_and_spread_of_their_aim() -> None:
    crops, _ = pictures(2)
    aims = tensor(crops)
    inside = torch.zeros(2, 320, 320)
    inside[:, 60:260, 80:240] = 1
    altered = aims * 0.8 + torch.tensor([30.0, 5, -10])[None, :, None, None]
    made = coloured_like(altered, aims, inside, torch.tensor([1.0, 0.0])[:, None, None, None])
    region = (slice(None), slice(60, 260), slice(80, 240))
    mine, theirs = to_ycc(made[0])[region], to_ycc(aims[0])[region]
    assert torch.allclose(mine.mean(dim=(1, 2)), theirs.mean(dim=(1, 2)), atol=0.2)
    assert torch.allclose(mine.std(dim=(1, 2)), theirs.std(dim=(1, 2)), rtol=0.05)
    assert torch.allclose(made[1], altered[1], atol=1e-3)


def test_levels_of_one_and_zero_change_nothing() -> None:
    crops, _ = pictures(1)
    one, zero = torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)
    assert torch.allclose(levelled(tensor(crops), one, one, one, zero), tensor(crops), atol=1e-3)
    brighter = levelled(tensor(crops), one, one * 0.8, one, zero + 10)
    assert brighter.mean() > tensor(crops).mean() + 10
