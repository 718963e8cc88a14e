"""Meso4: a deliberately small detector (Afchar et al., "MesoNet", WIFS 2018)."""

from __future__ import annotations

from torch import nn

BLOCKS = ((8, 3, 2), (8, 5, 2), (16, 5, 2), (16, 5, 4))
"""Channels, kernel and pooling of each block."""


def meso4(side: int = 256) -> nn.Sequential:
    """Four convolutions and two dense layers: float [N, 3, side, side] -> logits [N].

    Args:
        side: a multiple of 32; the paper's is 256.
    """
    layers: list[nn.Module] = []
    inputs = 3
    for outputs, kernel, pool in BLOCKS:
        layers += [
            nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2),
            nn.ReLU(inplace=True),
            nn.BatchNorm2d(outputs),
            nn.MaxPool2d(pool),
        ]
        inputs = outputs
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(inputs * (side // 32) ** 2, 16),
        nn.LeakyReLU(0.1),
        nn.Dropout(0.5),
        nn.Linear(16, 1),
        nn.Flatten(0),
    )
