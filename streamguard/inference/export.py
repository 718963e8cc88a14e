"""`torch.export` of the full graph with a free batch dimension; the way into the compilers of PyTorch."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.export import Dim, ExportedProgram

from streamguard.models.engine_graph import EngineGraph


def export_guard(guard: EngineGraph, size: int, max_batch: int, example: torch.Tensor | None = None) -> ExportedProgram:
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


def channels_last(guard: EngineGraph) -> EngineGraph:
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
