from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings

from streamguard.types import Crop, Face, FaceVerdict, Mask, Reason, UInt8Array, Verdict

MakeVerdict = Callable[..., FaceVerdict]
MakeMask = Callable[[UInt8Array], Mask]

# a time limit per example fails on a busy machine, not on a wrong result
settings.register_profile("no-deadline", deadline=None)
settings.load_profile("no-deadline")


def _face(track: int = 1) -> Face:
    return Face(track, (0.0, 0.0, 64.0, 64.0), 0.9, np.zeros((5, 2), np.float32))


@pytest.fixture(scope="session")
def make_verdict() -> MakeVerdict:
    """state, score and track -> a verdict of that face."""

    def make(state: Verdict, score: float | None = 0.5, track: int = 1) -> FaceVerdict:
        if state is Verdict.UNKNOWN:
            return FaceVerdict(_face(track), state, Reason.TOO_SMALL)
        return FaceVerdict(_face(track), state, None, score)

    return make


@pytest.fixture(scope="session")
def make_mask() -> MakeMask:
    """A probability map -> a mask."""

    def make(probability: UInt8Array) -> Mask:
        affine = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        return Mask(Crop(_face(), affine, np.zeros((256, 256, 3), np.uint8)), probability)

    return make
