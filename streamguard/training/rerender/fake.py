"""One pair: a real face as a camera gives it, and the same one with its inner part rendered again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from streamguard.training.augment import jpeg
from streamguard.training.donor_blend import coloured_like
from streamguard.training.rerender.aligned import aligned, template
from streamguard.training.rerender.autoencoder import FaceAutoencoder
from streamguard.training.rerender.levelled import levelled
from streamguard.training.selfblend import FAKE_FROM, blend_weight, face_outline
from streamguard.types import BoolArray, Float64Array, FloatArray, UInt8Array

ZOOMS = (0.75, 1.0)
SMALLEST, LARGEST = 96, 256
"""Sides of a face that is rendered, in pixels."""
OVAL_SHARE, NOISY_SHARE = 0.75, 0.3
LEAST_INSIDE = 800
"""Pixels that are well inside a blend, for its strength to be compared there."""
STRENGTHS = (0.3, 0.5, 1.0)
"""How much of another person's code is put in."""

Donor = Callable[[UInt8Array, FloatArray, np.random.Generator], tuple[UInt8Array, FloatArray]]
"""Of a face and its landmarks another person's like it."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A pair.

    Attributes:
        real, fake: uint8 [H, W, 3].
        mask: uint8 [H, W], 1 where fake.
    """

    real: UInt8Array
    fake: UInt8Array
    mask: UInt8Array


class Rerenderer:
    """Makes pairs by several networks.

    Args:
        networks: at least one.
        donor: finds another person's face like a given one.
        donor_share: of the faces whose code is moved towards another person's, 0..1.
    """

    def __init__(self, networks: Sequence[FaceAutoencoder], donor: Donor, donor_share: float) -> None:
        self._networks = [network.eval().to(memory_format=torch.channels_last) for network in networks]  # type: ignore[call-overload]  # torch's stubs know 4-d tensors only
        self._donor, self._donor_share = donor, donor_share

    def pair(self, rgb: UInt8Array, landmarks: FloatArray, random: np.random.Generator) -> Rendered:
        """Of a real face.

        Args:
            rgb: uint8 [H, W, 3].
            landmarks: float32 [5, 2] in its pixels.
            random: decides everything; equal states give equal pairs.
        """
        real, detail = as_a_camera_gives_it(rgb, random)
        network = self._networks[int(random.integers(len(self._networks)))]
        zoom = float(random.uniform(*ZOOMS))
        spread = float(np.linalg.norm(landmarks[1] - landmarks[0])) / float(np.ptp(template(1, zoom)[:2, 0]))
        # About as many pixels as the picture truly has there.
        side = round(spread * detail * float(random.uniform(0.7, 1.3)) / 16) * 16
        side = int(np.clip(side, SMALLEST, LARGEST))
        face, matrix = aligned(real, landmarks, side, zoom)
        made = self._render(network, face, (real, landmarks), zoom, random)
        oval = None
        if random.random() < OVAL_SHARE:
            oval = blend_weight(rgb.shape, landmarks, random)
            oval = np.asarray(cv2.GaussianBlur(oval, (0, 0), float(random.uniform(2, 10))), dtype=np.float32)
        return _put_back(real, made, matrix, oval, random)

    @torch.inference_mode()
    def _render(
        self,
        network: FaceAutoencoder,
        face: UInt8Array,
        whole: tuple[UInt8Array, FloatArray],
        zoom: float,
        random: np.random.Generator,
    ) -> UInt8Array:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            codes = network.encode(_tensor(face))
            if random.random() < self._donor_share:
                side = face.shape[0]
                other, _ = aligned(*self._donor(*whole, random), side, zoom)
                oval = np.zeros(face.shape[:2], dtype=np.uint8)
                cv2.fillPoly(oval, [np.round(face_outline(template(side, zoom))).astype(np.int32)], 1)
                towards = network.encode(_tensor(coloured_like(other, face, oval, 1.0)))
                codes = codes + (towards - codes) * float(random.choice(STRENGTHS))
            if random.random() < NOISY_SHARE:
                noise = random.normal(0, random.uniform(0.02, 0.1), tuple(codes.shape))
                codes = codes + torch.from_numpy(noise.astype(np.float32))
            return _levels(network.decode(codes))


@torch.inference_mode()
def rendered_again(
    network: FaceAutoencoder, rgb: UInt8Array, landmarks: FloatArray, side: int, random: np.random.Generator
) -> Rendered:
    """The inner face as the network renders it at `side` x `side` pixels, nothing else changed.

    Args:
        network: what renders.
        rgb: uint8 [H, W, 3].
        landmarks: float32 [5, 2] in its pixels.
        side: of the upright face, a multiple of 16.
        random: decides what little of a difference in sharpness and colour is left.
    """
    face, matrix = aligned(rgb, landmarks, side, ZOOMS[0])
    outline = np.zeros(rgb.shape[:2], dtype=np.float32)
    cv2.fillPoly(outline, [np.round(face_outline(landmarks)).astype(np.int32)], 1.0)
    soft = cv2.GaussianBlur(outline, (0, 0), 0.07 * float(np.linalg.norm(landmarks[1] - landmarks[0])))
    made = _levels(network.decode(network.encode(_tensor(face))))
    return _put_back(rgb, made, matrix, np.asarray(soft, dtype=np.float32), random)


def as_a_camera_gives_it(rgb: UInt8Array, random: np.random.Generator) -> tuple[UInt8Array, float]:
    """The picture of fewer true pixels, with noise or JPEG; a generator's face is put on what a camera gave.

    Returns uint8 as `rgb`, and the share of its side that its true pixels are, 0..1.
    """
    detail = float(random.uniform(0.3, 1.0))
    small = np.asarray(cv2.resize(rgb, None, fx=detail, fy=detail, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    if random.random() < 0.6:
        noise = random.normal(0, random.uniform(1, 5), small.shape)
        small = np.clip(small + noise + 0.5, 0, 255).astype(np.uint8)
    if random.random() < 0.5:
        small = jpeg(small, int(random.integers(60, 95)))
    large = cv2.resize(small, rgb.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, dtype=np.uint8), detail


def _put_back(
    real: UInt8Array, made: UInt8Array, matrix: Float64Array, oval: FloatArray | None, random: np.random.Generator
) -> Rendered:
    """The upright face `made` in the picture that `matrix` took it from, inside the oval where there is one."""
    height, width = real.shape[:2]
    back = cv2.WARP_INVERSE_MAP | int(random.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
    inner = cv2.warpAffine(made, matrix, (width, height), flags=back, borderMode=cv2.BORDER_REFLECT_101)
    weight = cv2.warpAffine(_soft_square(made.shape[0]), matrix, (width, height), flags=back).clip(0, 1)
    if oval is not None:
        weight = weight * oval
    inner = levelled(real, np.asarray(inner, dtype=np.uint8), _inside(weight), random)
    fake = real + (inner.astype(np.float32) - real) * weight[..., None]
    mask = (weight > FAKE_FROM * weight.max()).astype(np.uint8)
    return Rendered(real, np.clip(fake + 0.5, 0, 255).astype(np.uint8), mask)


def _levels(rendered: torch.Tensor) -> UInt8Array:
    """float [1, 3, H, W], about -1..1 -> uint8 [H, W, 3]."""
    pixels = rendered.float()[0].permute(1, 2, 0).numpy()
    return np.clip(pixels * 128 + 128.5, 0, 255).astype(np.uint8)


def _inside(weight: FloatArray) -> BoolArray:
    inside = weight > 0.5
    return np.asarray(inside if inside.sum() >= LEAST_INSIDE else weight >= 0.2 * weight.max(), dtype=np.bool_)


def _soft_square(side: int) -> FloatArray:
    square, border = np.zeros((side, side), dtype=np.float32), max(3, side // 10)
    square[border:-border, border:-border] = 1
    return np.asarray(cv2.GaussianBlur(square, (0, 0), border / 2.5), dtype=np.float32)


def _tensor(rgb: UInt8Array) -> torch.Tensor:
    pixels = torch.from_numpy(np.ascontiguousarray(rgb))[None].permute(0, 3, 1, 2)
    return ((pixels.float() - 128) / 128).contiguous(memory_format=torch.channels_last)
