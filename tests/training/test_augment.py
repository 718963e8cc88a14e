"""Matched augmentation: what the pair shares, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from streamguard.training.augment import augment, jpeg, mix
from tests.support.training_data import triple

SEEDS = range(16)


@pytest.mark.parametrize("patch", [64, 160, 256])
def test_shapes_and_range(patch: int) -> None:
    each = triple(0, "ann")
    for seed in SEEDS:
        out = augment(each.real, each.fake, each.mask, patch, np.random.default_rng(seed))
        assert out.real.shape == out.fake.shape == (patch, patch, 3)
        assert out.mask.shape == (patch, patch)
        assert out.real.dtype == out.fake.dtype == out.mask.dtype == np.uint8
        assert set(np.unique(out.mask)) <= {0, 1}


def test_equal_seeds_give_equal_patches() -> None:
    each = triple(1, "ann")
    first, again = (augment(each.real, each.fake, each.mask, 96, np.random.default_rng(3)) for _ in range(2))
    assert (first.real == again.real).all()
    assert (first.fake == again.fake).all()
    assert (first.mask == again.mask).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_geometry_is_shared(seed: int) -> None:
    """Levels differ on purpose; edges do not move against each other, so off the mask the pair stays correlated."""
    each = triple(0, "ann")
    out = augment(each.real, each.fake, each.mask, 128, np.random.default_rng(seed))
    off = out.mask == 0
    real, fake = (view.astype(float).mean(axis=2)[off] for view in (out.real, out.fake))
    assert off.any()
    assert np.corrcoef(real, fake)[0, 1] > 0.93


def test_without_levels_and_noise_nothing_but_the_mask_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamguard.training.augment._levels", lambda random, strength: np.tile(IDENTITY, (1, 3)))
    monkeypatch.setattr("streamguard.training.augment._degrade", lambda views, random: views)
    each = triple(0, "ann")
    for seed in SEEDS:
        out = augment(each.real, each.fake, each.mask, 128, np.random.default_rng(seed))
        changed = (np.abs(out.real.astype(int) - out.fake) > 3).any(axis=2)
        # Interpolation reaches a pixel or two over the mask's edge.
        import cv2

        near = cv2.dilate(out.mask, np.ones((7, 7), np.uint8)) > 0
        assert not (changed & ~near).any()


IDENTITY = np.arange(256, dtype=np.uint8)[:, None]


def test_an_empty_mask_stays_empty() -> None:
    each = triple(0, "ann")
    empty = np.zeros_like(each.mask)
    for seed in SEEDS:
        assert not augment(each.real, each.real, empty, 96, np.random.default_rng(seed)).mask.any()


@pytest.mark.parametrize("seed", SEEDS)
def test_mix_leaves_a_part_of_the_fake(seed: int) -> None:
    each = triple(0, "ann")
    fake, mask = mix(each.real, each.fake, each.mask, np.random.default_rng(seed))
    assert fake.dtype == mask.dtype == np.uint8
    assert not (mask & ~each.mask).any()
    assert 0 < mask.sum() <= each.mask.sum()
    changed = np.abs(fake.astype(int) - each.real).max(axis=2)
    # Behind the soft border the picture is the real one again.
    assert changed[(each.mask == 0)].max() == 0
    assert changed[mask == 1].mean() > 2 * changed[(each.mask == 1) & (mask == 0)].mean()


def test_mix_of_nothing_is_nothing() -> None:
    each = triple(0, "ann")
    empty = np.zeros_like(each.mask)
    fake, mask = mix(each.real, each.fake, empty, np.random.default_rng(0))
    assert (fake == each.fake).all()
    assert not mask.any()


def test_jpeg_keeps_colours_and_loses_detail() -> None:
    picture = triple(0, "ann").real
    fine, coarse = (np.abs(jpeg(picture, quality).astype(int) - picture).mean() for quality in (95, 20))
    assert fine < coarse < 12
    assert np.abs(jpeg(picture, 90).mean(axis=(0, 1)) - picture.mean(axis=(0, 1))).max() < 1.5
