"""Building blocks: plain functions that return modules; networks are composed from them."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

Norm = Callable[[int], nn.Module]


def picture_norm(channels: int) -> nn.InstanceNorm2d:
    """Each channel at mean 0 and spread 1 over the picture, then scaled (instance norm: Ulyanov et al., 2016).

    What is left of fine detail says how a place differs from the rest of its own picture, whatever the camera's
    sharpness, noise and exposure.
    """
    return nn.InstanceNorm2d(channels, affine=True)


def convolution(inputs: int, outputs: int, norm: Norm = nn.BatchNorm2d) -> nn.Sequential:
    """3x3 convolution, norm, ReLU: [N, inputs, H, W] -> [N, outputs, H, W]."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False), norm(outputs), nn.ReLU(inplace=True)
    )


def double_convolution(inputs: int, outputs: int, norm: Norm = nn.BatchNorm2d) -> nn.Sequential:
    """Two convolutions at one resolution (Ronneberger et al., 2015): [N, inputs, H, W] -> [N, outputs, H, W]."""
    return nn.Sequential(*convolution(inputs, outputs, norm), *convolution(outputs, outputs, norm))


def upsampling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """2x2 transposed convolution with stride 2: [N, inputs, H, W] -> [N, outputs, 2H, 2W]."""
    return nn.ConvTranspose2d(inputs, outputs, kernel_size=2, stride=2)
