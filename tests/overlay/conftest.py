from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings

from streamguard.types import Box, Crop, Face, Mask, Picture, UInt8Array

MakePicture = Callable[..., Picture]
MakeFace = Callable[..., Face]
MakeMask = Callable[..., Mask]

# a time limit per example fails on a busy machine, not on a wrong result
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


def _locked(plane: UInt8Array) -> UInt8Array:
    plane.setflags(write=False)
    return plane


@pytest.fixture(scope="session")
def make_picture() -> MakePicture:
    """Width, height -> a picture whose planes cannot be written to: of one grey, or of noise."""

    def make(
        width: int, height: int, *, noise: bool = False, matrix: str = "bt601", full_range: bool = False
    ) -> Picture:
        rng = np.random.default_rng(5)
        half = ((height + 1) // 2, (width + 1) // 2)
        if noise:
            planes = [rng.integers(0, 256, shape, np.uint8) for shape in ((height, width), half, half)]
        else:
            planes = [np.full((height, width), 120, np.uint8)] + [np.full(half, 128, np.uint8)] * 2
        y, u, v = map(_locked, planes)
        return Picture(y, u, v, matrix, full_range)  # type: ignore[arg-type]  # parametrized strings

    return make


@pytest.fixture(scope="session")
def make_face() -> MakeFace:
    """Box and track -> a face."""

    def make(box: Box, track: int = 1) -> Face:
        return Face(track, box, 0.9, np.zeros((5, 2), np.float32))

    return make


@pytest.fixture(scope="session")
def make_mask() -> MakeMask:
    """A face and a 256x256 map -> a mask whose crop is the face's box."""

    def make(face: Face, probability: UInt8Array) -> Mask:
        x0, y0, x1, y1 = face.box
        affine = np.array([[(x1 - x0) / 256, 0.0, x0], [0.0, (y1 - y0) / 256, y0]])
        return Mask(Crop(face, affine, np.zeros((256, 256, 3), np.uint8)), _locked(probability))

    return make
