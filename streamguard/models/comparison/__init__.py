"""Classifiers to compare the segmentation networks with, each as its paper draws it; none of them is shipped.

All take pictures normalised as the shipped networks take them and give one logit: is anything in it fake?
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.nn import functional

from streamguard.errors import UnknownModel
from streamguard.models.comparison.conv_vit import ConvVit
from streamguard.models.comparison.efficientnet import SCALES, efficientnet
from streamguard.models.comparison.meso4 import meso4
from streamguard.models.comparison.resnet18 import resnet18
from streamguard.models.comparison.xception import xception
from streamguard.models.networks import fresh
from streamguard.models.store import LoadedModel

__all__ = ["CLASSIFIER", "NETWORKS", "Architecture", "Classifier", "fresh_classifier", "fresh_network"]


@dataclass(frozen=True, slots=True)
class Architecture:
    """A network of the comparison.

    Attributes:
        make: from the side of its square input in pixels (a multiple of 32) to the network with fresh weights.
        source: where its shape is from.
        any_side: whether it takes other sides than that it was made for.
    """

    make: Callable[[int], nn.Module]
    source: str
    any_side: bool = True


def _member(name: str) -> Architecture:
    return Architecture(lambda side: efficientnet(name), "Tan and Le, 2019")


NETWORKS: dict[str, Architecture] = {
    "meso4": Architecture(meso4, "Afchar et al., 2018", any_side=False),
    "resnet18": Architecture(lambda side: resnet18(), "He et al., 2016; Dessa, 2019"),
    "resnet18_hidden": Architecture(lambda side: resnet18(hidden=True), "He et al., 2016; Dessa, 2019"),
    "xception": Architecture(lambda side: xception(), "Chollet, 2017; Roessler et al., 2019"),
    **{f"efficientnet_{name}": _member(name) for name in SCALES},
    "conv_vit": Architecture(ConvVit, "after Wodajo and Atnafu, 2021", any_side=False),
}

CLASSIFIER = "classifier"
"""The architecture that their specs tell."""


class Classifier(nn.Module):
    """A network of the comparison behind the door of the shipped ones: float [N, 3, H, W] -> logits [N, 1].

    Args:
        network: float [N, 3, side, side] -> logits [N].
        side: larger pictures are brought down to it, as `UnetLite0` does.
        any_side: smaller ones are taken as they are, and not enlarged to it.
    """

    def __init__(self, network: nn.Module, side: int, *, any_side: bool) -> None:
        super().__init__()
        self.network, self._side, self._any_side = network, side, any_side

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        """Logits [N, 1]."""
        if picture.shape[-1] > self._side or (picture.shape[-1] < self._side and not self._any_side):
            picture = functional.interpolate(picture, (self._side, self._side), mode="bilinear")
        logits: torch.Tensor = self.network(picture)
        return logits[:, None]


def fresh_classifier(name: str, side: int, seed: int = 0) -> LoadedModel:
    """Return a classifier with fresh weights and its spec; it has no mask to apply a rule to.

    Args:
        name: a key of `NETWORKS`.
        side: that it works at, in pixels, a multiple of 32.
        seed: of the weights.

    Raises:
        UnknownModel: no network of that name.
    """
    inner = fresh_network(name, side, seed)
    network = Classifier(inner, side, any_side=NETWORKS[name].any_side).eval()
    spec = replace(fresh("unet_v1").spec, name=name, architecture=CLASSIFIER, working_side=side)
    return LoadedModel(spec, network)


def fresh_network(name: str, side: int = 256, seed: int = 0) -> nn.Module:
    """Return a network of the comparison with fresh weights, in evaluation mode.

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
