"""Matched augmentation: the real and the fake of a pair go through the same light, noise and compression."""

from __future__ import annotations

import math

import cv2
import numpy as np

from streamguard.types import UInt8Array


def mix(
    real: UInt8Array, fake: UInt8Array, mask: UInt8Array, random: np.random.Generator
) -> tuple[UInt8Array, UInt8Array]:
    """A fake of which only a random part is left: the rest is the real picture again, behind a soft border.

    With whole swaps alone a network learns the faces that were put on; a face that is real in one half and fake in
    the other can only be told apart by what manipulation leaves in the pixels.

    Args:
        real, fake: uint8 [S, S, 3], registered; mask: uint8 [S, S], 1 where `fake` is fake.
        random: decides everything.

    Returns the new fake and its mask.
    """
    size = mask.shape[0]
    ys, xs = np.nonzero(mask)
    if not len(ys):
        return fake, mask
    anchor = int(random.integers(len(ys)))
    y, x = np.mgrid[:size, :size].astype(np.float32)
    if random.random() < 0.5:
        angle = random.uniform(0, 2 * math.pi)
        field = (x - xs[anchor]) * math.cos(angle) + (y - ys[anchor]) * math.sin(angle)
    else:
        radius = size * random.uniform(0.08, 0.25)
        stretch = random.uniform(0.5, 2.0)
        field = np.hypot((x - xs[anchor]) * stretch, (y - ys[anchor]) / stretch) - radius
        field = -field if random.random() < 0.5 else field
    weight = 1 / (1 + np.exp(np.clip(field / random.uniform(0.7, 6.0), -30, 30)))
    mixed = real + (fake.astype(np.float32) - real) * weight[..., None]
    return np.clip(mixed + 0.5, 0, 255).astype(np.uint8), (mask * (weight > 0.5)).astype(np.uint8)


def levels(random: np.random.Generator, strength: float) -> UInt8Array:
    """uint8 [256, 3]: a random look-up table per channel (gain, gamma, offset, tint)."""
    gain, gamma = math.exp(random.normal(0, strength * 0.5)), math.exp(random.normal(0, strength * 0.5))
    ramp = np.linspace(0, 1, 256)[:, None]
    tint = 1 + random.normal(0, strength * 0.2, size=3)
    table = 255 * ((ramp**gamma - 0.5) * gain + 0.5) * tint + random.normal(0, strength * 30)
    return np.clip(table + 0.5, 0, 255).astype(np.uint8)


def apply_levels(view: UInt8Array, table: UInt8Array) -> UInt8Array:
    """The view with each channel's levels looked up in its column of `table`."""
    return np.asarray(cv2.LUT(view, table[None]), dtype=np.uint8)


def degraded(views: list[UInt8Array], random: np.random.Generator) -> list[UInt8Array]:
    """Both views rescaled, made noisy or compressed once more, in the same way."""
    side = views[0].shape[0]
    # Small faces are enlarged for the model: compression happened before that, at the size they had.
    sent = max(32, round(side * random.uniform(0.45, 0.95))) if random.random() < 0.35 else side
    if sent < side:
        views = [_resized(view, sent, cv2.INTER_AREA) for view in views]
    kind = random.random()
    if kind < 0.1:
        sigma = random.uniform(0.3, 0.9)
        views = [blurred(view, sigma) for view in views]
    elif kind < 0.25:
        strength = random.uniform(1, 5)
        noise = random.normal(0, strength, size=(sent, sent, 1)).astype(np.float32)
        views = [
            np.clip(view + np.roll(noise, index * 7, axis=0), 0, 255).astype(np.uint8)
            for index, view in enumerate(views)
        ]
    codec = random.random()
    if codec < 0.35:
        quality = int(random.integers(40, 97))
        views = [jpeg(view, quality) for view in views]
    elif codec < 0.6:
        quality = int(random.integers(25, 96))
        views = [webp(view, quality) for view in views]
    if sent < side:
        back = int(random.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
        views = [_resized(view, side, back) for view in views]
    return views


def blurred(view: UInt8Array, sigma: float) -> UInt8Array:
    """The view after a Gaussian of `sigma` pixels."""
    return np.asarray(cv2.GaussianBlur(view, (0, 0), sigma), dtype=np.uint8)


def _resized(view: UInt8Array, side: int, how: int) -> UInt8Array:
    return np.asarray(cv2.resize(view, (side, side), interpolation=how), dtype=np.uint8)


def jpeg(rgb: UInt8Array, quality: int) -> UInt8Array:
    """The picture after JPEG compression.

    Args:
        rgb: uint8 [H, W, 3].
        quality: 1..100.
    """
    return _coded(rgb, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def webp(rgb: UInt8Array, quality: int) -> UInt8Array:
    """The picture after lossy WebP, which is one key frame of VP8.

    Args:
        rgb: uint8 [H, W, 3].
        quality: 1..100.
    """
    return _coded(rgb, ".webp", [cv2.IMWRITE_WEBP_QUALITY, quality])


def _coded(rgb: UInt8Array, form: str, settings: list[int]) -> UInt8Array:
    _, data = cv2.imencode(form, cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), settings)
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), dtype=np.uint8)


def hide_region(views: list[UInt8Array], truth: UInt8Array | None, random: np.random.Generator) -> None:
    """A rectangle of one colour over both views; nothing is fake there."""
    side = views[0].shape[0]
    width, height = random.integers(side // 10, side // 3, size=2)
    x, y = random.integers(0, side - width), random.integers(0, side - height)
    fill = random.integers(0, 256, size=3)
    for view in views:
        view[y : y + height, x : x + width] = fill
    if truth is not None:
        truth[y : y + height, x : x + width] = 0
