"""Classifiers to compare the segmentation networks with, each as its paper draws it; none of them is shipped.

All take pictures normalised as the shipped networks take them and give one logit: is anything in it fake?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from streamguard.errors import UnknownModel
from streamguard.models.comparison.cnn_lstm import CnnLstm
from streamguard.models.comparison.conv_vit import ConvVit
from streamguard.models.comparison.efficientnet import SCALES, efficientnet
from streamguard.models.comparison.meso4 import meso4
from streamguard.models.comparison.resnet18 import resnet18
from streamguard.models.comparison.xception import xception

__all__ = ["NETWORKS", "Architecture", "build"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network of the comparison.

    Attributes:
        make: from the side of its square input in pixels (a multiple of 32) to the network with fresh weights.
        frames: 1 for float [N, 3, side, side]; more for float [N, frames, 3, side, side].
        source: where its shape is from.
    """

    make: Callable[[int], nn.Module]
    source: str
    frames: int = 1


def _member(name: str) -> Architecture:
    return Architecture(lambda side: efficientnet(name), "Tan and Le, 2019")


NETWORKS: dict[str, Architecture] = {
    "meso4": Architecture(meso4, "Afchar et al., 2018"),
    "resnet18": Architecture(lambda side: resnet18(), "He et al., 2016; Dessa, 2019"),
    "resnet18_hidden": Architecture(lambda side: resnet18(hidden=True), "He et al., 2016; Dessa, 2019"),
    "xception": Architecture(lambda side: xception(), "Chollet, 2017; Roessler et al., 2019"),
    **{f"efficientnet_{name}": _member(name) for name in SCALES},
    "cnn_lstm": Architecture(lambda side: CnnLstm(), "after Guera and Delp, 2018", frames=8),
    "conv_vit": Architecture(ConvVit, "after Wodajo and Atnafu, 2021"),
}


def build(name: str, side: int = 256, seed: int = 0) -> nn.Module:
    """A network of the comparison with fresh weights, in evaluation mode.

    Args:
        name: a key of `NETWORKS`.
        side: of its input in pixels, a multiple of 32.
        seed: of the weights.

    Raises:
        UnknownModel: no network of that name.
    """
    if name not in NETWORKS:
        raise UnknownModel(name, "no network of that name", f"choose one of {', '.join(NETWORKS)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[name].make(side).eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                # He et al., 2015: torch's own start lets the signal of deep networks fade.
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        return network
