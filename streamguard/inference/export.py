"""`torch.export` of the full graph with a free batch dimension; the way into every compiler here."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from streamguard.models import Guard


def export_guard(guard: Guard, size: int, max_batch: int, example: torch.Tensor | None = None) -> ExportedProgram:
    """The graph of `guard` for batches of 1 to `max_batch` crops (at least 2).

    Args:
        guard: in evaluation mode, on the device that will run it.
        size: side of the crops in pixels.
        max_batch: upper bound of the batch dimension.
        example: [2, size, size, 3] on the guard's device; uint8 zeros by default.
    """
    if example is None:
        example = torch.zeros(2, size, size, 3, dtype=torch.uint8, device=guard.scale.device)
    with torch.no_grad():
        return torch.export.export(guard, (example,), dynamic_shapes={"crops": {0: Dim("n", min=1, max=max_batch)}})


def grouped(network: nn.Module) -> nn.Module:
    """The same network, its norms within the picture written as group norms of one channel a group, in place.

    Instance norm is exported as a batch norm over reshaped and repeated tensors, which no compiler here recognises
    and which computes with the batch folded into the channels; a group norm stays one operation.
    """
    for name, child in network.named_children():
        if isinstance(child, nn.InstanceNorm2d) and not child.track_running_stats:
            norm = nn.GroupNorm(child.num_features, child.num_features, eps=child.eps, affine=child.affine)
            if child.affine:
                norm.weight, norm.bias = child.weight, child.bias
            setattr(network, name, norm.train(network.training))
        else:
            grouped(child)
    return network


def channels_last(guard: Guard) -> Guard:
    """The same guard, its convolution weights laid out channels-last, in place."""
    for parameter in guard.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return guard


@contextmanager
def quiet() -> Iterator[None]:
    """Hide what the compilers warn of and log about their own insides; nobody here can act on it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
