"""The face's outline as a curve, against the polygon that is filled and blurred."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from streamguard.training.batched.outline import Outlines, drawn_outlines, hard_inside, plain_outlines, soft_inside
from streamguard.training.selfblend import face_outline
from streamguard.types import FloatArray
from tests.training.batched.material import SIZE, pictures

LIKE = torch.zeros(1)


def turned(marks: FloatArray, degrees: float) -> FloatArray:
    matrix = cv2.getRotationMatrix2D((160, 160), degrees, 0.8)
    return (marks @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


@pytest.mark.parametrize("degrees", [0, 35, -80, 170])
def test_the_plain_outline_is_the_polygon(degrees: float) -> None:
    _, marks = pictures(1)
    marks = turned(marks[0], degrees)
    filled = np.zeros((SIZE, SIZE), np.uint8)
    cv2.fillPoly(filled, [np.round(face_outline(marks)).astype(np.int32)], 1)
    mine = hard_inside(plain_outlines(marks[None]), SIZE, LIKE)[0].numpy()
    # A filled polygon holds its own border: half a pixel all round.
    assert (mine != filled).mean() < 0.012
    assert filled.mean() > 0.03


@pytest.mark.parametrize("share", [0.008, 0.03, 0.07])
def test_the_soft_edge_is_that_of_a_blur(share: float) -> None:
    _, marks = pictures(3)
    outlines = drawn_outlines(marks, np.random.default_rng(3))
    sigma = np.maximum(outlines.height * share, 0.6)
    soft = soft_inside(outlines, sigma, SIZE, LIKE).numpy()
    # Filled at four times the size, so that the reference has no steps of its own.
    large = Outlines(outlines.centre * 4 + 1.5, outlines.radius * 4, outlines.height * 4)
    for mine, hard, width in zip(soft, hard_inside(large, SIZE * 4, LIKE).numpy(), sigma, strict=True):
        filled = cv2.resize(hard, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        theirs = cv2.GaussianBlur(filled, (0, 0), float(width))
        assert np.abs(mine - theirs).max() < 0.15
        assert np.abs(mine - theirs).mean() < 0.01


def test_proportions_vary_as_told() -> None:
    _, marks = pictures(1)
    many = drawn_outlines(np.repeat(marks, 600, axis=0), np.random.default_rng(0))
    plain = plain_outlines(marks)
    ratio = many.height / plain.height
    # An eighth or so covers the lower face alone, fewer the upper.
    assert 0.1 < (ratio < 0.75).mean() < 0.32
    assert np.median(ratio) == pytest.approx(1, abs=0.05)
    below = many.centre[:, 1] > plain.centre[0, 1] + 20
    assert 0.06 < below.mean() < 0.2


def test_chosen_rows_and_none() -> None:
    _, marks = pictures(3)
    every = plain_outlines(marks)
    some = every.rows(np.array([True, False, True]))
    assert (some.radius == every.radius[[0, 2]]).all()
    nobody = drawn_outlines(marks[:0], np.random.default_rng(0))
    assert isinstance(nobody, Outlines)
    assert soft_inside(nobody, np.empty(0), SIZE, LIKE).shape == (0, SIZE, SIZE)


def test_landmarks_in_one_place_still_give_a_curve() -> None:
    outlines = drawn_outlines(np.full((1, 5, 2), 100, np.float32), np.random.default_rng(0))
    assert torch.isfinite(soft_inside(outlines, np.array([0.6]), SIZE, LIKE)).all()
