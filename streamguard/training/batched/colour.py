"""Colours of a batch: brightness and colour difference (BT.601, full range), hue and saturation, levels."""

from __future__ import annotations

import torch

from streamguard.training.batched.tensors import whole_levels


def to_ycc(rgb: torch.Tensor) -> torch.Tensor:
    """RGB to Y, Cb, Cr: float32 [..., 3, H, W], 0..255, colour differences about 128 (JFIF 1.02)."""
    red, green, blue = rgb.unbind(-3)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return torch.stack([luma, (blue - luma) / 1.772 + 128, (red - luma) / 1.402 + 128], dim=-3)


def to_rgb(ycc: torch.Tensor) -> torch.Tensor:
    """The way back from `to_ycc`; not yet rounded or clamped."""
    luma, blue, red = ycc.unbind(-3)
    blue, red = blue - 128, red - 128
    green = luma - (0.114 * 1.772 * blue + 0.299 * 1.402 * red) / 0.587
    return torch.stack([luma + 1.402 * red, green, luma + 1.772 * blue], dim=-3)


def turned_hue(rgb: torch.Tensor, hue: torch.Tensor, saturation: torch.Tensor) -> torch.Tensor:
    """Pictures with another hue and saturation; the value (largest channel) stays.

    Args:
        rgb: float32 [N, 3, H, W], 0..255.
        hue: float32 [N, 1, 1], degrees.
        saturation: float32 [N, 1, 1], factor.
    """
    value, least = rgb.amax(dim=1), rgb.amin(dim=1)
    chroma = value - least
    red, green, blue = rgb.unbind(1)
    safe = chroma.clamp(min=1e-6)
    sixth = torch.where(
        value == red,
        (green - blue) / safe,
        torch.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    # A grey pixel has no hue and keeps none.
    strength = torch.minimum(chroma * saturation, value)
    turn = sixth + hue / 60
    # Each channel is the value less what the hue's distance takes (Smith, 1978, in its one-formula form).
    parts = []
    for offset in (5.0, 3.0, 1.0):
        at = (offset + turn) % 6
        parts.append(value - strength * torch.minimum(at, 4 - at).clamp(0, 1))
    return torch.stack(parts, dim=1)


def recoloured(
    rgb: torch.Tensor,
    offset: torch.Tensor,
    contrast: torch.Tensor,
    brightness: torch.Tensor,
    hue: torch.Tensor,
    saturation: torch.Tensor,
) -> torch.Tensor:
    """Pictures in slightly other colours.

    Args:
        rgb: float32 [N, 3, H, W], 0..255.
        offset: float32 [N, 3, 1, 1], grey levels added to each channel.
        contrast: float32 [N, 1, 1, 1], factor about the channel's mean.
        brightness: float32 [N, 1, 1, 1], grey levels added to all.
        hue, saturation: as for `turned_hue`.
    """
    moved = rgb + offset
    mean = moved.mean(dim=(2, 3), keepdim=True)
    return turned_hue(whole_levels((moved - mean) * contrast + mean + brightness), hue, saturation)


def coloured_like(
    pictures: torch.Tensor, aims: torch.Tensor, inside: torch.Tensor, strength: torch.Tensor
) -> torch.Tensor:
    """Mean and spread of brightness and colour moved towards those of the aims (Reinhard et al., 2001).

    Args:
        pictures, aims: float32 [N, 3, H, W], 0..255.
        inside: float32 [N, H, W], 0 or 1: the pixels that are compared.
        strength: float32 [N, 1, 1, 1], 0..1: how far they move.
    """
    one, two = to_ycc(pictures), to_ycc(aims)
    (mean, spread), (aim, wide) = _moments(one, inside), _moments(two, inside)
    scale = (wide / (spread + 1e-3)).clamp(0.5, 2.0)
    return to_rgb(one + ((one - mean) * scale + aim - one) * strength)


def levelled(
    rgb: torch.Tensor, gain: torch.Tensor, gamma: torch.Tensor, tint: torch.Tensor, offset: torch.Tensor
) -> torch.Tensor:
    """Other levels: gain about mid-grey, gamma, tint and offset.

    Args:
        rgb: float32 [N, ..., 3, H, W], 0..255.
        gain, gamma, offset: float32, one number a picture, in a shape that spreads over `rgb`; offset in grey levels.
        tint: the same with one number a channel.
    """
    return ((rgb / 255).pow(gamma) - 0.5).mul(gain).add(0.5).mul(tint * 255) + offset


def _moments(ycc: torch.Tensor, inside: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    weight = inside[:, None] / inside.sum(dim=(1, 2))[:, None, None, None].clamp(min=1)
    mean = (ycc * weight).sum(dim=(2, 3), keepdim=True)
    return mean, ((ycc - mean).square() * weight).sum(dim=(2, 3), keepdim=True).sqrt()
