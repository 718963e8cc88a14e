"""The loss of the segmentation method, and its picture-level companion."""

from __future__ import annotations

import torch
from torch.nn import functional

SMOOTH = 1.0
PICTURE_FRACTION = 16


def mask_loss(
    logits: torch.Tensor, truth: torch.Tensor, taught: torch.Tensor, dice_weight: float = 1.0
) -> torch.Tensor:
    """`BCE - ln(DICE)` over the places whose truth is known.

    Args:
        logits: float32 [N, H, W].
        truth: float32 [N, H, W], 0..1.
        taught: float32 [N, H, W], 1 where the truth is known, else 0.
        dice_weight: of the second term; 1 is the published loss.
    """
    each = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    probability = torch.sigmoid(logits) * taught
    known = truth * taught
    dice = (2 * (probability * known).sum() + SMOOTH) / (probability.sum() + known.sum() + SMOOTH)
    return (each * taught).sum() / taught.sum().clamp(min=1) - dice_weight * torch.log(dice)


def pooled_logits(logits: torch.Tensor) -> torch.Tensor:
    """The mean of the largest 1/16 of each map's logits: [N, H, W] -> [N]."""
    return logits.flatten(1).topk(logits[0].numel() // PICTURE_FRACTION, dim=1).values.mean(dim=1)


def presence_loss(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of one logit per picture: how fake is it?

    Args:
        logits: float32 [N].
        label: float32 [N], 0..1; pictures whose label is NaN are left out.
    """
    clear = torch.isfinite(label)
    if not bool(clear.any()):
        return logits.sum() * 0
    return functional.binary_cross_entropy_with_logits(logits[clear], label[clear])
