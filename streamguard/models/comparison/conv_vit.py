"""A small convolutional vision transformer.

The plan is that of Wodajo and Atnafu, "Deepfake Video Detection Using Convolutional Vision Transformer" (2021): a CNN
makes the features, a transformer encoder relates them to one another. Theirs has 89 million weights; this one has the
width of DeiT-Ti (Touvron et al., ICML 2021) and a stem of stride-2 convolutions (Xiao et al., NeurIPS 2021).
"""

from __future__ import annotations

import itertools

import torch
from torch import nn

STEM = (3, 24, 48, 96, 192)
WIDTH, HEADS, LAYERS = STEM[-1], 3, 6
STRIDE = 2 ** (len(STEM) - 1)


class ConvVit(nn.Module):
    """float [N, 3, side, side] -> logits [N].

    Args:
        side: a multiple of 16; the table of places is made for it.
        dropout: within the transformer.
    """

    def __init__(self, side: int = 256, dropout: float = 0.1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(STEM):
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        self.stem = nn.Sequential(*layers, nn.Conv2d(WIDTH, WIDTH, 1))
        self.summary = nn.Parameter(torch.zeros(1, 1, WIDTH))
        self.places = nn.Parameter(torch.empty(1, (side // STRIDE) ** 2 + 1, WIDTH))
        nn.init.trunc_normal_(self.places, std=0.02)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, LAYERS, norm=nn.LayerNorm(WIDTH), enable_nested_tensor=False)
        self.head = nn.Linear(WIDTH, 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Logits [N], read from the summary token."""
        tokens = self.stem(picture).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.summary.expand(len(tokens), -1, -1), tokens), dim=1) + self.places
        logits: torch.Tensor = self.head(self.encoder(tokens)[:, 0]).flatten()
        return logits
