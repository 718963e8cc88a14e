"""ResNet18 (He et al., CVPR 2016) under the heads of Dessa's detector in the wild."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

STAGES = (64, 128, 256, 512)
HIDDEN = 512


class _BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut: [N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.body(x) + self.shortcut(x))


def resnet18(*, hidden: bool = False, dropout: float = 0.5) -> nn.Sequential:
    """Eighteen layers, all of them trained: float [N, 3, H, W] -> logits [N].

    Args:
        hidden: a hidden layer with batch norm and ReLU before the last one.
        dropout: share of the features, and of the hidden layer, that is left out in training.
    """
    blocks: list[nn.Module] = []
    inputs = STAGES[0]
    for number, outputs in enumerate(STAGES):
        blocks += [_BasicBlock(inputs, outputs, 2 if number else 1), _BasicBlock(outputs, outputs, 1)]
        inputs = outputs
    head: list[nn.Module] = [nn.Dropout(dropout)]
    if hidden:
        head += [nn.Linear(inputs, HIDDEN), nn.BatchNorm1d(HIDDEN), nn.ReLU(inplace=True), nn.Dropout(dropout)]
    return nn.Sequential(
        nn.Conv2d(3, STAGES[0], 7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(STAGES[0]),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, stride=2, padding=1),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Sequential(*head, nn.Linear(HIDDEN if hidden else inputs, 1)),
        nn.Flatten(0),
    )
