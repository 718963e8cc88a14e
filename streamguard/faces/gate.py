"""The quality gate: a face that cannot be judged well is not judged at all."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streamguard.types import Box, Reason, UInt8Array

SHARPNESS_SIZE = 96


@dataclass(frozen=True, slots=True)
class QualityGate:
    """Limits below which a face is not judged.

    Attributes:
        smallest_face: shorter side of the face box in frame pixels.
        least_sharpness: see `sharpness`.
        least_inside: share of the crop's square that must lie inside the picture, 0..1.
        settle: seconds a track must have existed.
    """

    smallest_face: float = 48.0
    least_sharpness: float = 0.0
    least_inside: float = 0.75
    settle: float = 0.1

    def before_crop(self, box: Box, inside: float, age: float) -> Reason | None:
        """Return the reason not to judge, from geometry alone; None when there is none.

        Args:
            box: the face box in frame pixels.
            inside: share of the crop inside the picture, 0..1.
            age: seconds since the track began.
        """
        if min(box[2] - box[0], box[3] - box[1]) < self.smallest_face:
            return Reason.TOO_SMALL
        if inside < self.least_inside:
            return Reason.CUT_OFF
        return Reason.JUST_APPEARED if age < self.settle else None

    def after_crop(self, pixels: UInt8Array) -> Reason | None:
        """Return the reason not to judge, from the crop's pixels; None when there is none."""
        if self.least_sharpness > 0 and sharpness(pixels) < self.least_sharpness:
            return Reason.TOO_BLURRED
        return None


def sharpness(pixels: UInt8Array) -> float:
    """Sharpness of a crop: standard deviation of the Laplacian of its luma over the standard deviation of the luma.

    Measured at 96x96, so that the enlargement of small faces does not count as blur, and relative to contrast,
    so that dim rooms do not either (after Pech-Pacheco et al., 2000: variance of the Laplacian).

    Args:
        pixels: uint8 [S, S, 3] RGB.
    """
    luma = cv2.cvtColor(
        cv2.resize(pixels, (SHARPNESS_SIZE, SHARPNESS_SIZE), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY
    )
    contrast = float(np.std(luma))
    return float(np.std(cv2.Laplacian(luma, cv2.CV_32F))) / contrast if contrast > 1 else 0.0
