"""The full graph an engine compiles: uint8 crops in, fake probability out."""

from __future__ import annotations

import torch
from torch import nn

from streamguard.models.spec import ModelSpec


class EngineGraph(nn.Module):
    """Normalisation, network and sigmoid in one graph, so that every engine gets the same constants.

    Args:
        spec: supplies the RGB mean and standard deviation.
        network: float [N, 3, H, W] -> logits [N, 1, H, W].
    """

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, spec: ModelSpec, network: nn.Module) -> None:
        super().__init__()
        mean = torch.tensor(spec.mean, dtype=torch.float32).view(1, 3, 1, 1)
        std = torch.tensor(spec.std, dtype=torch.float32).view(1, 3, 1, 1)
        self.register_buffer("scale", 1 / (255 * std), persistent=False)
        self.register_buffer("shift", -mean / std, persistent=False)
        self.network = network

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """uint8 [N, H, W, 3] RGB -> probability [N, H, W], 0..1, in the network's float type."""
        picture = crops.permute(0, 3, 1, 2).to(self.scale.dtype) * self.scale + self.shift
        return torch.sigmoid(self.network(picture)).squeeze(1)
