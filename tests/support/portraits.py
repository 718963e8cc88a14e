"""Clips of a real portrait whose face turns green, and a detector that calls green pixels fake.

Weights that are still being trained must not decide a test: this detector is exact, so a clip's truth is known
frame by frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data

from streamguard.models import LoadedModel, networks
from streamguard.models.architectures import build
from tests.support.media_files import make_video

SIZE = (320, 240)
"""Width and height of the clips in pixels."""
RATE = 20.0
"""Frames per second of the clips."""
FACE = (224.0, 114.0)
"""Centre of the face in the portrait, x and y in pixels."""
LEFT, TOP = 64, 0
"""Where the clips' window into the portrait lies at rest."""


def portrait() -> NDArray[np.uint8]:
    """Eileen Collins (NASA, public domain): uint8 [512, 512, 3] RGB."""
    return np.asarray(data.astronaut(), dtype=np.uint8)


def painted_green(picture: NDArray[np.uint8], centre: tuple[float, float] = FACE) -> NDArray[np.uint8]:
    """The portrait with a green face: an ellipse of 40 by 55 pixels loses most of its red and blue."""
    y, x = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    inside = ((x - centre[0]) / 40) ** 2 + ((y - centre[1]) / 55) ** 2 <= 1
    green = picture.copy()
    green[inside] = (picture[inside] * (0.55, 1.0, 0.55)).astype(np.uint8)
    return green


def portrait_pictures(
    seconds: float, fake: tuple[float, float] | None = None, rate: float = RATE, every: float | None = None
) -> Iterator[NDArray[np.uint8]]:
    """Pictures of a slowly moving camera: uint8 [240, 320, 3] RGB.

    Args:
        seconds: length.
        fake: from when to when the face is green, in seconds.
        rate: frames per second.
        every: `fake` is counted from the begin of each so many seconds, not from that of the clip.
    """
    real = portrait()
    green = painted_green(real)
    width, height = SIZE
    for index in range(round(seconds * rate)):
        time = index / rate
        moment = time if every is None else index % round(every * rate) / rate
        picture = green if fake is not None and fake[0] <= moment < fake[1] else real
        left, top = LEFT + round(8 * math.sin(time)), TOP + round(4 + 4 * math.sin(0.7 * time))
        yield np.ascontiguousarray(picture[top : top + height, left : left + width])


def portrait_clip(
    path: Path, seconds: float, fake: tuple[float, float] | None = None, *, every: float | None = None
) -> Path:
    """An H.264 clip of `portrait_pictures`."""
    return make_video(path, size=SIZE, rate=RATE, pictures=portrait_pictures(seconds, fake, RATE, every))


def green_detector(name: str = "green") -> LoadedModel:
    """A Unet with one channel whose logit is 40 (G - (R + B) / 2) - 4 for colours in 0..1, where that is positive."""
    spec = replace(
        networks.fresh("unet_v1").spec,
        name=name,
        description="Calls green pixels fake.",
        features=1,
        steps=2,
        picture_norms=0,
        working_side=0,
        members=1,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )
    network = build(spec)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    for key, value in state.items():
        if value.ndim == 4 or key.startswith("upsamplers"):
            value.zero_()
    state["encoders.0.0.weight"][0, :, 1, 1] = torch.tensor([-0.5, 1.0, -0.5])
    for key in ("encoders.0.3.weight", "decoders.0.0.weight", "decoders.0.3.weight"):
        state[key][0, 0, 1, 1] = 1.0
    state["head.weight"][0, 0, 0, 0], state["head.bias"][0] = 40.0, -4.0
    network.load_state_dict(state)
    return LoadedModel(spec, network)
