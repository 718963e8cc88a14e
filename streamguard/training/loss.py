"""The loss of the segmentation method, and its picture-level companion."""

from __future__ import annotations

import torch
from torch.nn import functional

SMOOTH = 1.0
PICTURE_FRACTION = 16


def segmentation_loss(logits: torch.Tensor, truth: torch.Tensor, dice_weight: float = 1.0) -> torch.Tensor:
    """`BCE - ln(DICE)` over the batch (Preste, deepfake segmentation).

    Args:
        logits: float32 [N, H, W].
        truth: float32 [N, H, W], 0 or 1.
        dice_weight: of the second term; 1 is the published loss.
    """
    probability = torch.sigmoid(logits)
    overlap = (probability * truth).sum()
    dice = (2 * overlap + SMOOTH) / (probability.sum() + truth.sum() + SMOOTH)
    return functional.binary_cross_entropy_with_logits(logits, truth) - dice_weight * torch.log(dice)


def picture_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of the pooled map: is anything in the picture fake?

    The pooled logit is the mean of the largest 1/16 of the map's logits. Patches whose fake
    part is smaller than half of that are left out: they are neither clearly real nor clearly fake.

    Args:
        logits: float32 [N, H, W].
        truth: float32 [N, H, W], 0 or 1.
    """
    count = logits[0].numel() // PICTURE_FRACTION
    return presence_loss(logits.flatten(1).topk(count, dim=1).values.mean(dim=1), truth)


def presence_loss(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of one logit per picture: is anything in it fake?

    Args:
        logits: float32 [N].
        truth: float32 [N, H, W], 0 or 1; pictures with a fake part under 1/32 are left out.
    """
    area = truth.flatten(1).sum(dim=1)
    clear = (area == 0) | (area >= truth[0].numel() / (2 * PICTURE_FRACTION))
    if not bool(clear.any()):
        return logits.sum() * 0
    return functional.binary_cross_entropy_with_logits(logits[clear], (area[clear] > 0).float())
