"""Staging between numpy and a CUDA module: pinned buffers, padded batch sizes, recorded CUDA graphs.

Written to the documented PyTorch API; it has not been run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from streamguard.types import UInt8Array


class CudaRunner:
    """Runs `module` on crops that come and go as numpy arrays.

    Args:
        module: uint8 [N, size, size, 3] on CUDA -> probability [N, size, size] on CUDA.
        size: side of the crops in pixels.
        max_batch: the largest batch.
        graphs: record one CUDA graph per batch size (powers of two and `max_batch`; batches are padded up to
            them), which spares the launch of each kernel. Without them batches run in their own size.
    """

    def __init__(
        self, module: Callable[[torch.Tensor], torch.Tensor], size: int, max_batch: int, *, graphs: bool
    ) -> None:
        self._module = module
        self._host = torch.empty(max_batch, size, size, 3, dtype=torch.uint8, pin_memory=True)
        self._input = torch.zeros(max_batch, size, size, 3, dtype=torch.uint8, device="cuda")
        sizes = sorted({2**power for power in range(max_batch.bit_length())} | {max_batch})
        self._recorded: dict[int, tuple[torch.cuda.CUDAGraph, torch.Tensor]] = {}
        if graphs:
            self._recorded = {count: self._record(count) for count in sizes if count <= max_batch}

    def _record(self, count: int) -> tuple[torch.cuda.CUDAGraph, torch.Tensor]:
        crops = self._input[:count]
        # Kernels load and algorithms are chosen at first use; neither may happen while a graph is recorded.
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        side.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(side):
            for _ in range(3):
                self._module(crops)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.inference_mode(), torch.cuda.graph(graph):
            answer = self._module(crops).float()
        return graph, answer

    def __call__(self, crops: UInt8Array) -> NDArray[np.float32]:
        """uint8 [N, size, size, 3] -> float32 probability [N, size, size], 0..1."""
        count = len(crops)
        self._host[:count].numpy()[:] = crops
        self._input[:count].copy_(self._host[:count], non_blocking=True)
        with torch.inference_mode():
            if self._recorded:
                graph, answer = self._recorded[min(n for n in self._recorded if n >= count)]
                graph.replay()
                answer = answer[:count]
            else:
                answer = self._module(self._input[:count]).float()
            # The copy to the host waits for the device: errors of the kernels are raised here.
            result: NDArray[np.float32] = answer.cpu().numpy()
        return result
