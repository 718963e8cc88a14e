"""The networks that render faces: small convolutional autoencoders of several builds.

Each way of enlarging leaves traces of its own (checkerboards of transposed convolutions: Odena et al., 2016), so a
detector is taught by several of them.
"""

from __future__ import annotations

import itertools

import torch
from torch import nn
from torch.nn import functional

from streamguard.training.config import RendererTable, Upsampling

WIDTHS = (40, 80, 112, 128)
"""Channels after each halving."""
LAST = 24
BOUND = 3.0
"""Codes lie in -BOUND..BOUND."""


class FaceAutoencoder(nn.Module):
    """Renders a face again from a small code.

    Args:
        table: halvings of the side, way of enlarging, channels of the code.
    """

    def __init__(self, table: RendererTable) -> None:
        super().__init__()
        widths = WIDTHS[: table.halvings]
        encoder: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(12, widths[0], 3, padding=1), _Residual(widths[0])]
        for fine, coarse in itertools.pairwise(widths):
            encoder += [nn.Conv2d(fine, coarse, 4, 2, 1), _Residual(coarse)]
        self.encoder = nn.Sequential(*encoder, nn.Conv2d(widths[-1], table.channels, 3, padding=1))
        decoder: list[nn.Module] = [nn.Conv2d(table.channels, widths[-1], 3, padding=1), _Residual(widths[-1])]
        for coarse, fine in itertools.pairwise(reversed(widths)):
            decoder += [*_doubling(coarse, fine, table.upsampling), _Residual(fine)]
        decoder += [*_doubling(widths[0], LAST, table.upsampling), nn.LeakyReLU(0.2), nn.Conv2d(LAST, 3, 3, padding=1)]
        self.decoder = nn.Sequential(*decoder)

    def encode(self, pictures: torch.Tensor) -> torch.Tensor:
        """float [N, 3, H, W], about -1..1, sides multiples of 16 -> codes [N, channels, H', W']."""
        codes: torch.Tensor = torch.tanh(self.encoder(pictures) / BOUND) * BOUND
        return codes

    def decode(self, codes: torch.Tensor) -> torch.Tensor:
        """Codes as of `encode` -> float [N, 3, H, W], about -1..1."""
        pictures: torch.Tensor = self.decoder(codes)
        return pictures

    def forward(self, pictures: torch.Tensor, noise: float = 0.0) -> torch.Tensor:
        """What is rendered of the pictures, `noise` of that standard deviation added to their codes."""
        codes = self.encode(pictures)
        return self.decode(codes + noise * torch.randn_like(codes) if noise else codes)


def critic() -> nn.Sequential:
    """Says of each patch how real it looks (PatchGAN: Isola et al., 2017; spectral norm: Miyato et al., 2018)."""
    normed = nn.utils.parametrizations.spectral_norm
    return nn.Sequential(
        nn.PixelUnshuffle(2),
        normed(nn.Conv2d(12, 40, 3, padding=1)),
        nn.LeakyReLU(0.2),
        normed(nn.Conv2d(40, 64, 4, 2, 1)),
        nn.LeakyReLU(0.2),
        normed(nn.Conv2d(64, 96, 4, 2, 1)),
        nn.LeakyReLU(0.2),
        normed(nn.Conv2d(96, 1, 3, padding=1)),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.first(functional.leaky_relu(self.norm(x), 0.2))
        total: torch.Tensor = x + self.second(functional.leaky_relu(inner, 0.2))
        return total


def _doubling(inputs: int, outputs: int, upsampling: Upsampling) -> list[nn.Module]:
    if upsampling == "transposed":
        return [nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, output_padding=1)]
    if upsampling == "shuffle":
        return [nn.Conv2d(inputs, 4 * outputs, 3, padding=1), nn.PixelShuffle(2)]
    return [nn.Upsample(scale_factor=2, mode=upsampling), nn.Conv2d(inputs, outputs, 3, padding=1)]
