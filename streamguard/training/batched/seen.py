"""Pairs as they are seen, on the device: geometry, levels, blur, size, noise, compression, a region hidden.

Real and fake of a pair stand beside each other in one tensor and every step takes both with the same numbers: a fake
that equals its real comes out equal.
"""

from __future__ import annotations

import torch

from streamguard.training.batched.colour import levelled
from streamguard.training.batched.dct import jpeg_like
from streamguard.training.batched.separable import blurred, enlarge, separable, shrink
from streamguard.training.batched.tensors import column, indices, on_rows, pixel_grid, whole_levels
from streamguard.training.batched.views import Views
from streamguard.training.batched.warp import nearest, sampled, sampling_grid
from streamguard.types import Float64Array


def seen(pairs: torch.Tensor, masks: torch.Tensor, views: Views) -> tuple[torch.Tensor, torch.Tensor]:
    """The views.

    Args:
        pairs: float32 [N, 2, 3, S, S], real and fake, whole numbers 0..255.
        masks: float32 [N, S, S], 1 where the fake is fake.
        views: N recipes.

    Returns the pairs, float32 [N, 2, 3, P, P], whole numbers 0..255, and the masks, float32 [N, P, P].
    """
    grid = sampling_grid(views.matrices, pairs.shape[-1], views.patch, pairs)
    # Each step but the levels works on planes: the six of a pair are alike to it.
    planes = whole_levels(sampled(pairs.flatten(1, 2), grid, views.cubic))
    truth = nearest(masks, grid)
    planes = on_rows(planes, views.levelled, lambda some: _other_levels(some, views))
    planes = on_rows(planes, views.blur > 0, lambda some: _blurred(some, views.blur[views.blur > 0]))
    planes = _sent(planes, views)
    return _hide(planes, truth, views)


def _sent(planes: torch.Tensor, views: Views) -> torch.Tensor:
    """Through the size, the noise and the compression that a sender leaves; float32 [N, 6, P, P]."""
    patch, smaller, soft, noisy = views.patch, views.sent < views.patch, views.soften > 0, views.noise > 0

    def small(some: torch.Tensor) -> torch.Tensor:
        return whole_levels(separable(some, shrink(column(views.sent[smaller], some), patch)))

    def back(some: torch.Tensor) -> torch.Tensor:
        sizes, cubic = column(views.sent[smaller], some), column(views.cubic_back[smaller], some)
        return whole_levels(separable(some, enlarge(sizes, patch, cubic)))

    def grained(some: torch.Tensor) -> torch.Tensor:
        source = torch.Generator(some.device).manual_seed(views.noise_seed)
        grain = torch.randn(len(some), 1, patch, patch, generator=source, device=some.device)
        return whole_levels(some + grain * column(views.noise[noisy], some, 3))

    coded = views.quality > 0
    planes = on_rows(planes, smaller, small)
    planes = on_rows(planes, soft, lambda some: _blurred(some, views.soften[soft]))
    planes = on_rows(planes, noisy, grained)
    planes = on_rows(planes, coded, lambda some: jpeg_like(_as_pairs(some), views.quality[coded]).flatten(1, 2))
    return on_rows(planes, smaller, back)


def _other_levels(some: torch.Tensor, views: Views) -> torch.Tensor:
    levels, pairs = views.levels, _as_pairs(some)
    gain, gamma, offset = (column(each, some, 4) for each in (levels.gain, levels.gamma, levels.offset))
    tint = column(levels.tint, some, 2)[:, None]
    return whole_levels(levelled(pairs, gain, gamma, tint, offset)).flatten(1, 2)


def _blurred(some: torch.Tensor, sigma: Float64Array) -> torch.Tensor:
    return whole_levels(blurred(some, column(sigma, some)))


def _as_pairs(planes: torch.Tensor) -> torch.Tensor:
    """float32 [N, 2, 3, P, P] of the six planes of each pair."""
    return planes.view(-1, 2, 3, *planes.shape[2:])


def _hide(planes: torch.Tensor, truth: torch.Tensor, views: Views) -> tuple[torch.Tensor, torch.Tensor]:
    pairs, chosen = _as_pairs(planes), views.hidden[:, 2] > 0
    if not chosen.any():
        return pairs, truth
    x, y = pixel_grid(views.patch, planes)
    left, top, width, height = (column(part, planes, 2) for part in views.hidden[chosen].T)
    inside = (x >= left) & (x < left + width) & (y >= top) & (y < top + height)
    fill = column(views.fill[chosen], planes, 2)[:, None]
    rows = indices(chosen, planes)
    painted = torch.where(inside[:, None, None], fill, pairs.index_select(0, rows))
    uncovered = truth.index_select(0, rows) * ~inside
    return pairs.index_copy(0, rows, painted), truth.index_copy(0, rows, uncovered)
