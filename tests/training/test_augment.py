"""Matched augmentation: what the pair shares, and what it does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from streamguard.training.augment import apply_levels, blurred, degraded, hide_region, jpeg, levels, mix, webp
from streamguard.types import UInt8Array
from tests.support.training_data import views

SEEDS = range(16)


def detail(view: UInt8Array) -> float:
    """Mean difference of neighbours."""
    return float(np.abs(np.diff(view.astype(float), axis=1)).mean())


@pytest.mark.parametrize("side", [64, 200])
def test_degraded_views_keep_their_shape_and_stay_matched(side: int) -> None:
    real, fake = (np.ascontiguousarray(view[:side, :side]) for view in views()[:2])
    changed = 0
    for seed in SEEDS:
        out = degraded([real, fake], np.random.default_rng(seed))
        again = degraded([real, fake], np.random.default_rng(seed))
        assert all((one == other).all() for one, other in zip(out, again, strict=True))
        assert [view.shape for view in out] == [real.shape, fake.shape]
        assert all(view.dtype == np.uint8 for view in out)
        off = (real == fake).all(axis=2)
        one, two = (view.astype(float).mean(axis=2)[off] for view in out)
        assert np.corrcoef(one, two)[0, 1] > 0.93
        changed += bool((out[0] != real).any())
    assert 8 <= changed < 16


def test_noise_of_the_two_is_not_the_same() -> None:
    """Or the difference of a pair would be free of it, as no difference of two recordings is."""
    flat = np.full((64, 64, 3), 128, np.uint8)
    pairs = [degraded([flat, flat], np.random.default_rng(seed)) for seed in range(60)]
    noisy = [pair for pair in pairs if pair[0].std() > 1]
    assert noisy
    assert all((real != fake).any() for real, fake in noisy)


@pytest.mark.parametrize("seed", SEEDS)
def test_levels_rise_and_are_a_table(seed: int) -> None:
    table = levels(np.random.default_rng(seed), 0.2)
    assert table.shape == (256, 3)
    assert (np.diff(table.astype(int), axis=0) >= 0).all()
    real = views()[0]
    out = apply_levels(real, table)
    assert (out == np.stack([table[real[..., channel], channel] for channel in range(3)], axis=2)).all()


def test_the_strength_of_levels() -> None:
    identity = np.arange(256)[:, None]
    weak, strong = (
        np.mean([np.abs(levels(np.random.default_rng(seed), strength) - identity).mean() for seed in SEEDS])
        for strength in (0.03, 0.2)
    )
    assert weak < 2 < strong < 30
    assert (levels(np.random.default_rng(0), 0.0) == identity).all()


def test_blur_takes_detail_away() -> None:
    real = views()[0]
    found = [detail(view) for view in (real, blurred(real, 0.6), blurred(real, 2.0))]
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_fake_under_a_hidden_region(seed: int) -> None:
    real, fake, mask = views()
    before = mask.copy()
    hide_region([real, fake], mask, np.random.default_rng(seed))
    hidden = (real != views()[0]).any(axis=2)
    assert (real[hidden] == fake[hidden]).all()
    assert not mask[hidden].any()
    assert (mask[~hidden] == before[~hidden]).sum() >= (~hidden).sum() - 66 * 66
    hide_region([real, fake], None, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_mix_leaves_a_part_of_the_fake(seed: int) -> None:
    real, whole, area = views()
    fake, mask = mix(real, whole, area, np.random.default_rng(seed))
    assert fake.dtype == mask.dtype == np.uint8
    assert not (mask & ~area).any()
    assert 0 < mask.sum() <= area.sum()
    changed = np.abs(fake.astype(int) - real).max(axis=2)
    # Behind the soft border the picture is the real one again.
    assert changed[area == 0].max() == 0
    assert changed[mask == 1].mean() > 1.5 * np.mean([*changed[(area == 1) & (mask == 0)], 0.0])


def test_mix_of_nothing_is_nothing() -> None:
    real, whole, area = views()
    fake, mask = mix(real, whole, np.zeros_like(area), np.random.default_rng(0))
    assert (fake == whole).all()
    assert not mask.any()


@pytest.mark.parametrize("codec", [jpeg, webp])
def test_compression_keeps_colours_and_loses_detail(codec: Callable[[UInt8Array, int], UInt8Array]) -> None:
    picture = views()[0]
    fine, coarse = (np.abs(codec(picture, quality).astype(int) - picture).mean() for quality in (95, 20))
    assert fine < coarse < 12
    assert np.abs(codec(picture, 90).mean(axis=(0, 1)) - picture.mean(axis=(0, 1))).max() < 1.5
