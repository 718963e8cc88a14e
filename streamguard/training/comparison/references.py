"""Judges that are not trained here: finished detectors, and the baseline that knows nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from streamguard.models import Guard as GuardGraph
from streamguard.models import LoadedModel
from streamguard.training.comparison.figures import Judge
from streamguard.training.evaluation.calibrate import Platt
from streamguard.training.evaluation.ellipse import blur
from streamguard.types import FloatArray, UInt8Array
from streamguard.verdict import raw_score


def shipped_judge(model: LoadedModel) -> Judge:
    """The detector's calibrated score, as a guard gives it to a frame; crops are uint8 [N, size, size, 3]."""
    graph = GuardGraph(model.spec, model.network).eval()
    platt = Platt(model.spec.calibration_slope, model.spec.calibration_offset)

    def judge(pixels: UInt8Array) -> Sequence[float]:
        with torch.inference_mode():
            maps: FloatArray = graph(torch.from_numpy(pixels)).numpy()
        return [platt.apply(raw_score(np.round(each * 255).astype(np.uint8))) for each in maps]

    return judge


def blur_judge(pixels: UInt8Array) -> Sequence[float]:
    """The baseline "blurred means fake"."""
    return [blur(each) for each in pixels]
