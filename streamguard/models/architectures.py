"""The networks of specs, in PyTorch."""

from __future__ import annotations

import torch
from torch import nn

from streamguard.models.ensemble import Ensemble
from streamguard.models.spec import ModelSpec, Weights, unfitting_weights
from streamguard.models.unet import unet
from streamguard.models.unet_lite0 import UnetLite0


def build(spec: ModelSpec) -> nn.Module:
    """The spec's network with fresh weights, in evaluation mode."""
    if spec.members > 1:
        return Ensemble([_member(spec) for _ in range(spec.members)]).eval()
    return _member(spec).eval()


def _member(spec: ModelSpec) -> nn.Module:
    if spec.architecture == "unet_lite0":
        return UnetLite0(spec.features, spec.working_side)
    return unet(spec.features, spec.steps, spec.picture_norms)


def filled(spec: ModelSpec, weights: Weights) -> nn.Module:
    """The spec's network with these weights, in evaluation mode.

    Raises:
        CorruptWeights: they do not fit it.
    """
    network = build(spec)
    try:
        network.load_state_dict({key: torch.tensor(value) for key, value in weights.items()})
    except RuntimeError as error:
        raise unfitting_weights(spec) from error
    return network
