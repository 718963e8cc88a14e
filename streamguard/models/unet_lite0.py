"""A Unet whose encoder is EfficientNet-Lite0: few operations, and a start that has seen a million pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Self

import torch
from torch import nn
from torch.nn import functional

from streamguard.models.blocks import convolution
from streamguard.models.efficientnet_lite import encoders
from streamguard.models.efficientnet_stages import CHANNELS

WIDTHS = (4, 3, 2, 1)
"""Channels of the decoders, from the deepest, as multiples of the finest one's."""


class UnetLite0(nn.Module):
    """Unet over EfficientNet-Lite0.

    The finest decoder works at half the picture's side, as the encoder does; its logits are enlarged.

    Args:
        features: channels of the finest decoder, at least 1.
        working_side: larger pictures are brought down to this side in pixels, a multiple of 32, and their logits
            enlarged again; 0: none is.
    """

    def __init__(self, features: int, working_side: int = 0) -> None:
        super().__init__()
        self._side = working_side
        self.encoders = nn.ModuleList(encoders())
        *skips, deepest = CHANNELS
        widths = [features * width for width in WIDTHS]
        self.decoders = nn.ModuleList(
            convolution(deep + skip, width)
            for (deep, width), skip in zip(itertools.pairwise([deepest, *widths]), reversed(skips), strict=True)
        )
        self.head = nn.Conv2d(features, 1, kernel_size=1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """float [N, 3, H, W] -> logits [N, 1, H, W]; H and W are multiples of 32."""
        return _enlarged(self.coarse(picture), picture)

    def merged(self, coarse: Sequence[torch.Tensor], picture: torch.Tensor) -> torch.Tensor:
        """The mean of several networks' coarse logits, enlarged: enlarging is linear, and done once so."""
        return _enlarged(torch.stack(list(coarse)).mean(dim=0), picture)

    def coarse(self, picture: torch.Tensor) -> torch.Tensor:
        """float [N, 3, H, W] -> logits [N, 1, h, w] at half the working side."""
        height, width = picture.shape[-2:]
        x = picture
        if 0 < self._side < height:
            x = functional.interpolate(x, (self._side, self._side * width // height), mode="bilinear")
        skips = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
        skips.pop()
        for decoder in self.decoders:
            x = decoder(torch.cat((skips.pop(), _doubled(x)), dim=1))
        logits: torch.Tensor = self.head(x)
        return logits

    def train(self, mode: bool = True) -> Self:
        """As in torch, but the encoder keeps the batch norms' statistics it was given: training batches are too
        small, and half of them too much alike, to replace what a million pictures told."""
        super().train(mode)
        for part in self.encoders.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        return self


def _enlarged(logits: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(logits, picture.shape[-2:], mode="bilinear")


def _doubled(x: torch.Tensor) -> torch.Tensor:
    doubled = functional.interpolate(x, scale_factor=2.0, mode="bilinear")
    if doubled.requires_grad:
        # As a slice of the joined channels the gradient takes ten times as long through the line above.
        doubled.register_hook(_channels_last)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return doubled


def _channels_last(gradient: torch.Tensor) -> torch.Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)
