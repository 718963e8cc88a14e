"""The face's outline of a whole batch: drawn on the host as a curve about a centre, made soft on the device.

A curve is one radius for each direction, so what travels is a few hundred numbers a face, and a soft edge is a
formula of the distance to it: no polygon is filled and nothing is blurred.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from streamguard.training.batched.tensors import Chosen, column, pixel_grid
from streamguard.types import Float64Array, FloatArray

DIRECTIONS = 256
CORNERS = 48


@dataclass(frozen=True, slots=True)
class Outlines:
    """Closed curves.

    Attributes:
        centre: float64 [N, 2], pixels.
        radius: float64 [N, DIRECTIONS], pixels, from -pi to pi.
        height: float64 [N], pixels from the top of the outline to its bottom, before it was deformed.
    """

    centre: Float64Array
    radius: Float64Array
    height: Float64Array

    def rows(self, chosen: Chosen) -> Outlines:
        """Those of the chosen rows."""
        return Outlines(self.centre[chosen], self.radius[chosen], self.height[chosen])


def plain_outlines(landmarks: FloatArray) -> Outlines:
    """From the brows to the chin, as `selfblend.face_outline` draws it; landmarks float32 [N, 5, 2] in pixels."""
    same = np.ones(len(landmarks))
    return _curves(_corners(landmarks, -0.65 * same, 1.75 * same, same), None)


def drawn_outlines(landmarks: FloatArray, random: np.random.Generator) -> Outlines:
    """Of varying proportions, elastically deformed, some of the lower or the upper face alone.

    The same proportions as those of `selfblend.face_outline` and `selfblend.blend_weight`.
    """
    count = len(landmarks)
    top, bottom, side = random.normal((-0.65, 1.75, 1.0), (0.15, 0.12, 0.08), size=(count, 3)).T
    part = random.random(count)
    top = np.where(part < 0.12, random.uniform(0.3, 0.55, count), top)
    bottom = np.where((part >= 0.12) & (part < 0.2), random.uniform(0.7, 1.0, count), bottom)
    size, phase = random.normal(0, 0.035, (count, 4, 1)), random.uniform(0, 2 * math.pi, (count, 4, 1))
    waves = np.array([2, 3, 4, 5])[:, None] * np.linspace(0, 2 * math.pi, CORNERS, endpoint=False)
    wave = (size * np.cos(waves + phase)).sum(axis=1)
    return _curves(_corners(landmarks, top, bottom, side), wave)


def soft_inside(outlines: Outlines, sigma: np.ndarray, size: int, like: torch.Tensor) -> torch.Tensor:
    """float32 [N, size, size], 0..1: what a Gaussian blur makes of the filled outline.

    Across an edge that is straight at the blur's width this is exact; where it bends, nearly so.

    Args:
        outlines: N curves.
        sigma: float [N], width of the blur in pixels, > 0.
        size: side of the picture.
        like: gives the device.
    """
    distance = _distance(outlines, size, like)
    return 0.5 * (1 + torch.erf(distance / (column(sigma, like, 2) * math.sqrt(2))))


def hard_inside(outlines: Outlines, size: int, like: torch.Tensor) -> torch.Tensor:
    """float32 [N, size, size]: 1 inside the outlines, 0 outside."""
    return (_distance(outlines, size, like) > 0).float()


def _distance(outlines: Outlines, size: int, like: torch.Tensor) -> torch.Tensor:
    """float32 [N, size, size]: pixels to the curve, positive inside; exact near it."""
    x, y = pixel_grid(size, like)
    dx, dy = x - column(outlines.centre[:, 0], like, 2), y - column(outlines.centre[:, 1], like, 2)
    place = (torch.atan2(dy, dx) / (2 * math.pi) + 0.5) * DIRECTIONS
    before = place.floor()
    share = place - before
    first = before.long().flatten(1) % DIRECTIONS
    radius = outlines.radius
    # Where the curve runs askew to the ray, the way to it is shorter than along the ray.
    slope = np.gradient(np.pad(radius, ((0, 0), (1, 1)), mode="wrap"), axis=1)[:, 1:-1] * DIRECTIONS / (2 * math.pi)
    askew = 1 / np.sqrt(1 + (slope / np.maximum(radius, 1e-6)) ** 2)

    def along(table: np.ndarray) -> torch.Tensor:
        values = column(table, like)
        one, two = values.gather(1, first), values.gather(1, (first + 1) % DIRECTIONS)
        return torch.lerp(one.view_as(share), two.view_as(share), share)

    return (along(radius) - torch.hypot(dx, dy)) * along(askew)


def _corners(landmarks: FloatArray, top: Float64Array, bottom: Float64Array, side: Float64Array) -> Float64Array:
    """float64 [N, CORNERS, 2]: ovals turned with the face, from `top` to `bottom` in heights from eyes to mouth."""
    eyes, mouth = landmarks[:, :2].mean(axis=1), landmarks[:, 3:].mean(axis=1)
    between = (landmarks[:, 1] - landmarks[:, 0]).astype(np.float64)
    down = (mouth - eyes).astype(np.float64)
    height = np.linalg.norm(down, axis=1) + 1e-6
    down /= height[:, None]
    right = np.stack([down[:, 1], -down[:, 0]], axis=1)
    right *= np.where((right * between).sum(axis=1) < 0, -1, 1)[:, None]
    width = np.maximum(np.linalg.norm(between, axis=1), 0.7 * height)
    angles = np.linspace(0, 2 * math.pi, CORNERS, endpoint=False)
    x = np.cos(angles) * (width * side)[:, None]
    y = np.sin(angles) * (height * (bottom - top) / 2)[:, None]
    # A chin is narrower than a forehead.
    x *= np.where(y > 0, 1 - 0.22 * np.clip(y / (height * 1.2)[:, None], 0, 1), 1)
    centre = eyes + down * (height * (top + bottom) / 2)[:, None]
    corners: Float64Array = centre[:, None] + x[..., None] * right[:, None] + y[..., None] * down[:, None]
    return corners


def _curves(corners: Float64Array, wave: Float64Array | None) -> Outlines:
    centre = corners.mean(axis=1)
    height = np.ptp(corners[:, :, 1], axis=1)
    away = corners - centre[:, None]
    if wave is not None:
        away = away * (1 + wave)[..., None]
    angles, radii = np.arctan2(away[..., 1], away[..., 0]), np.hypot(away[..., 0], away[..., 1])
    grid = np.linspace(-math.pi, math.pi, DIRECTIONS, endpoint=False)
    radius = [np.interp(grid, angle, way, period=2 * math.pi) for angle, way in zip(angles, radii, strict=True)]
    return Outlines(centre, np.array(radius).reshape(-1, DIRECTIONS), height)
