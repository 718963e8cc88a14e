"""The loss of the segmentation method, and its picture-level companion."""

from __future__ import annotations

import torch
from torch.nn import functional

SMOOTH = 1.0
PICTURE_FRACTION = 16


def segmentation_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """`BCE - ln(DICE)` over the batch (Preste, deepfake segmentation).

    Args:
        logits: float32 [N, H, W].
        truth: float32 [N, H, W], 0 or 1.
    """
    probability = torch.sigmoid(logits)
    overlap = (probability * truth).sum()
    dice = (2 * overlap + SMOOTH) / (probability.sum() + truth.sum() + SMOOTH)
    return functional.binary_cross_entropy_with_logits(logits, truth) - torch.log(dice)


def picture_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of the pooled map: is anything in the picture fake?

    The pooled logit is the mean of the largest 1/16 of the map, as in the score that is reported. Patches whose fake
    part is smaller than half of that are left out: they are neither clearly real nor clearly fake.

    Args:
        logits: float32 [N, H, W].
        truth: float32 [N, H, W], 0 or 1.
    """
    count = logits[0].numel() // PICTURE_FRACTION
    pooled = logits.flatten(1).topk(count, dim=1).values.mean(dim=1)
    area = truth.flatten(1).sum(dim=1)
    clear = (area == 0) | (area >= count / 2)
    if not bool(clear.any()):
        return pooled.sum() * 0
    return functional.binary_cross_entropy_with_logits(pooled[clear], (area[clear] > 0).float())
