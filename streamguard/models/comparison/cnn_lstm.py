"""A small CNN for each frame and an LSTM over a track's frames.

Shape of Guera and Delp, "Deepfake Video Detection Using Recurrent Neural Networks", AVSS 2018, with a CNN that is
trained from the start in place of their fixed Inception features.
"""

from __future__ import annotations

import torch
from torch import nn

from streamguard.models.blocks import convolution

CHANNELS = (16, 32, 64, 128, 128)
HIDDEN = 128


class CnnLstm(nn.Module):
    """float [N, T, 3, H, W] -> logits [N]; H and W are multiples of 32."""

    def __init__(self, dropout: float = 0.5) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in CHANNELS:
            layers += [convolution(inputs, outputs), nn.MaxPool2d(2)]
            inputs = outputs
        self.frame = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.track = nn.LSTM(inputs, HIDDEN, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(HIDDEN, 1))

    def forward(self, tracks: torch.Tensor) -> torch.Tensor:
        """Logits [N] after the last of each track's frames."""
        count, frames = tracks.shape[:2]
        pictures = tracks.flatten(0, 1).contiguous(memory_format=torch.channels_last)
        features = self.frame(pictures).view(count, frames, -1)
        # Few numbers and many steps: nothing is gained by sixteen bits here.
        with torch.autocast(tracks.device.type, enabled=False):
            states, _ = self.track(features.float())
        logits: torch.Tensor = self.head(states[:, -1]).flatten()
        return logits
