"""The segmentation networks: Unets that mark the fake pixels of a face."""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn import functional

from streamguard.models.blocks import double_convolution, picture_norm, upsampling


class UnetGraph(nn.Module):
    """Encoder, decoder and skips of a Unet over given blocks; `unet` composes it."""

    def __init__(
        self, encoders: list[nn.Module], upsamplers: list[nn.Module], decoders: list[nn.Module], head: nn.Module
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.upsamplers = nn.ModuleList(upsamplers)
        self.decoders = nn.ModuleList(decoders)
        self.head = head

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """float [N, 3, H, W] -> logits [N, 1, H, W]; H and W are multiples of 2 ** (steps - 1)."""
        skips = []
        x = picture
        for step, encoder in enumerate(self.encoders):
            x = encoder(functional.max_pool2d(x, 2) if step else x)
            skips.append(x)
        skips.pop()
        for upsampler, decoder in zip(self.upsamplers, self.decoders, strict=True):
            x = decoder(torch.cat((skips.pop(), upsampler(x)), dim=1))
        logits: torch.Tensor = self.head(x)
        return logits


def unet(features: int, steps: int, picture_norms: int = 0) -> UnetGraph:
    """A Unet with `features` channels at full resolution, doubled at each of `steps` resolutions.

    The two networks of the segmentation method are `unet(32, 5)` ("Unet") and `unet(16, 6)` ("Unet_v1");
    the shape is that of Ronneberger et al., 2015, with batch norm.

    Args:
        features: channels at full resolution, at least 1.
        steps: number of resolutions, at least 2.
        picture_norms: how many encoders, from full resolution on, normalise within each picture instead of over
            the batch (see `blocks.picture_norm`).
    """
    channels = [features * 2**step for step in range(steps)]
    pairs = list(itertools.pairwise(channels))
    return UnetGraph(
        encoders=[
            double_convolution(i, o, picture_norm if step < picture_norms else nn.BatchNorm2d)
            for step, (i, o) in enumerate([(3, features), *pairs])
        ],
        upsamplers=[upsampling(deep, shallow) for shallow, deep in reversed(pairs)],
        decoders=[double_convolution(2 * shallow, shallow) for shallow, _ in reversed(pairs)],
        head=nn.Conv2d(features, 1, kernel_size=1),
    )
