"""Building blocks: plain functions that return modules; networks are composed from them."""

from __future__ import annotations

from torch import nn


def convolution(inputs: int, outputs: int) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU: [N, inputs, H, W] -> [N, outputs, H, W]."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def double_convolution(inputs: int, outputs: int) -> nn.Sequential:
    """Two convolutions at one resolution (Ronneberger et al., 2015): [N, inputs, H, W] -> [N, outputs, H, W]."""
    return nn.Sequential(*convolution(inputs, outputs), *convolution(outputs, outputs))


def upsampling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """2x2 transposed convolution with stride 2: [N, inputs, H, W] -> [N, outputs, 2H, 2W]."""
    return nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
