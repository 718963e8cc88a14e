"""Self-blended fakes: one real face blended with an altered copy of itself.

Method: Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022. Extended for streams: the
altered copy may pass through a low resolution, as the output of a face-swap network does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from streamguard.types import FloatArray, UInt8Array

BLEND_RATIOS = (0.5, 0.75, 1.0, 1.0, 1.0, 1.0)
FAKE_FROM = 0.3
"""Blend weight above which a pixel counts as fake."""


@dataclass(frozen=True, slots=True)
class SelfBlend:
    """A pseudo-fake.

    Attributes:
        pixels: uint8 [H, W, 3] RGB.
        mask: uint8 [H, W], 1 where fake.
    """

    pixels: UInt8Array
    mask: UInt8Array


def self_blend(rgb: UInt8Array, landmarks: FloatArray, random: np.random.Generator) -> SelfBlend:
    """Blend the face with an altered copy of itself.

    Args:
        rgb: uint8 [H, W, 3].
        landmarks: float32 [5, 2] in pixels of `rgb` (eyes, nose, mouth corners).
        random: decides everything; equal states give equal fakes.
    """
    eye_distance = float(np.linalg.norm(landmarks[1] - landmarks[0]))
    inner, outer = rgb, rgb
    # Which side is altered decides where the traces lie; both happen in real swaps, the inner far more often.
    if random.random() < 0.85:
        inner = _alter(inner, eye_distance, random)
    else:
        outer = _alter(outer, eye_distance, random)
    inner = _shift(inner, random)
    weight = blend_weight(rgb.shape[:2], landmarks, random) * random.choice(BLEND_RATIOS)
    blended = outer + (inner.astype(np.float32) - outer) * weight[..., None]
    return SelfBlend(
        np.clip(blended + 0.5, 0, 255).astype(np.uint8), (weight > FAKE_FROM * weight.max()).astype(np.uint8)
    )


def mouth_blend(rgb: UInt8Array, moment: UInt8Array, landmarks: FloatArray, random: np.random.Generator) -> SelfBlend:
    """Put the lower face of another moment on the face, rendered poorer than the rest, as lip-sync programs do.

    Args:
        rgb: uint8 [H, W, 3].
        moment: uint8 [H, W, 3], the other moment, brought to the same landmarks; or `rgb` itself.
        landmarks: float32 [5, 2] in pixels of `rgb` (eyes, nose, mouth corners).
        random: decides everything; equal states give equal fakes.
    """
    eye_distance = float(np.linalg.norm(landmarks[1] - landmarks[0]))
    weight = blend_weight(rgb.shape[:2], landmarks, random, lower=True)
    inside = weight > FAKE_FROM
    inner = moment.astype(np.float32)
    if inside.any():
        # The level of the other moment would tell it, not its texture.
        inner += rgb[inside].mean(axis=0) - inner[inside].mean(axis=0)
    rendered = _shift(np.clip(inner + 0.5, 0, 255).astype(np.uint8), random)
    if random.random() < 0.3:
        rendered = recolour(rendered, random)
    rendered = lose_detail(rendered, eye_distance, random)
    blended = rgb + (rendered.astype(np.float32) - rgb) * weight[..., None]
    return SelfBlend(np.clip(blended + 0.5, 0, 255).astype(np.uint8), inside.astype(np.uint8))


def face_outline(
    landmarks: FloatArray, random: np.random.Generator | None = None, *, lower: bool = False
) -> FloatArray:
    """float32 [48, 2]: an oval from the brows to the chin, turned with the face.

    With `random`, its proportions vary and it may cover only the lower or the upper face; with `lower`, always the
    lower.
    """
    eyes, mouth = landmarks[:2].mean(axis=0), landmarks[3:].mean(axis=0)
    down = mouth - eyes
    height = float(np.linalg.norm(down)) + 1e-6
    down = down / height
    right = np.array([down[1], -down[0]], dtype=np.float32)
    if float(right @ (landmarks[1] - landmarks[0])) < 0:
        right = -right
    width = max(float(np.linalg.norm(landmarks[1] - landmarks[0])), 0.7 * height)
    top, bottom, side = -0.65, 1.75, 1.0
    if random is not None:
        top, bottom, side = (float(v + random.normal(0, s)) for v, s in ((top, 0.15), (bottom, 0.12), (side, 0.08)))
        part = random.random()
        if lower or part < 0.12:
            top = float(random.uniform(0.3, 0.55))
        elif part < 0.2:
            bottom = float(random.uniform(0.7, 1.0))
    centre = eyes + down * height * (top + bottom) / 2
    angles = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    x = np.cos(angles) * width * side
    y = np.sin(angles) * height * (bottom - top) / 2
    # A chin is narrower than a forehead.
    x = x * np.where(y > 0, 1 - 0.22 * np.clip(y / (height * 1.2), 0, 1), 1)
    outline: FloatArray = (centre + x[:, None] * right + y[:, None] * down).astype(np.float32)
    return outline


def blend_weight(
    shape: tuple[int, ...], landmarks: FloatArray, random: np.random.Generator, *, lower: bool = False
) -> FloatArray:
    """float32 [H, W], 0..1: how much of the altered face is seen; an oval, elastically deformed, with a soft edge."""
    outline = face_outline(landmarks, random, lower=lower)
    scale = float(np.ptp(outline[:, 1]))
    # A few smooth waves along the outline: an elastic deformation without a full displacement field.
    centre, angles = outline.mean(axis=0), np.linspace(0, 2 * math.pi, len(outline), endpoint=False)
    wave = sum(random.normal(0, 0.035) * np.cos(k * angles + random.uniform(0, 2 * math.pi)) for k in (2, 3, 4, 5))
    outline = centre + (outline - centre) * (1 + np.asarray(wave))[:, None]
    mask = np.zeros(shape[:2], dtype=np.float32)
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 1.0)
    sigma = scale * float(random.uniform(0.008, 0.07))
    soft = cv2.GaussianBlur(mask, (0, 0), max(sigma, 0.6))
    if random.random() < 0.5:
        # A second blur of the eroded mask gives the wide, flat feather of swap tools.
        soft = cv2.GaussianBlur((soft > random.uniform(0.5, 0.9)).astype(np.float32), (0, 0), max(sigma, 0.6))
    return np.asarray(soft, dtype=np.float32)


def lose_detail(rgb: UInt8Array, eye_distance: float, random: np.random.Generator) -> UInt8Array:
    """The picture as a swap network gives it back: of low resolution, sharpened, blurred or smoothed; or untouched.

    Args:
        rgb: uint8 [H, W, 3].
        eye_distance: pixels between the eyes; tells how large the face is.
        random: decides which.
    """
    picture = rgb
    detail = random.random()
    if detail < 0.4:
        # What a swap network of 64 to 224 px leaves behind: its face is about 2.2 eye distances wide.
        face_width = eye_distance * 2.2
        factor = float(np.clip(random.uniform(48, 200) / face_width, 0.2, 0.95))
        small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        how = int(random.choice([cv2.INTER_LINEAR, cv2.INTER_CUBIC]))
        picture = np.asarray(cv2.resize(small, rgb.shape[1::-1], interpolation=how), dtype=np.uint8)
    elif detail < 0.6:
        sharp = picture.astype(np.float32)
        sharp += (sharp - cv2.GaussianBlur(sharp, (0, 0), random.uniform(0.8, 2.0))) * random.uniform(0.3, 1.5)
        picture = np.clip(sharp, 0, 255).astype(np.uint8)
    elif detail < 0.75:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), random.uniform(0.6, 2.2)), dtype=np.uint8)
    elif detail < 0.85:
        picture = np.asarray(cv2.bilateralFilter(picture, 7, random.uniform(15, 45), 5), dtype=np.uint8)
    if random.random() < 0.4:
        picture = _smooth_chroma(picture, eye_distance * float(random.uniform(0.02, 0.09)))
    return picture


def _alter(rgb: UInt8Array, eye_distance: float, random: np.random.Generator) -> UInt8Array:
    picture = recolour(rgb, random) if random.random() < 0.8 else rgb
    return lose_detail(picture, eye_distance, random)


def _smooth_chroma(rgb: UInt8Array, sigma: float) -> UInt8Array:
    """Colour without fine detail: in real-time swaps the face's colour is smoother than the picture around it."""
    parts = cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb)
    parts[..., 1:] = cv2.GaussianBlur(parts[..., 1:], (0, 0), max(sigma, 0.5))
    return np.asarray(cv2.cvtColor(parts, cv2.COLOR_YCrCb2RGB), dtype=np.uint8)


def recolour(rgb: UInt8Array, random: np.random.Generator) -> UInt8Array:
    """The picture in slightly other colours: offset, contrast, hue and saturation."""
    picture = rgb.astype(np.float32)
    if random.random() < 0.6:
        picture += random.uniform(-16, 16, size=3).astype(np.float32)
    if random.random() < 0.6:
        mean = picture.mean(axis=(0, 1))
        picture = (picture - mean) * random.uniform(0.85, 1.15) + mean + random.uniform(-12, 12)
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    if random.random() < 0.6:
        hsv = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV).astype(np.float32)
        hsv[..., 0] = (hsv[..., 0] + random.uniform(-6, 6)) % 180
        hsv[..., 1] *= random.uniform(0.75, 1.25)
        return np.asarray(cv2.cvtColor(np.clip(hsv, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB), dtype=np.uint8)
    return np.asarray(picture, dtype=np.uint8)


def _shift(rgb: UInt8Array, random: np.random.Generator) -> UInt8Array:
    height, width = rgb.shape[:2]
    zoom = random.uniform(0.96, 1.04)
    dx, dy = random.uniform(-0.015, 0.015) * width, random.uniform(-0.015, 0.015) * height
    matrix = np.array([[zoom, 0, (1 - zoom) * width / 2 + dx], [0, zoom, (1 - zoom) * height / 2 + dy]])
    moved = cv2.warpAffine(rgb, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(moved, dtype=np.uint8)
