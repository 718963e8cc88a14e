"""A network with the recipe it is trained by: what its output is compared with, and by which optimiser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from streamguard.errors import UnknownModel
from streamguard.models import fresh
from streamguard.models.comparison import NETWORKS, build
from streamguard.models.store import MEAN, SHAPES, STD
from streamguard.training.config import TrainConfig
from streamguard.training.loss import PICTURE_FRACTION, picture_loss, segmentation_loss
from streamguard.training.start import start
from streamguard.types import UInt8Array

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True, slots=True)
class Learner:
    """A network to be trained.

    Attributes:
        network: float [N, 3, P, P], or [N, frames, 3, P, P], to its output.
        frames: 1 for pictures, more for tracks.
        loss: from the output, float32, and the truth, float32 [N, P, P], to a number.
        logit: from the output, float32, to one logit for each picture, [N].
        learning_rate, weight_decay: of AdamW; Adam where the decay is 0.
        std: what pixels, scaled to 0..1 and around their middle, are divided by, for each channel.
    """

    network: nn.Module
    frames: int
    loss: Loss
    logit: Callable[[torch.Tensor], torch.Tensor]
    learning_rate: float
    weight_decay: float = 0.0
    std: tuple[float, float, float] = STD


class _Recipe(NamedTuple):
    learning_rate: float
    weight_decay: float
    loss: Loss


def presence(truth: torch.Tensor) -> torch.Tensor:
    """float32 [N]: 1 where anything in the mask [N, P, P] is fake."""
    return truth.flatten(1).amax(dim=1)


def entropy(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of logits [N] against masks [N, P, P]: is anything fake?"""
    return functional.binary_cross_entropy_with_logits(logits, presence(truth))


def squared_error(logits: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean squared error of the probability, as Meso4's paper trains it."""
    return functional.mse_loss(torch.sigmoid(logits), presence(truth))


_OWN = {
    "meso4": _Recipe(1e-3, 0.0, squared_error),
    "cnn_lstm": _Recipe(1e-3, 0.0, entropy),
    "conv_vit": _Recipe(5e-4, 0.05, entropy),
}
_USUAL = _Recipe(1e-3, 0.01, entropy)


def names() -> tuple[str, ...]:
    """All that can be trained: classifiers, then segmentation networks."""
    return (*NETWORKS, *SHAPES)


def must_be_known(name: str) -> None:
    """Do nothing if `name` can be trained.

    Raises:
        UnknownModel: no network of that name.
    """
    if name not in names():
        raise UnknownModel(name, "no network of that name", f"choose one of {', '.join(names())}")


def learner(name: str, config: TrainConfig, side: int) -> Learner:
    """A classifier with fresh weights, or a segmentation network; the configuration's own starts as it says.

    A segmentation network learns its masks (with the configuration's weights of Dice and picture loss); its logit is
    the mean of the highest sixteenth of its map, which the picture loss trains.

    Args:
        name: one of `names`.
        config: seed, and the recipe of the segmentation networks.
        side: of the input in pixels, a multiple of 32.

    Raises:
        UnknownModel: no network of that name.
    """
    must_be_known(name)
    train = config.train
    if name in SHAPES:

        def masks(output: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
            logits = output.squeeze(1)
            loss = segmentation_loss(logits, truth, train.stages[-1].dice)
            return loss + train.picture_loss * picture_loss(logits, truth)

        model = start(config) if name == config.network else fresh(name, train.seed)
        return Learner(
            network=model.network,
            frames=1,
            loss=masks,
            logit=highest_sixteenth,
            learning_rate=train.learning_rate,
            weight_decay=train.weight_decay,
            std=model.spec.std,
        )
    recipe = _OWN.get(name, _USUAL)
    return Learner(
        network=build(name, side, train.seed),
        frames=NETWORKS[name].frames,
        loss=recipe.loss,
        logit=lambda output: output,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )


def highest_sixteenth(output: torch.Tensor) -> torch.Tensor:
    """Mean of the highest sixteenth of each map: [N, 1, H, W] -> [N]."""
    flat = output.flatten(1)
    return flat.topk(max(1, flat.shape[1] // PICTURE_FRACTION), dim=1).values.mean(dim=1)


def normalised(pixels: UInt8Array, std: tuple[float, float, float], device: torch.device) -> torch.Tensor:
    """uint8 [..., P, P, 3] to float32 [..., 3, P, P] around 0, as the shipped networks see it."""
    batch = torch.from_numpy(pixels).to(device).movedim(-1, -3).float() / 255
    middle, spread = (torch.tensor(each, device=device).view(3, 1, 1) for each in (MEAN, std))
    batch = (batch - middle) / spread
    return batch.contiguous(memory_format=torch.channels_last) if batch.ndim == 4 else batch
