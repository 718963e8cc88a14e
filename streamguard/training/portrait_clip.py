"""A short clip of a real portrait, part of it rendered again by a network: for the demo and the benchmarks.

The portrait is Eileen Collins (NASA, public domain), shipped inside scikit-image as `skimage.data.astronaut`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from streamguard.faces import CenterFaceDetector
from streamguard.media import Mp4Writer, picture_from_rgb
from streamguard.training.portrait_renderer import portrait_renderer, rendered_again
from streamguard.types import Float64Array, Picture, UInt8Array

RENDERED_SIDE = 256
"""Side in pixels at which the face is rendered: that of the crop which the detector sees."""


def write_portrait_clip(
    path: Path,
    *,
    seconds: float = 12.0,
    fake_from: float | None = None,
    rate: float = 30.0,
    width: int = 640,
    height: int = 480,
    seed: int = 7,
    tell: Callable[[float], None] | None = None,
) -> None:
    """Encode the clip as H.264 mp4.

    Args:
        path: the file to write.
        seconds: length.
        fake_from: media seconds from which the inner face is a rendered one; None: never.
        rate: frames per second.
        width, height: picture size in pixels, even.
        seed: decides motion and noise.
        tell: called with the share that is written, 0..1, after each picture; what it raises ends it, without a file.

    Raises:
        OutputError: it cannot be written.
    """
    with Mp4Writer(path, width, height, rate, crf=20) as writer:
        for index, picture in enumerate(portrait_frames(seconds, fake_from, rate, width, height, seed)):
            writer.write(picture, index / rate)
            if tell is not None:
                tell((index + 1) / (seconds * rate))


def portrait_frames(
    seconds: float,
    fake_from: float | None,
    rate: float,
    width: int,
    height: int,
    seed: int,
) -> Iterator[Picture]:
    """The clip's frames: slow pan and zoom, a hand's tremble, sensor noise. Arguments as in `write_portrait_clip`."""
    from skimage import data

    random = np.random.default_rng(seed)
    real: UInt8Array = np.asarray(data.astronaut(), dtype=np.uint8)
    fake = real
    if fake_from is not None:
        found = CenterFaceDetector().detect(picture_from_rgb(real))
        chance = np.random.default_rng(seed)
        fake = rendered_again(portrait_renderer(), real, found.landmarks[0], RENDERED_SIDE, chance)
    noise = random.normal(0, 1.5, size=(8, height, width)).astype(np.float32)
    phases = random.uniform(0, 2 * math.pi, size=6)
    for index in range(round(seconds * rate)):
        time = index / rate
        portrait = fake if fake_from is not None and time >= fake_from else real
        matrix = _camera(time, phases, real.shape[0], width, height)
        view = cv2.warpAffine(
            portrait, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        grain = np.roll(noise[index % len(noise)], (17 * index) % width, axis=1)
        yield picture_from_rgb(np.clip(view + grain[..., None] + 0.5, 0, 255).astype(np.uint8))


def _camera(time: float, phases: Float64Array, side: int, width: int, height: int) -> Float64Array:
    """float64 [2, 3]: portrait pixels to picture pixels at a moment.

    The view stays within the square portrait with room for pan and turn, so that no edge of it is ever seen, and
    holds the whole head, which reaches from near the upper edge to a third of the height.
    """
    room = 0.03 * side
    seen = (side - 2 * room) * (0.88 + 0.05 * math.sin(0.4 * time + phases[5]))
    across, down = (seen * share / max(width, height) for share in (width, height))
    sway = [math.sin(0.5 * time + phases[0]), math.sin(0.37 * time + phases[1])]
    tremble = [math.sin(9 * time + phases[2]) + math.sin(13 * time + phases[3]), math.sin(11 * time + phases[4])]
    centre = np.array(
        [
            # The head is left of the middle: as far left as the portrait's edge allows.
            room + across / 2 + 0.012 * side * (1 + sway[0]) + 0.2 * tremble[0],
            0.55 * room + down / 2 + 0.006 * side * (1 + sway[1]) + 0.2 * tremble[1],
        ]
    )
    zoom = width / across
    angle = math.radians(0.7 * math.sin(0.6 * time + phases[1]))
    cos, sin = math.cos(angle) * zoom, math.sin(angle) * zoom
    linear = np.array([[cos, -sin], [sin, cos]])
    offset = np.array([width / 2, height / 2]) - linear @ centre
    return np.concatenate([linear, offset[:, None]], axis=1)
