"""Blur and change of size by matrices, against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from streamguard.training.batched.separable import blurred, enlarge, separable, shrink
from tests.training.batched.material import SIZE, pictures, pixels, tensor


def test_each_picture_is_blurred_by_its_own_sigma() -> None:
    crops, _ = pictures()
    sigmas = (0.6, 2.0, 7.0, 20.0)
    made = pixels(blurred(tensor(crops), torch.tensor(sigmas)))
    for picture, sigma, mine in zip(crops, sigmas, made, strict=True):
        theirs = cv2.GaussianBlur(picture, (0, 0), sigma)
        assert np.abs(mine.astype(int) - theirs).max() <= 2


@pytest.mark.parametrize("size", [32, 100, 213, 320])
def test_a_smaller_size_is_the_mean_over_areas(size: int) -> None:
    crops, _ = pictures(2)
    canvas = pixels(separable(tensor(crops), shrink(torch.full((2,), float(size)), SIZE)))
    for picture, mine in zip(crops, canvas, strict=True):
        theirs = cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)
        assert np.abs(mine[:size, :size].astype(int) - theirs).max() <= 1
        # The rest of the canvas repeats the last row and column.
        assert (mine[size:, :size] == mine[size - 1 : size, :size]).all()
        assert (mine[:, size:] == mine[:, size - 1 : size]).all()


@pytest.mark.parametrize(("cubic", "how"), [(0.0, cv2.INTER_LINEAR), (1.0, cv2.INTER_CUBIC)])
@pytest.mark.parametrize("size", [48, 200, 319])
def test_the_way_back_is_linear_or_cubic(size: int, cubic: float, how: int) -> None:
    crops, _ = pictures(2)
    sizes = torch.full((2,), float(size))
    canvas = separable(tensor(crops), shrink(sizes, SIZE)).round()
    made = pixels(separable(canvas, enlarge(sizes, SIZE, torch.full((2,), cubic))))
    for small, mine in zip(pixels(canvas), made, strict=True):
        theirs = cv2.resize(small[:size, :size], (SIZE, SIZE), interpolation=how)
        assert np.abs(mine.astype(int) - theirs).max() <= 2


def test_sizes_of_a_batch_differ() -> None:
    crops, _ = pictures(3)
    sizes = torch.tensor([40.0, 160.0, 320.0])
    there_and_back = enlarge(sizes, SIZE, torch.zeros(3)) @ shrink(sizes, SIZE)
    made = separable(tensor(crops), there_and_back)
    lost = [(made[n] - tensor(crops)[n]).abs().mean().item() for n in range(3)]
    assert lost[0] > lost[1] > 0.1
    assert lost[2] < 1e-3
