"""A Unet whose encoder is EfficientNet-Lite0: few operations, and a start that has seen a million pictures."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Self

import torch
from torch import nn
from torch.nn import functional

from streamguard.models import efficientnet_lite
from streamguard.models.blocks import convolution

WIDTHS = (4, 3, 2, 1)
"""Channels of the decoders, from the deepest, as multiples of the finest one's."""


class Enlarge(nn.Module):
    """Logits brought to the picture's size; a module, so that an engine may do it in another way."""

    def forward(self, logits: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """float [N, 1, h, w] -> [N, 1, height, width], bilinear."""
        return functional.interpolate(logits, (height, width), mode="bilinear")


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
        self.encoders = nn.ModuleList(efficientnet_lite.encoders())
        *skips, deepest = efficientnet_lite.CHANNELS
        widths = [features * width for width in WIDTHS]
        self.decoders = nn.ModuleList(
            convolution(deep + skip, width)
            for (deep, width), skip in zip(itertools.pairwise([deepest, *widths]), reversed(skips), strict=True)
        )
        self.head = nn.Conv2d(features, 1, kernel_size=1)
        self.enlarge: nn.Module = Enlarge()

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """float [N, 3, H, W] -> logits [N, 1, H, W]; H and W are multiples of 32."""
        return self._enlarged(self.coarse(picture), picture)

    def merged(self, coarse: Sequence[torch.Tensor], picture: torch.Tensor) -> torch.Tensor:
        """The mean of several networks' coarse logits, enlarged: enlarging is linear, and done once so."""
        return self._enlarged(torch.stack(list(coarse)).mean(dim=0), picture)

    def coarse_side(self, side: int) -> int:
        """The side of the coarse logits of a picture of that side, in pixels."""
        return (self._side if 0 < self._side < side else side) // 2

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

    def _enlarged(self, logits: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
        enlarged: torch.Tensor = self.enlarge(logits, *picture.shape[-2:])
        return enlarged

    def train(self, mode: bool = True) -> Self:
        """As in torch, but the encoder keeps the batch norms' statistics it was given: training batches are too
        small, and half of them too much alike, to replace what a million pictures told."""
        super().train(mode)
        for part in self.encoders.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        return self


def _doubled(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear")
