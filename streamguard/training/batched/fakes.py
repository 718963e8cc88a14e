"""The fakes of a batch, made on the device from their recipes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch.nn import functional

from streamguard.training.batched.colour import coloured_like, recoloured, to_rgb, to_ycc
from streamguard.training.batched.outline import hard_inside, soft_inside
from streamguard.training.batched.recipes import Blends, Colours, Detail, Parts
from streamguard.training.batched.separable import blurred, enlarge, separable, shrink
from streamguard.training.batched.tensors import Chosen, column, indices, on_rows, pixel_grid, whole_levels
from streamguard.training.batched.warp import sampled, sampling_grid
from streamguard.training.selfblend import FAKE_FROM

RIM = 2.0
"""Pixels over which another person's face fades where its picture ends."""
REACH = 3
"""Pixels to each side that the bilateral filter looks at."""


def blended(real: torch.Tensor, donors: torch.Tensor, blends: Blends) -> tuple[torch.Tensor, torch.Tensor]:
    """Fakes made anew.

    Args:
        real: float32 [N, 3, S, S], whole numbers 0..255.
        donors: float32 [K, 3, S, S]: the crops of other people, for the rows of `blends.donor` in their order.
        blends: N recipes.

    Returns the fakes, float32 [N, 3, S, S], whole numbers 0..255, and their masks, float32 [N, S, S], 0 or 1.
    """
    size = real.shape[-1]
    source = real.index_copy(0, indices(blends.donor, real), donors) if blends.donor.any() else real
    source = on_rows(source, blends.before > 0, lambda some: _blurred_by(some, blends.before))
    grid = sampling_grid(blends.matrices, size, size, real)
    moved = whole_levels(sampled(source, grid, ~blends.donor))
    outer = torch.from_numpy(blends.outer).to(real.device)[:, None, None, None]
    altered = _matched(torch.where(outer, real, moved), real, blends)
    recolour = blends.colours.changing()
    altered = on_rows(altered, recolour, lambda some: _recoloured(some, blends.colours.rows(recolour)))
    altered = lost_detail(altered, blends.detail)
    inner, around = torch.where(outer, moved, altered), torch.where(outer, altered, real)
    weight = soft_inside(blends.outlines, blends.edge, size, real)
    weight = on_rows(weight, blends.donor, lambda some: some * _rim(grid, blends)) * column(blends.ratio, real, 2)
    mask = weight > FAKE_FROM * weight.amax(dim=(1, 2), keepdim=True)
    return whole_levels(around + (inner - around) * weight[:, None]), mask.float()


def parted(
    real: torch.Tensor, fake: torch.Tensor, mask: torch.Tensor, parts: Parts
) -> tuple[torch.Tensor, torch.Tensor]:
    """Fakes of which a part is left; see `augment.mix`.

    Args:
        real, fake: float32 [N, 3, S, S], whole numbers 0..255; mask: float32 [N, S, S], 0 or 1.
        parts: N recipes.
    """
    x, y = pixel_grid(real.shape[-1], real)
    dx, dy = x - column(parts.anchor[:, 0], real, 2), y - column(parts.anchor[:, 1], real, 2)
    cos, sin, stretch, radius, softness = (
        column(each, real, 2)
        for each in (np.cos(parts.angle), np.sin(parts.angle), parts.stretch, parts.radius, parts.softness)
    )
    side = column(np.where(parts.outside, -1.0, 1.0), real, 2)
    line, ellipse = dx * cos + dy * sin, (torch.hypot(dx * stretch, dy / stretch) - radius) * side
    field = torch.where(torch.from_numpy(parts.straight).to(real.device)[:, None, None], line, ellipse)
    weight = torch.sigmoid(-field / softness)
    return whole_levels(real + (fake - real) * weight[:, None]), mask * (weight > 0.5)


def lost_detail(pictures: torch.Tensor, detail: Detail) -> torch.Tensor:
    """Pictures as a swap network gives them back; float32 [N, 3, S, S], whole numbers 0..255."""
    size = pictures.shape[-1]

    def low(some: torch.Tensor) -> torch.Tensor:
        rows = detail.small > 0
        small, cubic = column(detail.small[rows], some), column(detail.cubic[rows], some)
        return separable(some, enlarge(small, size, cubic) @ shrink(small, size))

    def focused(some: torch.Tensor) -> torch.Tensor:
        rows = detail.sigma > 0
        soft, more = blurred(some, column(detail.sigma[rows], some)), column(detail.sharpen[rows], some, 3)
        return torch.where(more > 0, some + (some - soft) * more, soft)

    def smooth(some: torch.Tensor) -> torch.Tensor:
        return bilateral(some, column(detail.smooth[detail.smooth > 0], some, 3))

    def even_colour(some: torch.Tensor) -> torch.Tensor:
        ycc = to_ycc(some)
        soft = blurred(ycc[:, 1:], column(detail.chroma[detail.chroma > 0], some))
        return to_rgb(torch.cat([ycc[:, :1], soft], dim=1))

    for chosen, change in (
        (detail.small > 0, low),
        (detail.sigma > 0, focused),
        (detail.smooth > 0, smooth),
        (detail.chroma > 0, even_colour),
    ):
        # mypy infers no type of a default in a lambda
        pictures = on_rows(pictures, chosen, lambda some, change=change: whole_levels(change(some)))  # type: ignore[misc]
    return pictures


def bilateral(pictures: torch.Tensor, spread: torch.Tensor, sigma: float = 5.0) -> torch.Tensor:
    """Smooth inside, sharp at edges (Tomasi and Manduchi, 1998), over a disc of 7 pixels.

    Args:
        pictures: float32 [N, 3, S, S].
        spread: float32 [N, 1, 1, 1], grey levels (sum over the channels) that count as an edge.
        sigma: pixels, how fast the distance counts.
    """
    size = pictures.shape[-1]
    wide = functional.pad(pictures, [REACH] * 4, mode="reflect")
    total, weights = torch.zeros_like(pictures), torch.zeros_like(pictures[:, :1])
    around = range(-REACH, REACH + 1)
    for dy, dx in ((dy, dx) for dy in around for dx in around if dy * dy + dx * dx <= REACH * REACH):
        other = wide[:, :, REACH + dy : REACH + dy + size, REACH + dx : REACH + dx + size]
        differing = (other - pictures).abs().sum(dim=1, keepdim=True)
        near = math.exp(-(dy * dy + dx * dx) / (2 * sigma * sigma))
        weight = near * torch.exp(-0.5 * (differing / spread).square())
        total += other * weight
        weights += weight
    return total / weights


def _blurred_by(some: torch.Tensor, sigma: np.ndarray) -> torch.Tensor:
    return whole_levels(blurred(some, column(sigma[sigma > 0], some)))


def _matched(pictures: torch.Tensor, aims: torch.Tensor, blends: Blends) -> torch.Tensor:
    rows: Chosen = blends.match > 0
    if not rows.any():
        return pictures
    likened = aims.index_select(0, indices(rows, aims))
    inside = hard_inside(blends.faces.rows(rows), aims.shape[-1], aims)
    strength = column(blends.match[rows], aims, 3)
    return on_rows(pictures, rows, lambda some: whole_levels(coloured_like(some, likened, inside, strength)))


def _recoloured(pictures: torch.Tensor, colours: Colours) -> torch.Tensor:
    offset, contrast, brightness = (
        column(colours.offset, pictures, 2),
        column(colours.contrast, pictures, 3),
        column(colours.brightness, pictures, 3),
    )
    hue, saturation = column(colours.hue, pictures, 2), column(colours.saturation, pictures, 2)
    return whole_levels(recoloured(pictures, offset, contrast, brightness, hue, saturation))


def _rim(grid: torch.Tensor, blends: Blends) -> torch.Tensor:
    """float32 [K, S, S]: 1 where the other person's picture is, softly 0 beyond it."""
    places = grid.index_select(0, indices(blends.donor, grid))
    matrices = blends.matrices[blends.donor]
    zoom = column(np.hypot(matrices[:, 0, 0], matrices[:, 1, 0]), grid, 3)
    # Places run from -1 to 1; the blend ends before the last pixels.
    inward = (1 - places.abs()) * (grid.shape[1] - 1) / 2 * zoom - (RIM + 0.5)
    return (0.5 * (1 + torch.erf(inward / (RIM * math.sqrt(2))))).prod(dim=3)
