"""Grid search over the frame rule's two numbers: pixel threshold and smallest component that counts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from streamguard.errors import DataError
from streamguard.training.evaluation.metrics import Bools, video_verdict

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
SMALLEST = (0, 50, 100, 200, 400, 800)


@dataclass(frozen=True, slots=True)
class MaskSample:
    """One judged frame of known truth.

    Attributes:
        probability: uint8 [H, W], 0..255 for a fake probability of 0..1.
        label: True when the frame is fake.
        clip: name of the clip it is from.
    """

    probability: NDArray[np.uint8]
    label: bool
    clip: str


@dataclass(frozen=True, slots=True)
class GridRow:
    """What one setting reaches, each 0..1; `video` is the balanced accuracy of the video rule.

    Precision, F1: 0 where nothing was called fake, as a search needs an order there too.
    """

    threshold: float
    smallest: int
    precision: float
    recall: float
    f1: float
    balanced_accuracy: float
    video: float


@dataclass(frozen=True, slots=True)
class Grid:
    """All rows, by threshold and then by smallest component, and the best one."""

    rows: tuple[GridRow, ...]
    best: GridRow


def largest_components(probability: NDArray[np.uint8], thresholds: Sequence[float]) -> list[int]:
    """Points of the largest 8-connected component above each threshold (0 where there is none)."""
    sizes = []
    for threshold in thresholds:
        above = (probability > threshold * 255).astype(np.uint8)
        if not above.any():
            sizes.append(0)
            continue
        stats = cv2.connectedComponentsWithStats(above, connectivity=8)[2]
        sizes.append(int(stats[1:, cv2.CC_STAT_AREA].max()))
    return sizes


def threshold_grid(
    samples: Iterable[MaskSample],
    *,
    thresholds: Sequence[float] = THRESHOLDS,
    smallest: Sequence[int] = SMALLEST,
    by: Literal["f1", "balanced_accuracy"] = "balanced_accuracy",
) -> Grid:
    """Tries the frame rule, a component of more than `smallest` points above the threshold, on a grid.

    Source: Preste's articles on deepfake segmentation, where the search gave 0.95 for one network and 0.5 for
    another.
    Ties go to the setting nearest the middle of those that tie: a threshold on the edge of a plateau is one
    drift away from falling off it.

    Args:
        samples: read once; only component sizes are kept, never the maps.
        thresholds: probabilities 0..1.
        smallest: points.
        by: the figure of frames to maximise.

    Raises:
        DataError: one class only, or an empty grid.
    """
    if not thresholds or not smallest:
        raise DataError("grid", "no setting to try")
    sizes, labels, owners = [], [], []
    for sample in samples:
        sizes.append(largest_components(sample.probability, thresholds))
        labels.append(sample.label)
        owners.append(sample.clip)
    truth = np.asarray(labels, dtype=bool)
    if not truth.any() or truth.all():
        raise DataError("grid", "all frames belong to one class", "give real and fake frames")
    members: dict[str, list[int]] = defaultdict(list)
    for index, clip in enumerate(owners):
        members[clip].append(index)
    table = np.asarray(sizes)
    rows = tuple(
        _row(threshold, least, table[:, column] > least, truth, members)
        for column, threshold in enumerate(thresholds)
        for least in smallest
    )
    top = max(getattr(row, by) for row in rows)
    tied = [row for row in rows if getattr(row, by) >= top - 1e-12]
    middle = float(np.median([row.threshold for row in tied]))
    size = float(np.median([row.smallest for row in tied]))
    return Grid(rows, min(tied, key=lambda row: (abs(row.threshold - middle), abs(row.smallest - size))))


def _row(threshold: float, least: int, fake: Bools, truth: Bools, members: dict[str, list[int]]) -> GridRow:
    hits, alarms = int((fake & truth).sum()), int((fake & ~truth).sum())
    positives, negatives = int(truth.sum()), int((~truth).sum())
    right: dict[bool, list[bool]] = {False: [], True: []}
    for indices in members.values():
        label = bool(video_verdict(truth[indices]))
        right[label].append(video_verdict(fake[indices]) == label)
    return GridRow(
        threshold=threshold,
        smallest=least,
        precision=hits / (hits + alarms) if hits + alarms else 0.0,
        recall=hits / positives,
        f1=2 * hits / (hits + alarms + positives),
        balanced_accuracy=(hits / positives + 1 - alarms / negatives) / 2,
        video=float(np.mean([np.mean(each) for each in right.values() if each])),
    )
