"""Self-blended fakes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamguard.training.selfblend import face_outline, mouth_blend, self_blend
from tests.support.portraits import portrait

LANDMARKS = np.array([[205, 100], [243, 98], [225, 122], [209, 139], [243, 138]], dtype=np.float32)
"""Eyes, nose and mouth corners of the portrait, in its pixels."""


def test_equal_seeds_give_equal_fakes_and_others_do_not() -> None:
    first, again, other = (self_blend(portrait(), LANDMARKS, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert (first.pixels == again.pixels).all()
    assert (first.mask == again.mask).all()
    assert (first.pixels != other.pixels).any()


@pytest.mark.parametrize("seed", range(12))
def test_the_picture_changes_where_the_mask_says(seed: int) -> None:
    real = portrait()
    fake = self_blend(real, LANDMARKS, np.random.default_rng(seed))
    assert fake.pixels.dtype == fake.mask.dtype == np.uint8
    assert fake.pixels.shape == real.shape
    assert set(np.unique(fake.mask)) == {0, 1}
    moved = np.abs(fake.pixels.astype(int) - real).sum(axis=2)
    inside, outside = moved[fake.mask == 1].mean(), moved[fake.mask == 0].mean()
    # The first draw decides: in three of four blends the inner face is the altered one.
    if np.random.default_rng(seed).random() < 0.75:
        assert outside < 0.35 * inside
    assert inside > 0.5


@pytest.mark.parametrize("seed", range(6))
def test_the_mask_lies_on_the_face(seed: int) -> None:
    mask = self_blend(portrait(), LANDMARKS, np.random.default_rng(seed)).mask
    rows, columns = np.nonzero(mask)
    assert columns.min() > 150
    assert columns.max() < 300
    assert rows.max() < 215
    assert mask[95:145, 205:245].mean() > 0.3
    assert abs(columns.mean() - 225) < 15


@settings(max_examples=40, deadline=None)
@given(angle=st.floats(-60, 60), size=st.floats(20, 400), seed=st.one_of(st.none(), st.integers(0, 99)))
def test_the_outline_holds_eyes_and_mouth_and_turns_with_the_face(angle: float, size: float, seed: int | None) -> None:
    turn = np.deg2rad(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    marks = ((LANDMARKS - LANDMARKS.mean(axis=0)) / 40 * size) @ rotation.T
    outline = face_outline(marks.astype(np.float32), None if seed is None else np.random.default_rng(seed))
    assert outline.shape == (48, 2)
    assert np.isfinite(outline).all()
    if seed is None:
        import cv2

        for mark in marks:
            assert cv2.pointPolygonTest(outline, (float(mark[0]), float(mark[1])), measureDist=False) > 0
        upright = face_outline((marks @ rotation).astype(np.float32))
        assert np.allclose(upright @ rotation.T, outline, atol=0.02 * size)


def test_degenerate_landmarks_still_give_a_picture() -> None:
    fake = self_blend(portrait(), np.full((5, 2), 200, dtype=np.float32), np.random.default_rng(0))
    assert fake.pixels.shape == portrait().shape


@pytest.mark.parametrize("seed", range(8))
def test_a_mouth_of_another_moment_changes_the_lower_face_alone(seed: int) -> None:
    real = portrait()
    moment = np.roll(real, 3, axis=0)
    fake, again = (mouth_blend(real, moment, LANDMARKS, np.random.default_rng(seed)) for _ in range(2))
    assert (fake.pixels == again.pixels).all()
    rows, _ = np.nonzero(fake.mask)
    assert len(rows)
    # The eyes are at 99, the mouth is at 139.
    assert rows.min() > 100
    assert fake.mask[139, 226] == 1
    moved = np.abs(fake.pixels.astype(int) - real).sum(axis=2)
    assert moved[:90].max() == 0
    assert moved[fake.mask == 1].mean() > 0.5
