"""Blended images: another person's face, aligned by landmarks and matched in colour, on a real one.

Method: the pseudo-fakes of Li et al., "Face X-ray for More General Face Forgery Detection", CVPR 2020, with what a
swap network leaves in the face: a lower resolution, smoothed texture, smoothed colour.
"""

from __future__ import annotations

import cv2
import numpy as np

from streamguard.training.selfblend import FAKE_FROM, SelfBlend, blend_weight, face_outline, lose_detail, recolour
from streamguard.types import Float64Array, FloatArray, UInt8Array

RATIOS = (0.75, 1.0, 1.0, 1.0)


def similarity(source: FloatArray, target: FloatArray) -> tuple[Float64Array, float]:
    """The turn, zoom and shift that bring `source` nearest to `target` in least squares.

    Args:
        source, target: float32 [K, 2], K >= 2 points, not all of `source` in one place.

    Returns float64 [2, 3] for `cv2.warpAffine`, and the mean distance that is left, in units of `target`'s spread.
    """
    one = source[:, 0] + 1j * source[:, 1].astype(np.complex128)
    two = target[:, 0] + 1j * target[:, 1].astype(np.complex128)
    centred, aim = one - one.mean(), two - two.mean()
    turn = (centred.conj() @ aim) / (np.abs(centred) ** 2).sum()
    shift = two.mean() - turn * one.mean()
    left = float(np.abs(turn * centred - aim).mean() / (np.abs(aim).mean() + 1e-9))
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]]), left


def similarities(sources: FloatArray, targets: FloatArray) -> tuple[Float64Array, Float64Array]:
    """`similarity` of many at once.

    Args:
        sources: float32 [N, K, 2]; targets: float32 [N, K, 2], or [K, 2] for all.

    Returns float64 [N, 2, 3] and [N].
    """
    one = sources[..., 0] + 1j * sources[..., 1].astype(np.complex128)
    two = targets[..., 0] + 1j * targets[..., 1].astype(np.complex128)
    centred, aim = one - one.mean(axis=-1, keepdims=True), two - two.mean(axis=-1, keepdims=True)
    turn = (centred.conj() * aim).sum(axis=-1) / np.maximum((np.abs(centred) ** 2).sum(axis=-1), 1e-12)
    shift = two.mean(axis=-1) - turn * one.mean(axis=-1)
    left = np.abs(turn[..., None] * centred - aim).mean(axis=-1) / (np.abs(aim).mean(axis=-1) + 1e-9)
    rows = np.stack([turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag], axis=-1)
    return rows.reshape(-1, 2, 3), left


def donor_blend(
    rgb: UInt8Array, landmarks: FloatArray, donor: UInt8Array, donor_landmarks: FloatArray, random: np.random.Generator
) -> SelfBlend:
    """Put the inner face of `donor` on `rgb`.

    Args:
        rgb, donor: uint8 [H, W, 3], of two people.
        landmarks, donor_landmarks: float32 [5, 2] in pixels of each.
        random: decides everything; equal states give equal fakes.
    """
    height, width = rgb.shape[:2]
    matrix, _ = similarity(donor_landmarks, landmarks)
    zoom = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if zoom < 0.7:
        donor = np.asarray(cv2.GaussianBlur(donor, (0, 0), 0.4 / zoom), dtype=np.uint8)
    # Nothing of the donor's surroundings is there beyond its picture: the blend ends before.
    there = cv2.warpAffine(np.ones(donor.shape[:2], np.float32), matrix, (width, height))
    inner = np.asarray(
        cv2.warpAffine(donor, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
        dtype=np.uint8,
    )
    face = np.zeros((height, width), np.uint8)
    cv2.fillPoly(face, [np.round(face_outline(landmarks)).astype(np.int32)], 1)
    inner = coloured_like(inner, rgb, face, float(random.uniform(0.6, 1.0)))
    if random.random() < 0.3:
        inner = recolour(inner, random)
    inner = lose_detail(inner, float(np.linalg.norm(landmarks[1] - landmarks[0])), random)
    soft = cv2.GaussianBlur((cv2.erode(there, np.ones((5, 5))) > 0.99).astype(np.float32), (0, 0), 2)
    weight = blend_weight(rgb.shape[:2], landmarks, random) * soft * random.choice(RATIOS)
    blended = rgb + (inner.astype(np.float32) - rgb) * weight[..., None]
    return SelfBlend(
        np.clip(blended + 0.5, 0, 255).astype(np.uint8), (weight > FAKE_FROM * weight.max()).astype(np.uint8)
    )


def coloured_like(inner: UInt8Array, rgb: UInt8Array, face: UInt8Array, strength: float) -> UInt8Array:
    """Mean and spread of brightness and colour moved towards those of `rgb` inside `face` (Reinhard et al., 2001)."""
    one, two = (cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb).astype(np.float32) for picture in (inner, rgb))
    (mean, spread), (aim, width) = (cv2.meanStdDev(picture, mask=face) for picture in (one, two))
    scale = np.clip(width.ravel() / (spread.ravel() + 1e-3), 0.5, 2.0)
    moved = (one - mean.ravel()) * scale + aim.ravel()
    mixed = one + (moved - one) * strength
    levels = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(levels, cv2.COLOR_YCrCb2RGB), dtype=np.uint8)
