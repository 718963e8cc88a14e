"""How each fake of a batch is to be made: numbers drawn on the host, one row a fake.

The same kinds and the same ranges as those of `selfblend`, `donor_blend` and `augment.mix`, which are made one by one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from streamguard.training.batched.outline import Outlines, drawn_outlines, plain_outlines
from streamguard.training.batched.tensors import Chosen
from streamguard.training.donor_blend import RATIOS, similarities
from streamguard.training.selfblend import BLEND_RATIOS
from streamguard.types import Float64Array, FloatArray


@dataclass(frozen=True, slots=True)
class Colours:
    """Other colours; a picture left as it is has zeros and ones. See `colour.recoloured`.

    Attributes:
        offset: float64 [N, 3]; brightness: [N]; both in grey levels.
        contrast, saturation: [N], factors; hue: [N], degrees.
    """

    offset: Float64Array
    contrast: Float64Array
    brightness: Float64Array
    hue: Float64Array
    saturation: Float64Array

    def changing(self) -> Chosen:
        """bool [N]: which pictures do not stay as they are."""
        moved = self.offset.any(axis=1) | (self.brightness != 0) | (self.hue != 0)
        changing: Chosen = moved | (self.contrast != 1) | (self.saturation != 1)
        return changing

    def rows(self, chosen: Chosen) -> Colours:
        """Those of the chosen rows."""
        return Colours(*(getattr(self, part.name)[chosen] for part in fields(self)))


@dataclass(frozen=True, slots=True)
class Detail:
    """What a swap network does to fine detail; 0 where a step is left out.

    Attributes:
        small: int [N], side in pixels of the whole picture at the resolution it passes through.
        cubic: bool [N], how it comes back from that.
        sigma: float64 [N], pixels, of a blur.
        sharpen: float64 [N]: where above 0, that share of what the blur took is added instead.
        smooth: float64 [N], grey levels, of a bilateral filter.
        chroma: float64 [N], pixels, of a blur of the colour difference.
    """

    small: np.ndarray
    cubic: Chosen
    sigma: Float64Array
    sharpen: Float64Array
    smooth: Float64Array
    chroma: Float64Array


@dataclass(frozen=True, slots=True)
class Blends:
    """Fakes made anew: an inner face, altered, on a real picture.

    Attributes:
        donor: bool [N]: the inner face is another person's, moved onto this one.
        matrices: float64 [N, 2, 3]: from the inner face's picture to this one, in pixels.
        before: float64 [N], pixels: blur of the inner face's picture before it is moved; 0 without.
        outer: bool [N]: what is altered is what lies around the inner face.
        match: float64 [N], 0..1: how far colours move towards those of this picture.
        colours, detail: how the altered side is altered.
        faces: the plain outlines, inside which colours are compared.
        outlines, edge: where the inner face is seen, and the blur of that edge in pixels.
        ratio: float64 [N], 0..1: how much of it is seen.
    """

    donor: Chosen
    matrices: Float64Array
    before: Float64Array
    outer: Chosen
    match: Float64Array
    colours: Colours
    detail: Detail
    faces: Outlines
    outlines: Outlines
    edge: Float64Array
    ratio: Float64Array


@dataclass(frozen=True, slots=True)
class Parts:
    """Fakes of which only a part is left; see `augment.mix`.

    Attributes:
        anchor: float64 [N, 2], pixels: a place of the fake that stays, on the border or in its middle.
        straight: bool [N]: the border is a line, else an ellipse.
        angle: float64 [N], radians; radius: [N], pixels; stretch: [N].
        outside: bool [N]: what is left lies outside of the ellipse.
        softness: float64 [N], pixels.
    """

    anchor: Float64Array
    straight: Chosen
    angle: Float64Array
    radius: Float64Array
    stretch: Float64Array
    outside: Chosen
    softness: Float64Array


def draw_blends(
    landmarks: FloatArray,
    donor_landmarks: FloatArray,
    donor: Chosen,
    plain: Chosen,
    size: int,
    random: np.random.Generator,
) -> Blends:
    """Recipes of N fakes made anew.

    Args:
        landmarks: float32 [N, 5, 2], in pixels of the real crops.
        donor_landmarks: float32 [K, 5, 2], in pixels of the crops of the K other people.
        donor: bool [N], K of them true: who gets another person's face.
        plain: bool [N]: who gets a whole inner face of low resolution (`selfblend.swap_like_blend`).
        size: side of the crops in pixels.
        random: decides everything.
    """
    count = len(landmarks)
    eyes = np.linalg.norm(landmarks[:, 1] - landmarks[:, 0], axis=1).astype(np.float64)
    matrices = _shifts(count, size, random)
    if donor.any():
        found, _ = similarities(donor_landmarks, landmarks[donor])
        # Landmarks all in one place tell no size.
        told = np.hypot(found[:, :1, :1], found[:, 1:, :1]) > 1e-3
        matrices[donor] = np.where(told, found, matrices[donor])
    zoom = np.hypot(matrices[:, 0, 0], matrices[:, 1, 0])
    drawn, faces = drawn_outlines(landmarks, random), plain_outlines(landmarks)
    outlines = Outlines(
        np.where(plain[:, None], faces.centre, drawn.centre),
        np.where(plain[:, None], faces.radius, drawn.radius),
        drawn.height,
    )
    edge = np.maximum(drawn.height * random.uniform(0.008, 0.07, count), 0.6)
    ratio = np.where(donor, random.choice(RATIOS, count), random.choice(BLEND_RATIOS, count))
    altered = np.where(plain, 1.0, np.where(donor, 0.3, 0.8))
    return Blends(
        donor=donor,
        matrices=matrices,
        # A large face put on a small one is blurred first, or it would alias.
        before=np.where(donor & (zoom < 0.7), 0.4 / zoom, 0.0),
        outer=~donor & ~plain & (random.random(count) >= 0.85),
        match=np.where(donor, random.uniform(0.6, 1.0, count), 0.0),
        colours=_draw_colours(random.random(count) < altered, random),
        detail=_draw_detail(eyes, plain, size, random),
        faces=faces,
        outlines=outlines,
        edge=np.where(plain, np.maximum(2.2 * eyes * 0.03, 0.6), edge),
        ratio=np.where(plain, 1.0, ratio),
    )


def draw_parts(anchor: Float64Array, size: int, random: np.random.Generator) -> Parts:
    """Recipes of what is left of N fakes.

    Args:
        anchor: float64 [N, 2], x and y of a pixel of each fake's mask.
        size: side of the crops in pixels.
        random: decides everything.
    """
    count = len(anchor)
    return Parts(
        anchor=anchor,
        straight=random.random(count) < 0.5,
        angle=random.uniform(0, 2 * math.pi, count),
        radius=size * random.uniform(0.08, 0.25, count),
        stretch=random.uniform(0.5, 2.0, count),
        outside=random.random(count) < 0.5,
        softness=random.uniform(0.7, 6.0, count),
    )


def _shifts(count: int, size: int, random: np.random.Generator) -> Float64Array:
    zoom = random.uniform(0.96, 1.04, count)
    moved = random.uniform(-0.015, 0.015, (count, 2)) * size + ((1 - zoom) * size / 2)[:, None]
    return np.concatenate([zoom[:, None, None] * np.eye(2), moved[:, :, None]], axis=2)


def _draw_colours(altered: Chosen, random: np.random.Generator) -> Colours:
    count = len(altered)
    some = (random.random((3, count)) < 0.6) & altered
    return Colours(
        offset=random.uniform(-16, 16, (count, 3)) * some[0][:, None],
        contrast=np.where(some[1], random.uniform(0.85, 1.15, count), 1.0),
        brightness=random.uniform(-12, 12, count) * some[1],
        # Half a degree for each of OpenCV's 180 steps of hue.
        hue=random.uniform(-12, 12, count) * some[2],
        saturation=np.where(some[2], random.uniform(0.75, 1.25, count), 1.0),
    )


def _draw_detail(eyes: Float64Array, plain: Chosen, size: int, random: np.random.Generator) -> Detail:
    count = len(eyes)
    kind = np.where(plain, 0.0, random.random(count))
    low, sharp, soft, smooth = kind < 0.4, (kind >= 0.4) & (kind < 0.6), (kind >= 0.6) & (kind < 0.75), kind >= 0.75
    # A swap network's own resolution, against a face about 2.2 eye distances wide.
    width = np.maximum(eyes * 2.2, 1.0)
    factor = np.clip(random.uniform(48, 200, count) / width, 0.2, 0.95)
    factor = np.where(plain, np.minimum(0.9, random.uniform(45, 120, count) / width), factor)
    sigma = np.where(sharp, random.uniform(0.8, 2.0, count), random.uniform(0.6, 2.2, count))
    chroma = np.maximum(eyes * random.uniform(0.02, 0.09, count), 0.5)
    return Detail(
        small=np.where(low, np.maximum(np.rint(factor * size), 1), 0),
        cubic=(random.random(count) < 0.5) & ~plain,
        sigma=sigma * (sharp | soft),
        sharpen=random.uniform(0.3, 1.5, count) * sharp,
        smooth=random.uniform(15, 45, count) * (smooth & (kind < 0.85)),
        chroma=chroma * ((random.random(count) < 0.4) & ~plain),
    )
