"""The frame rule: from one face's fake-probability map to REAL, UNSURE or FAKE, and to a calibrated score.

Source of the rule: Preste, deepfake detection by segmentation (connected components of more than 100 points
above a grid-searched threshold make the frame fake). Source of the calibration: Platt, "Probabilistic outputs
for support vector machines" (1999).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from streamguard.errors import ConfigError
from streamguard.types import Face, FaceVerdict, Mask, Reason, UInt8Array, Verdict

_PROBABILITIES = np.arange(256, dtype=np.float64) / 255.0
_LEVELS = np.arange(256, dtype=np.int64)
_TOP_SHARE = 16
# float32 histogram counts stop being exact here
_EXACT_HISTOGRAM = 1 << 24


def level_above(threshold: float) -> int:
    """The smallest uint8 value whose probability lies strictly above a threshold.

    A value v stands for the probability v / 255. Both that quotient and the threshold are correctly rounded
    doubles, so a threshold written as `51 / 255` or `0.2` is met exactly by the value 51, which is not above it.

    Args:
        threshold: 0..1.

    Returns:
        1..256; 256 when no value is above.
    """
    return int(np.searchsorted(_PROBABILITIES, threshold, side="right"))


@dataclass(frozen=True, slots=True)
class ScoreCalibration:
    """Platt's map from the raw score to a probability: sigmoid(slope * raw + offset).

    Attributes:
        slope: above 0 (a higher raw score must mean "more likely fake").
        offset: any finite number.

    Raises:
        ConfigError: a slope that is not a finite number above 0, or an offset that is not finite.
    """

    slope: float
    offset: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.slope) and self.slope > 0 and math.isfinite(self.offset)):
            raise ConfigError(
                "calibration",
                f"slope {self.slope} and offset {self.offset} are not a rising finite map",
                "Fit the calibration again on held-out data",
            )

    def apply(self, raw: float) -> float:
        """The calibrated fake probability 0..1 of a raw score (a logit)."""
        logit = self.slope * raw + self.offset
        # exp of a positive logit overflows; both branches are the same function
        if logit >= 0:
            return 1.0 / (1.0 + math.exp(-logit))
        odds = math.exp(logit)
        return odds / (1.0 + odds)


def raw_score(probability: UInt8Array) -> float:
    """The continuous score of one map, for AUC and as the calibration's input.

    The logit of the mean of the highest sixteenth of the probabilities (4096 of a 256x256 map, at least one),
    that mean clipped to [0.5 / 255, 1 - 0.5 / 255] so that the score stays finite.

    Args:
        probability: uint8 [height, width], 0..255 for 0..1.

    Returns:
        A number between -6.24 and 6.24.

    Raises:
        ValueError: the map is empty, not two-dimensional, or not uint8.
    """
    _check(probability)
    wanted = max(1, probability.size // _TOP_SHARE)
    if probability.size < _EXACT_HISTOGRAM:
        counts = cv2.calcHist([probability], [0], None, [256], [0, 256]).ravel().astype(np.int64)
    else:
        counts = np.bincount(probability.ravel(), minlength=256)
    highest = counts[::-1]
    # of each value, from 255 down: as many pixels as are still wanted
    taken = np.diff(np.minimum(np.cumsum(highest), wanted), prepend=0)
    mean = int(np.dot(taken, _LEVELS[::-1])) / (255.0 * wanted)
    clipped = min(max(mean, 0.5 / 255.0), 1.0 - 0.5 / 255.0)
    return math.log(clipped / (1.0 - clipped))


@dataclass(frozen=True, slots=True)
class FrameRule:
    """Judges one face in one frame.

    Attributes:
        threshold: a pixel counts when its probability is strictly above, 0..1.
        smallest_component: pixels; an 8-connected component counts when it has strictly more.
        calibration: from the raw to the calibrated score.
        unsure_threshold: what counts above it makes a face that is not FAKE an UNSURE one, 0..1, at most `threshold`;
            equal to it or None: no face is.

    Raises:
        ConfigError: a threshold outside its range or a negative component size.
    """

    threshold: float
    smallest_component: int
    calibration: ScoreCalibration
    unsure_threshold: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise ConfigError("frame rule", f"threshold {self.threshold} is not in 0..1", "Choose one in 0..1")
        if self.unsure_threshold is not None and not 0.0 <= self.unsure_threshold <= self.threshold:
            raise ConfigError(
                "frame rule",
                f"unsure threshold {self.unsure_threshold} is not in 0..{self.threshold}",
                "Choose one up to the threshold",
            )
        if self.smallest_component < 0:
            raise ConfigError(
                "frame rule",
                f"smallest component of {self.smallest_component} pixels is negative",
                "Choose 0 or more",
            )

    def fake_area(self, probability: UInt8Array) -> int:
        """Pixels in the components that make a face fake; 0 when it is not.

        Args:
            probability: uint8 [height, width], 0..255 for 0..1.

        Raises:
            ValueError: the map is empty, not two-dimensional, or not uint8.
        """
        _check(probability)
        return self._area(probability, self.threshold)

    def _area(self, probability: UInt8Array, threshold: float) -> int:
        _, above = cv2.threshold(probability, level_above(threshold) - 1, 1, cv2.THRESH_BINARY)
        if cv2.countNonZero(above) <= self.smallest_component:
            return 0
        x, y, width, height = cv2.boundingRect(above)
        # labelling costs by area, and a manipulated region is rarely the whole crop
        region = np.ascontiguousarray(above[y : y + height, x : x + width])
        _, _, stats, _ = cv2.connectedComponentsWithStats(region, connectivity=8)
        areas = stats[1:, cv2.CC_STAT_AREA]
        return int(areas[areas > self.smallest_component].sum())

    def judge(self, mask: Mask) -> FaceVerdict:
        """REAL, UNSURE or FAKE, the calibrated score and the fake area of one mask.

        Args:
            mask: probability uint8 [256, 256] (any other height and width is judged alike).

        Returns:
            A verdict that carries the mask; FAKE exactly when its area is above 0.

        Raises:
            ValueError: the map is empty, not two-dimensional, or not uint8.
        """
        area = self.fake_area(mask.probability)
        low = self.threshold if self.unsure_threshold is None else self.unsure_threshold
        if area:
            state = Verdict.FAKE
        elif low < self.threshold and self._area(mask.probability, low):
            state = Verdict.UNSURE
        else:
            state = Verdict.REAL
        return FaceVerdict(
            face=mask.crop.face,
            state=state,
            score=self.calibration.apply(raw_score(mask.probability)),
            area=area,
            mask=mask,
        )


def unjudged(face: Face, reason: Reason) -> FaceVerdict:
    """The UNKNOWN verdict of a face that was not judged, with the reason; it does not vote."""
    return FaceVerdict(face=face, state=Verdict.UNKNOWN, reason=reason)


def _check(probability: UInt8Array) -> None:
    if probability.ndim != 2 or probability.size == 0 or probability.dtype != np.uint8:
        raise ValueError(
            f"a probability map is uint8 [height, width], not {probability.dtype} {list(probability.shape)}"
        )
