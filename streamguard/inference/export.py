"""`torch.export` of the full graph with a free batch dimension; the way into every compiler here."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import Dim, ExportedProgram

from streamguard.errors import OutputError
from streamguard.models import Guard, LoadedModel
from streamguard.models.unet_lite0 import UnetLite0


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


def export_onnx(model: LoadedModel, path: Path) -> None:
    """Write the whole graph as ONNX: `crops` uint8 [N, size, size, 3] RGB -> `probability` float32 [N, size, size].

    For other people's runtimes; what is guarded with here goes by `export_guard`.

    Raises:
        OutputError: the file cannot be written.
    """
    guard = Guard(model.spec, copy.deepcopy(model.network)).eval()
    size = model.spec.size
    crops = torch.zeros(2, size, size, 3, dtype=torch.uint8)
    names: dict[str, Any] = {"input_names": ["crops"], "output_names": ["probability"]}
    names["dynamic_axes"] = {"crops": {0: "n"}, "probability": {0: "n"}}
    try:
        with quiet(), torch.no_grad():
            # The newer exporter needs a package of its own; this one is part of PyTorch.
            torch.onnx.export(guard, (crops,), str(path), dynamo=False, opset_version=17, **names)
    except OSError as error:
        raise OutputError(str(path), f"cannot be written ({error.strerror})", "check the folder") from error


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


class _EnlargeByMatrices(nn.Module):
    """Bilinear enlarging of squares as two small products of matrices."""

    weights: torch.Tensor

    def __init__(self, side: int, size: int) -> None:
        super().__init__()
        weights = nn.functional.interpolate(torch.eye(side)[None], size=size, mode="linear")[0]
        self.register_buffer("weights", weights.contiguous(), persistent=False)

    def forward(self, logits: torch.Tensor, height: int, width: int) -> torch.Tensor:
        """float [N, 1, side, side] -> [N, 1, size, size]."""
        return torch.matmul(torch.matmul(self.weights.t(), logits), self.weights)


def enlarged_by_matrices(network: nn.Module, size: int) -> nn.Module:
    """The same network for pictures of that side, its logits enlarged by matrices, in place.

    OpenVINO's own interpolation takes up to sixteen channels at a time, and a plane of logits is one: it spends a
    seventh of the whole network's time on that last step, where the products spend a hundredth.
    """
    for module in network.modules():
        if isinstance(module, UnetLite0):
            module.enlarge = _EnlargeByMatrices(module.coarse_side(size), size)
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
