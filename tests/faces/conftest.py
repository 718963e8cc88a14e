"""Frames and finders for the tests of faces."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from streamguard.faces import CenterFaceDetector, FaceFinder, Found, QualityGate
from streamguard.media import picture_from_rgb
from streamguard.types import Frame, Picture

Find = Callable[..., list[Found]]


@pytest.fixture(scope="session")
def face_detector() -> CenterFaceDetector:
    """One detector for all tests: it keeps nothing between two pictures but its compiled networks."""
    return CenterFaceDetector()


@pytest.fixture
def find(face_detector: CenterFaceDetector) -> Find:
    """Pictures -> what a finder says of each."""

    def run(
        pictures: Iterable[NDArray[np.uint8]], *, rate: float = 20.0, gate: QualityGate | None = None, every: int = 5
    ) -> list[Found]:
        finder = FaceFinder(face_detector, gate or QualityGate(settle=0.0), 1.4, 256, every)
        return [
            finder.find(Frame("test", 0, index, index / rate, 0.0, picture_from_rgb(rgb)))
            for index, rgb in enumerate(pictures)
        ]

    return run


def ramp(width: int, height: int, *, slope_x: float = 1.0, slope_y: float = 0.0) -> Picture:
    """A grey picture of full range whose luma rises linearly."""
    y, x = np.mgrid[0:height, 0:width]
    luma = np.clip(20 + slope_x * x + slope_y * y, 0, 255).astype(np.uint8)
    half = ((height + 1) // 2, (width + 1) // 2)
    return Picture(luma, np.full(half, 128, np.uint8), np.full(half, 128, np.uint8), full_range=True)
