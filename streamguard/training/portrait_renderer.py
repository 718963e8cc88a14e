"""A small network that renders a face again, and how its picture is put back: what the demo's clip calls fake.

The rendered face is as coloured and as sharp in every band of detail as the one it stands for. What is left is the
texture of a neural decoder, and nothing that blending leaves.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from streamguard.training.selfblend import face_outline
from streamguard.types import BoolArray, Float64Array, FloatArray, UInt8Array

WEIGHTS = Path(__file__).with_name("portrait_renderer.safetensors")
"""In half precision. No detector was taught by this network."""
WIDTHS = (40, 80, 112)
"""Channels after each halving."""
LAST, CODE = 24, 6
"""Channels before the picture, and of the code."""
BOUND = 3.0
"""Codes lie in -BOUND..BOUND."""
TEMPLATE = np.array([[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]], dtype=np.float32)
"""Eyes, nose and mouth corners in a square of 112 pixels: the usual place of a face for recognition (ArcFace)."""
TEMPLATE_SIDE, ZOOM = 112, 0.75
"""`ZOOM` 1 is that usual, tight place."""
LEAST_INSIDE = 800
"""Pixels that are well inside a blend, for its strength to be compared there."""
SIGMAS = (0.7, 1.4, 2.8, 5.6)
"""Pixels; the bands of detail lie between them."""
LEAST, MOST = 0.4, 6.0
"""Bounds of a band's gain: what is hardly there at all is not drawn up from nothing."""
TOGETHER, APART = 0.15, 0.12
"""Octaves by which all bands, and single ones, may still be stronger or weaker."""
LOWS = (0.0, 0.0, 0.5, 1.0)
"""How much of the rendered face's own colour and shading is kept."""


class FaceAutoencoder(nn.Module):
    """Renders a face again from a small code."""

    def __init__(self) -> None:
        super().__init__()
        encoder: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, WIDTHS[0], 3, padding=1), _Residual(WIDTHS[0])]
        for fine, coarse in itertools.pairwise(WIDTHS):
            encoder += [nn.Conv2d(fine, coarse, 4, 2, 1), _Residual(coarse)]
        self.encoder = nn.Sequential(*encoder, nn.Conv2d(WIDTHS[-1], CODE, 3, padding=1))
        decoder: list[nn.Module] = [nn.Conv2d(CODE, WIDTHS[-1], 3, padding=1), _Residual(WIDTHS[-1])]
        for coarse, fine in itertools.pairwise(reversed(WIDTHS)):
            decoder += [*_doubling(coarse, fine), _Residual(fine)]
        self.decoder = nn.Sequential(
            *decoder, *_doubling(WIDTHS[0], LAST), nn.LeakyReLU(0.2), nn.Conv2d(LAST, 3, 3, padding=1)
        )

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """float [N, 3, H, W], about -1..1, sides multiples of 8 -> the same, rendered."""
        rendered: torch.Tensor = self.decoder(torch.tanh(self.encoder(pictures) / BOUND) * BOUND)
        return rendered


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.first(functional.leaky_relu(self.norm(x), 0.2))
        total: torch.Tensor = x + self.second(functional.leaky_relu(inner, 0.2))
        return total


def _doubling(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(inputs, outputs, 3, padding=1)]


def portrait_renderer() -> FaceAutoencoder:
    """The network with the weights that are shipped."""
    network = FaceAutoencoder()
    network.load_state_dict({key: value.float() for key, value in load_file(WEIGHTS).items()})
    return network.eval()


@torch.inference_mode()
def rendered_again(
    network: FaceAutoencoder, rgb: UInt8Array, landmarks: FloatArray, side: int, random: np.random.Generator
) -> UInt8Array:
    """The picture with its inner face as the network renders it, nothing else changed.

    Args:
        network: what renders.
        rgb: uint8 [H, W, 3].
        landmarks: float32 [5, 2] in its pixels.
        side: of the upright face that is rendered, in pixels, a multiple of 8.
        random: decides what little of a difference in sharpness and colour is left.
    """
    height, width = rgb.shape[:2]
    face, matrix = aligned(rgb, landmarks, side)
    pixels = (torch.from_numpy(face)[None].permute(0, 3, 1, 2).float() - 128) / 128
    made = np.clip(network(pixels)[0].permute(1, 2, 0).numpy() * 128 + 128.5, 0, 255).astype(np.uint8)
    back = cv2.WARP_INVERSE_MAP | int(random.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    inner = cv2.warpAffine(made, matrix, (width, height), flags=back, borderMode=cv2.BORDER_REFLECT_101)
    border = max(3, side // 10)
    square = np.pad(np.ones((side - 2 * border, side - 2 * border), np.float32), border)
    there = cv2.GaussianBlur(square, (0, 0), border / 2.5)
    outline = np.zeros((height, width), dtype=np.float32)
    cv2.fillPoly(outline, [np.round(face_outline(landmarks)).astype(np.int32)], 1.0)
    soft = cv2.GaussianBlur(outline, (0, 0), 0.07 * float(np.linalg.norm(landmarks[1] - landmarks[0])))
    weight = cv2.warpAffine(there, matrix, (width, height), flags=back).clip(0, 1) * soft
    inside = weight > 0.5 if (weight > 0.5).sum() >= LEAST_INSIDE else weight >= 0.2 * weight.max()
    inner = levelled(rgb, np.asarray(inner, dtype=np.uint8), np.asarray(inside, dtype=np.bool_), random)
    fake = rgb + (inner.astype(np.float32) - rgb) * weight[..., None]
    return np.clip(fake + 0.5, 0, 255).astype(np.uint8)


def aligned(rgb: UInt8Array, landmarks: FloatArray, side: int) -> tuple[UInt8Array, Float64Array]:
    """The face upright.

    Args:
        rgb: uint8 [H, W, 3].
        landmarks: float32 [5, 2] in its pixels.
        side: of the square, in pixels.

    Returns uint8 [side, side, 3], and the float64 [2, 3] that leads there for `cv2.warpAffine`.
    """
    matrix = similarity(landmarks, template(side))
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.6:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), 0.4 / scale), dtype=np.uint8)
    face = cv2.warpAffine(rgb, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(face, dtype=np.uint8), matrix


def template(side: int) -> FloatArray:
    """float32 [5, 2]: where the landmarks lie in a square of that side."""
    middle = TEMPLATE_SIDE / 2
    return np.asarray(((TEMPLATE - middle) * ZOOM + middle) * (side / TEMPLATE_SIDE), dtype=np.float32)


def similarity(source: FloatArray, target: FloatArray) -> Float64Array:
    """The turn, zoom and shift that bring `source` nearest to `target` in least squares: float64 [2, 3].

    Args:
        source, target: float32 [K, 2], K >= 2 points, not all of `source` in one place.
    """
    one, two = (points[:, 0] + 1j * points[:, 1].astype(np.complex128) for points in (source, target))
    centred = one - one.mean()
    turn = (centred.conj() @ (two - two.mean())) / (np.abs(centred) ** 2).sum()
    shift = two.mean() - turn * one.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])


def levelled(real: UInt8Array, made: UInt8Array, inside: BoolArray, random: np.random.Generator) -> UInt8Array:
    """`made` with the strength of `real` in each band of detail, and with most of its colour and shading.

    Args:
        real, made: uint8 [H, W, 3] RGB, registered.
        inside: bool [H, W], where strengths are compared.
        random: decides what little is left of a difference.
    """
    (fine, coarse), (made_fine, made_coarse) = _bands(real), _bands(made)
    picture = coarse + (made_coarse - coarse) * float(random.choice(LOWS))
    together = random.normal(0, TOGETHER)
    for band, made_band in zip(fine, made_fine, strict=True):
        gain = _strength(band[inside]) / (_strength(made_band[inside]) + 0.02)
        picture = picture + made_band * np.clip(gain * 2 ** (together + random.normal(0, APART, 3)), LEAST, MOST)
    levels = np.clip(picture + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(levels, cv2.COLOR_YCrCb2RGB), dtype=np.uint8)


def _bands(rgb: UInt8Array) -> tuple[list[FloatArray], FloatArray]:
    """Details from fine to coarse, and what is left; float32 [H, W, 3] YCrCb that add up to the picture."""
    left = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb), dtype=np.float32)
    picture, bands = left, []
    for sigma in SIGMAS:
        softer = np.asarray(cv2.GaussianBlur(picture, (0, 0), sigma), dtype=np.float32)
        bands.append(left - softer)
        left = softer
    return bands, left


def _strength(values: FloatArray) -> FloatArray:
    """float32 [3]: root mean square of each channel."""
    return np.asarray(np.sqrt((values**2).mean(axis=0)), dtype=np.float32)
