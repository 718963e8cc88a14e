"""What JPEG does, against OpenCV's JPEG."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from streamguard.training.augment import jpeg
from streamguard.training.batched.dct import jpeg_like, tables
from tests.training.batched.material import pictures, pixels, psnr, tensor


@pytest.mark.parametrize("quality", [25, 40, 60, 80, 95])
def test_it_is_nearer_to_the_codec_than_to_the_picture(quality: int) -> None:
    crops, _ = pictures()
    crops = np.ascontiguousarray(crops[:, 32:288, 32:288])
    grain = np.random.default_rng(0).normal(0, 4, crops.shape)
    crops = np.clip(crops + grain, 0, 255).astype(np.uint8)
    made = pixels(jpeg_like(tensor(crops), np.full(len(crops), quality)))
    for picture, mine in zip(crops, made, strict=True):
        theirs = jpeg(picture, quality)
        assert psnr(mine, theirs) > max(40, psnr(theirs, picture) + 3)
        assert psnr(mine, picture) == pytest.approx(psnr(theirs, picture), abs=0.3)


def test_each_picture_has_its_own_quality() -> None:
    crops, _ = pictures(3)
    made = pixels(jpeg_like(tensor(crops), np.array([20, 60, 95])))
    errors = [psnr(mine, picture) for mine, picture in zip(made, crops, strict=True)]
    assert errors[0] < errors[1] < errors[2]
    alone = pixels(jpeg_like(tensor(crops[1:2]), np.array([60])))
    assert np.abs(alone[0].astype(int) - made[1]).max() <= 1


def test_pairs_are_coded_alike() -> None:
    crops, _ = pictures(2)
    pairs = tensor(crops)[:, None].repeat(1, 2, 1, 1, 1)
    made = jpeg_like(pairs, np.array([30, 70]))
    assert made.shape == pairs.shape
    assert torch.equal(made[:, 0], made[:, 1])
    assert torch.equal(made[:, 0], jpeg_like(pairs[:, 0], np.array([30, 70])))


def test_tables_are_those_of_the_standard_at_quality_50() -> None:
    luma, chroma = tables(np.array([50, 100, 1]))
    assert luma[0, 0].tolist() == [16, 11, 10, 16, 24, 40, 51, 61]
    assert luma[0, 7].tolist() == [72, 92, 95, 98, 112, 100, 103, 99]
    assert chroma[0, 0].tolist() == [17, 18, 24, 47, 99, 99, 99, 99]
    assert (luma[1] == 1).all()
    assert luma[2].max() == 255
