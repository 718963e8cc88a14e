"""The stages of EfficientNet-B0 and Lite0 as numbers (Tan and Le, 2019), for whoever builds a network of them."""

from __future__ import annotations

from typing import NamedTuple

STEM = 32
NORM_EPSILON, NORM_MOMENTUM = 1e-3, 0.01


class Stage(NamedTuple):
    """A stretch of equal blocks of EfficientNet: its widening, channels, number, first stride and kernel."""

    expand: int
    channels: int
    blocks: int
    stride: int
    kernel: int


STAGES = (
    Stage(1, 16, 1, 1, 3),
    Stage(6, 24, 2, 2, 3),
    Stage(6, 40, 2, 2, 5),
    Stage(6, 80, 3, 2, 3),
    Stage(6, 112, 3, 1, 5),
    Stage(6, 192, 4, 2, 5),
    Stage(6, 320, 1, 1, 3),
)
"""Those of EfficientNet-B0, which Lite0 shares."""
CHANNELS = (16, 24, 40, 112, 320)
"""Channels of the five feature maps, at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture's side."""
