"""Xception (Chollet, CVPR 2017), the classifier of FaceForensics++ (Roessler et al., ICCV 2019)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

MIDDLE_BLOCKS = 8


def _separable(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    ]


class _SeparableBlock(nn.Module):
    """Separable convolutions beside a shortcut; a block that narrows the picture halves its side."""

    def __init__(self, channels: tuple[int, ...], *, relu_first: bool = True, halve: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, (inputs, outputs) in enumerate(pairwise(channels)):
            # The first one must leave its input as it is: the shortcut reads it, too.
            layers += [nn.ReLU(inplace=number > 0)] if number or relu_first else []
            layers += _separable(inputs, outputs)
        self.shortcut: nn.Module = nn.Identity()
        if halve:
            layers.append(nn.MaxPool2d(3, stride=2, padding=1))
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels[0], channels[-1], 1, stride=2, bias=False), nn.BatchNorm2d(channels[-1])
            )
        self.body = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.body(x) + self.shortcut(x)
        return out


def xception(dropout: float = 0.5) -> nn.Sequential:
    """Entry, middle and exit flow: float [N, 3, H, W] -> logits [N]; the paper's side is 299.

    Args:
        dropout: share of the features that is left out in training.
    """
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, stride=2, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.Conv2d(32, 64, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        _SeparableBlock((64, 128, 128), relu_first=False),
        _SeparableBlock((128, 256, 256)),
        _SeparableBlock((256, 728, 728)),
        *(_SeparableBlock((728, 728, 728, 728), halve=False) for _ in range(MIDDLE_BLOCKS)),
        _SeparableBlock((728, 728, 1024)),
        *_separable(1024, 1536),
        nn.ReLU(inplace=True),
        *_separable(1536, 2048),
        nn.ReLU(inplace=True),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Sequential(nn.Dropout(dropout), nn.Linear(2048, 1)),
        nn.Flatten(0),
    )
