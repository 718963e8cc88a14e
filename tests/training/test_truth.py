"""Mask truth from a pair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamguard.errors import DataError
from streamguard.training.truth import fill_holes, keep_components, level_change, pair_truth

SIZE = 256


def noise(seed: int = 0, spread: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(120, spread, (SIZE, SIZE, 3)), 0, 255).astype(np.float32)


def disc(radius: float, centre: tuple[int, int] = (128, 128)) -> np.ndarray:
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2


def test_equal_pictures_give_an_empty_truth() -> None:
    truth = pair_truth(noise(), noise())
    assert truth.mask.dtype == bool
    assert truth.mask.shape == (SIZE, SIZE)
    assert not truth.mask.any()
    assert not truth.filled.any()


def test_coding_noise_is_no_manipulation() -> None:
    assert not pair_truth(noise(0, 6), noise(1, 6)).mask.any()


def test_a_changed_disc_is_found_to_within_the_blur() -> None:
    real, fake = noise(0), noise(1)
    fake[disc(60)] += 40
    mask = pair_truth(real, fake).mask
    assert mask[disc(57)].all()
    assert not mask[~disc(64)].any()


@pytest.mark.parametrize("shift", [-10.0, 10.0])
def test_a_level_change_over_the_whole_picture_is_taken_out(shift: float) -> None:
    real, fake = noise(0), noise(1) + np.float32(shift)
    assert not pair_truth(real, fake).mask.any()
    fake[disc(60)] += 40
    assert pair_truth(real, fake).mask[disc(57)].all()


def test_each_channel_has_its_own_level_change() -> None:
    real = noise()
    change = level_change(real, real + np.array([3, -4, 5], dtype=np.float32))
    np.testing.assert_allclose(change, [3, -4, 5], atol=1e-4)


def test_a_face_reaching_into_a_third_of_the_border_does_not_move_the_level() -> None:
    real, fake = noise(0), noise(1)
    fake[:, :80] += 60
    mask = pair_truth(real, fake).mask
    assert mask[:, :76].all()
    assert not mask[:, 84:].any()


def test_uint8_and_float_give_the_same_truth() -> None:
    real, fake = noise(0).astype(np.uint8), noise(1).astype(np.uint8)
    fake[disc(50)] = 20
    as_float = pair_truth(real.astype(np.float64), fake.astype(np.float32))
    np.testing.assert_array_equal(pair_truth(real, fake).mask, as_float.mask)


def test_dark_channels_do_not_wrap_around() -> None:
    real, fake = np.full((64, 64, 3), 10, np.uint8), np.full((64, 64, 3), 10, np.uint8)
    fake[20:44, 20:44] = 0
    assert pair_truth(real, fake).mask[24:40, 24:40].all()


@pytest.mark.parametrize(("side", "kept"), [(9, False), (10, True)])
def test_components_need_a_hundred_points(side: int, *, kept: bool) -> None:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[30 : 30 + side, 40 : 40 + side] = True
    assert keep_components(mask, 100).any() == kept


def test_components_touching_at_a_corner_are_one() -> None:
    mask = np.zeros((32, 32), dtype=bool)
    mask[:8, :8] = mask[8:16, 8:16] = True
    assert keep_components(mask, 100).sum() == 128


def test_holes_are_filled_and_open_bays_closed() -> None:
    ring = disc(70) & ~disc(50)
    ring[118:138, 128:] = False
    filled = fill_holes(ring)
    assert filled[disc(50)].all()
    assert not fill_holes(ring, close=0)[128, 128]
    assert not filled[~disc(72)].any()


def test_closing_does_not_stick_to_the_edge_of_the_picture() -> None:
    mask = np.zeros((SIZE, SIZE), dtype=bool)
    mask[10:60, 10:60] = True
    np.testing.assert_array_equal(fill_holes(mask), mask)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(20, 90), st.integers(0, 60))
def test_filled_contains_the_mask(seed: int, radius: float, offset: int) -> None:
    real, fake = noise(seed, 9), noise(seed + 1, 9)
    fake[disc(radius, (128 - offset, 128 + offset))] -= 35
    truth = pair_truth(real, fake)
    assert not (truth.mask & ~truth.filled).any()


@pytest.mark.parametrize(
    ("real", "fake"),
    [
        (np.zeros((8, 8, 3)), np.zeros((8, 9, 3))),
        (np.zeros((8, 8)), np.zeros((8, 8))),
        (np.zeros((8, 8, 4)), np.zeros((8, 8, 4))),
        (np.zeros((0, 8, 3)), np.zeros((0, 8, 3))),
        (np.zeros((8, 8, 3)), np.full((8, 8, 3), np.nan)),
    ],
)
def test_unusable_pairs_are_refused(real: np.ndarray, fake: np.ndarray) -> None:
    with pytest.raises(DataError):
        pair_truth(real, fake)
