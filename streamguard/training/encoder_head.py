"""A second opinion for training only: real or fake, from what each encoder step sees on average.

The gradient of the mask alone reaches the encoder late and faint. A linear head on the mean of every step's feature
maps (texture statistics, one number a channel) tells the encoder directly which features separate real from fake
(deep supervision: Lee et al., 2015). It is dropped when the network is saved.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class EncoderHead(nn.Module):
    """Watches the encoders of a Unet by hooks.

    Args:
        encoders: the encoder blocks, whose outputs are [N, C, H, W].
        channels: channels of all blocks together.
    """

    def __init__(self, encoders: nn.ModuleList, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.linear = nn.Linear(channels, 1)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self._seen: list[torch.Tensor] = []
        for encoder in encoders:
            encoder.register_forward_hook(self._see)

    def forward(self) -> torch.Tensor:
        """Logits [N] for the batch that the network saw last."""
        means = torch.cat([features.float().mean(dim=(2, 3)) for features in self._seen], dim=1)
        self._seen.clear()
        logits: torch.Tensor = self.linear(self.norm(means)).squeeze(1)
        return logits

    def _see(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        if module.training:
            self._seen.append(output)
