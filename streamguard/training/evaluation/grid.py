"""How large the components above each threshold are: what thresholds are chosen by."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from streamguard.types import UInt8Array


def largest_components(probability: UInt8Array, thresholds: Sequence[float]) -> list[int]:
    """Points of the largest 8-connected component above each threshold (0 where there is none).

    Args:
        probability: uint8 [H, W], 0..255 for a fake probability of 0..1.
        thresholds: 0..1.
    """
    sizes = []
    for threshold in thresholds:
        above = (probability > threshold * 255).astype(np.uint8)
        if not above.any():
            sizes.append(0)
            continue
        stats = cv2.connectedComponentsWithStats(above, connectivity=8)[2]
        sizes.append(int(stats[1:, cv2.CC_STAT_AREA].max()))
    return sizes
