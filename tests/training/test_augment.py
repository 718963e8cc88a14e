"""Matched augmentation: what the pair shares, and what it does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from streamguard.training.augment import View, augment, jpeg, mix, webp
from streamguard.types import UInt8Array
from tests.support.training_data import triple

SEEDS = range(16)


@pytest.mark.parametrize("patch", [64, 160, 256])
def test_shapes_and_range(patch: int) -> None:
    each = triple(0, "ann")
    for seed in SEEDS:
        out = augment(each.real, each.fake, each.mask, View(patch), np.random.default_rng(seed))
        assert out.real.shape == out.fake.shape == (patch, patch, 3)
        assert out.mask.shape == (patch, patch)
        assert out.real.dtype == out.fake.dtype == out.mask.dtype == np.uint8
        assert set(np.unique(out.mask)) <= {0, 1}


def test_equal_seeds_give_equal_patches() -> None:
    each = triple(1, "ann")
    first, again = (augment(each.real, each.fake, each.mask, View(96), np.random.default_rng(3)) for _ in range(2))
    assert (first.real == again.real).all()
    assert (first.fake == again.fake).all()
    assert (first.mask == again.mask).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_geometry_is_shared(seed: int) -> None:
    """Levels differ on purpose; edges do not move against each other, so off the mask the pair stays correlated."""
    each = triple(0, "ann")
    out = augment(each.real, each.fake, each.mask, View(128), np.random.default_rng(seed))
    off = out.mask == 0
    real, fake = (view.astype(float).mean(axis=2)[off] for view in (out.real, out.fake))
    assert off.any()
    assert np.corrcoef(real, fake)[0, 1] > 0.93


def test_without_levels_and_noise_nothing_but_the_mask_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamguard.training.augment._levels", lambda random, strength: np.tile(IDENTITY, (1, 3)))
    monkeypatch.setattr("streamguard.training.augment._degrade", lambda views, random: views)
    each = triple(0, "ann")
    for seed in SEEDS:
        out = augment(each.real, each.fake, each.mask, View(128), np.random.default_rng(seed))
        changed = (np.abs(out.real.astype(int) - out.fake) > 3).any(axis=2)
        # Interpolation reaches a pixel or two over the mask's edge.
        import cv2

        near = cv2.dilate(out.mask, np.ones((7, 7), np.uint8)) > 0
        assert not (changed & ~near).any()


IDENTITY = np.arange(256, dtype=np.uint8)[:, None]


@pytest.mark.parametrize(("patch", "zoom"), [(128, 0.5), (128, 1.0), (256, 1.0)])
def test_the_zoom_decides_how_much_of_the_face_is_seen(patch: int, zoom: float) -> None:
    each = triple(0, "ann")
    view = View(patch, (zoom, zoom), degrade=0)
    middle = np.s_[32:288, 32:288]
    whole = each.mask[middle].sum() * zoom**2
    seen = [
        float(augment(each.real, each.fake, each.mask, view, np.random.default_rng(seed)).mask.sum()) for seed in SEEDS
    ]
    if patch / zoom >= 256:
        assert all(0.8 * whole < area < 1.25 * whole for area in seen)
    else:
        assert max(seen) < whole
        assert np.std(seen) > 0.05 * whole


def test_degrading_is_as_frequent_as_told() -> None:
    each = triple(0, "ann")
    for share in (0.0, 1.0):
        coded = [
            augment(each.real, each.fake, each.mask, View(256, (1, 1), share), np.random.default_rng(seed)).real
            for seed in SEEDS
        ]
        plain = [
            augment(each.real, each.fake, each.mask, View(256, (1, 1), 0), np.random.default_rng(seed)).real
            for seed in SEEDS
        ]
        changed = [bool((one != other).any()) for one, other in zip(coded, plain, strict=True)]
        assert any(changed) == (share == 1.0)


def test_blur_is_as_frequent_as_told_and_the_same_for_both() -> None:
    each = triple(0, "ann")

    def detail(share: float, seed: int) -> tuple[float, float]:
        view = View(256, (1, 1), degrade=0, blur=share)
        out = augment(each.real, each.fake, each.mask * 0, view, np.random.default_rng(seed))
        return tuple(float(np.abs(np.diff(side.astype(float), axis=1)).mean()) for side in (out.real, out.fake))

    sharp = [detail(0, seed)[0] for seed in range(40)]
    soft = [detail(1, seed)[0] for seed in range(40)]
    half = [detail(0.5, seed)[0] for seed in range(40)]
    assert np.mean(soft) < np.mean(half) < np.mean(sharp)
    for seed in range(10):
        same = augment(
            each.real, each.real, each.mask, View(256, (1, 1), degrade=0, blur=1), np.random.default_rng(seed)
        )
        levels = np.abs(np.diff(same.real.astype(float), axis=1)) - np.abs(np.diff(same.fake.astype(float), axis=1))
        assert np.abs(levels).max() < 40


def test_an_empty_mask_stays_empty() -> None:
    each = triple(0, "ann")
    empty = np.zeros_like(each.mask)
    for seed in SEEDS:
        assert not augment(each.real, each.real, empty, View(96), np.random.default_rng(seed)).mask.any()


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


@pytest.mark.parametrize("codec", [jpeg, webp])
def test_compression_keeps_colours_and_loses_detail(codec: Callable[[UInt8Array, int], UInt8Array]) -> None:
    picture = triple(0, "ann").real
    fine, coarse = (np.abs(codec(picture, quality).astype(int) - picture).mean() for quality in (95, 20))
    assert fine < coarse < 12
    assert np.abs(codec(picture, 90).mean(axis=(0, 1)) - picture.mean(axis=(0, 1))).max() < 1.5
