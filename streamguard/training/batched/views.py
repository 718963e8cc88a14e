"""How each pair of a batch is looked at: numbers drawn on the host, one row a pair.

The same ranges as those of `augment`, with two differences: real and fake share the levels and the noise, too, and
what `augment` codes as WebP is coded as JPEG of that quality.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from streamguard.training.augment import View
from streamguard.training.batched.tensors import Chosen
from streamguard.types import Float64Array


@dataclass(frozen=True, slots=True)
class Levels:
    """Other levels of both pictures; a pair left as it is has ones and zeros. See `colour.levelled`.

    Attributes:
        gain, gamma: float64 [N], factors; tint: [N, 3]; offset: [N], grey levels.
    """

    gain: Float64Array
    gamma: Float64Array
    tint: Float64Array
    offset: Float64Array


@dataclass(frozen=True, slots=True)
class Views:
    """What is seen of N pairs, and what it goes through; 0 where a step is left out.

    Attributes:
        patch: side of the views in pixels.
        matrices: float64 [N, 2, 3], from crop to view, in pixels.
        cubic: bool [N]: interpolation of that, cubic or linear.
        levelled: bool [N]; levels: rows of those pairs alone.
        blur: float64 [N], pixels.
        sent: int [N], side in pixels at which it is compressed, up to `patch`.
        soften: float64 [N], pixels, of a blur at that size.
        noise: float64 [N], grey levels.
        quality: int [N], of JPEG, 1..100.
        cubic_back: bool [N], how it comes back from `sent`.
        hidden: int [N, 4], x, y, width and height of a region that is painted over; fill: [N, 3], its colour.
        noise_seed: of the noise, which the device makes.
    """

    patch: int
    matrices: Float64Array
    cubic: Chosen
    levelled: Chosen
    levels: Levels
    blur: Float64Array
    sent: np.ndarray
    soften: Float64Array
    noise: Float64Array
    quality: np.ndarray
    cubic_back: Chosen
    hidden: np.ndarray
    fill: Float64Array
    noise_seed: int


def draw_views(view: View, degrade: Float64Array, size: int, random: np.random.Generator) -> Views:
    """Views of N pairs.

    Args:
        view: patch, zoom and share of blurred ones.
        degrade: float64 [N], 0..1: each pair's chance of being rescaled, made noisy or compressed.
        size: side of the crops in pixels.
        random: decides everything.
    """
    count, patch = len(degrade), view.patch
    levelled = random.random(count) < 0.5
    degraded = random.random(count) < degrade
    smaller = degraded & (random.random(count) < 0.35)
    sent = np.maximum(32, np.rint(patch * random.uniform(0.45, 0.95, count)))
    kind, codec = (np.where(degraded, random.random(count), 1.0) for _ in range(2))
    quality = np.where(codec < 0.35, random.integers(40, 97, count), random.integers(25, 96, count))
    return Views(
        patch=patch,
        matrices=_geometry(view, count, size, random),
        cubic=random.random(count) < 0.5,
        levelled=levelled,
        levels=_draw_levels(int(levelled.sum()), random),
        blur=np.exp(random.uniform(math.log(0.6), math.log(3.0), count)) * (random.random(count) < view.blur),
        sent=np.where(smaller, np.minimum(sent, patch), patch).astype(np.int64),
        soften=random.uniform(0.3, 0.9, count) * (kind < 0.1),
        noise=random.uniform(1, 5, count) * ((kind >= 0.1) & (kind < 0.25)),
        quality=np.where(codec < 0.6, quality, 0),
        cubic_back=random.random(count) < 0.5,
        hidden=_hidden(random.random(count) < 0.1, patch, random),
        fill=random.integers(0, 256, (count, 3)).astype(np.float64),
        noise_seed=int(random.integers(2**31)),
    )


def _geometry(view: View, count: int, size: int, random: np.random.Generator) -> Float64Array:
    """float64 [N, 2, 3]: flip, rotation, scale, slight perspective-like shear, position."""
    low, high = view.zoom
    flip = np.where(random.random(count) < 0.5, -1.0, 1.0)
    # Some patches keep the pixel grid: any resampling smooths away part of what is to be learned.
    aligned = (random.random(count) < 0.4) & (low <= 1 <= high)
    strength = np.where(aligned, 0.0, 1.0)
    angle = np.radians(random.normal(0, 10, count)) * strength
    zoom = np.where(aligned, 1.0, np.exp(random.uniform(math.log(low), math.log(high), count)))
    shear, stretch = random.normal(0, 0.03, count) * strength, 1 + random.normal(0, 0.03, count) * strength
    cos, sin = np.cos(angle) * zoom, np.sin(angle) * zoom
    turn = np.stack([cos, -sin, sin, cos], axis=1).reshape(-1, 2, 2)
    skew = np.stack([flip, shear, np.zeros(count), stretch], axis=1).reshape(-1, 2, 2)
    linear = turn @ skew
    # The crop's middle 256 pixels are what the live guard sees; smaller patches wander inside it.
    reach = np.maximum(0.0, 128 - view.patch / zoom / 2) * 0.8 + 10
    centre = size / 2 + random.uniform(-1, 1, (count, 2)) * reach[:, None]
    offset = view.patch / 2 - (linear @ centre[:, :, None])
    return np.concatenate([linear, np.where(aligned[:, None, None], np.round(offset), offset)], axis=2)


def _draw_levels(count: int, random: np.random.Generator, strength: float = 0.2) -> Levels:
    return Levels(
        gain=np.exp(random.normal(0, strength * 0.5, count)),
        gamma=np.exp(random.normal(0, strength * 0.5, count)),
        tint=1 + random.normal(0, strength * 0.2, (count, 3)),
        offset=random.normal(0, strength * 30, count),
    )


def _hidden(chosen: Chosen, patch: int, random: np.random.Generator) -> np.ndarray:
    extent = random.integers(patch // 10, patch // 3, (len(chosen), 2))
    corner = (random.random((len(chosen), 2)) * (patch - extent)).astype(np.int64)
    return np.concatenate([corner, extent * chosen[:, None]], axis=1)
