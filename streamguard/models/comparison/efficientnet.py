"""EfficientNet B0 to B7: one network, scaled in width and depth (Tan and Le, ICML 2019).

B7 is the network of the winner of the Deepfake Detection Challenge (2020).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import nn

from streamguard.models.efficientnet_stages import STAGES, Stage

STEM, HEAD = 32, 1280
DIVISOR = 8
SURVIVAL_DROP = 0.2
"""Share of the pictures that skip the last block in training; it rises to this from 0 at the first block."""


class Scale(NamedTuple):
    """Difference of a member of the family from B0: factors of width and depth, the paper's side, dropout."""

    width: float
    depth: float
    side: int
    dropout: float


SCALES = {
    "b0": Scale(1.0, 1.0, 224, 0.2),
    "b1": Scale(1.0, 1.1, 240, 0.2),
    "b2": Scale(1.1, 1.2, 260, 0.3),
    "b3": Scale(1.2, 1.4, 300, 0.3),
    "b4": Scale(1.4, 1.8, 380, 0.4),
    "b5": Scale(1.6, 2.2, 456, 0.4),
    "b6": Scale(1.8, 2.6, 528, 0.5),
    "b7": Scale(2.0, 3.1, 600, 0.5),
}


class _Squeeze(nn.Module):
    """Squeeze-and-excitation: each channel weighed by what the whole picture holds (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, narrow, 1),
            nn.SiLU(inplace=True),
            nn.Conv2d(narrow, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = x * self.weigh(x)
        return out


class _InvertedResidual(nn.Module):
    """Widen, filter each channel, weigh, narrow (MBConv): [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""

    def __init__(self, inputs: int, outputs: int, stage: Stage, stride: int, drop: float) -> None:
        super().__init__()
        wide = inputs * stage.expand
        widen = [*_unit(inputs, wide), nn.SiLU(inplace=True)] if stage.expand > 1 else []
        self.body = nn.Sequential(
            *widen,
            *_unit(wide, wide, stage.kernel, stride, groups=wide),
            nn.SiLU(inplace=True),
            _Squeeze(wide, max(1, inputs // 4)),
            *_unit(wide, outputs),
        )
        self.shortcut = stride == 1 and inputs == outputs
        self.drop = drop

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body(x)
        if not self.shortcut:
            return out
        if self.training and self.drop:
            # Stochastic depth (Huang et al., ECCV 2016), picture by picture.
            kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop
            out = out * kept / (1 - self.drop)
        return out + x


def _unit(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    # torch's momentum, not the paper's hundredth: running means must be right after few steps.
    return [
        nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=1e-3),
    ]


def _width(channels: int, factor: float) -> int:
    """Channels after scaling: a multiple of 8, and never a tenth too few."""
    scaled = channels * factor
    rounded = max(DIVISOR, int(scaled + DIVISOR / 2) // DIVISOR * DIVISOR)
    return rounded if rounded >= 0.9 * scaled else rounded + DIVISOR


def efficientnet(member: str) -> nn.Sequential:
    """A member of the family: float [N, 3, H, W] -> logits [N].

    Args:
        member: a key of `SCALES`.
    """
    scale = SCALES[member]
    stages = [(stage, _width(stage.channels, scale.width), math.ceil(stage.blocks * scale.depth)) for stage in STAGES]
    total = sum(count for _, _, count in stages)
    stem, features = _width(STEM, scale.width), _width(HEAD, scale.width)
    blocks: list[nn.Module] = []
    inputs = stem
    for stage, outputs, count in stages:
        for number in range(count):
            stride = stage.stride if number == 0 else 1
            blocks.append(_InvertedResidual(inputs, outputs, stage, stride, SURVIVAL_DROP * len(blocks) / total))
            inputs = outputs
    return nn.Sequential(
        *_unit(3, stem, 3, 2),
        nn.SiLU(inplace=True),
        *blocks,
        *_unit(inputs, features),
        nn.SiLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Sequential(nn.Dropout(scale.dropout), nn.Linear(features, 1)),
        nn.Flatten(0),
    )
