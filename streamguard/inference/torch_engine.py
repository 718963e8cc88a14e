"""The reference engine: PyTorch eager, float32, on the CPU. Every other engine is measured against it."""

from __future__ import annotations

import copy
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from streamguard.errors import EngineFailed, EngineUnavailable
from streamguard.inference import hardware
from streamguard.inference.engine import EngineOptions, Probe, check_crops, foreign_errors, to_bytes
from streamguard.models import LoadedModel
from streamguard.types import UInt8Array

if TYPE_CHECKING:
    from streamguard.models.engine_graph import EngineGraph


class TorchEngine:
    """Eager float32 on the CPU, channels-last.

    Args:
        model: copied; the caller's network is left as it is.
        options: `threads` sets PyTorch's thread count while a batch is judged and puts it back afterwards.

    Raises:
        EngineUnavailable: a precision other than float32 is asked for.
    """

    name = "torch"
    precision = "float32"

    def __init__(self, model: LoadedModel, options: EngineOptions) -> None:
        if options.precision not in {None, "float32"}:
            raise EngineUnavailable(
                self.name, f"the reference computes in float32, not {options.precision}", "choose another engine"
            )
        from streamguard.inference.export import channels_last
        from streamguard.models.engine_graph import EngineGraph

        self.device = hardware.cpu_name()
        self.max_batch = options.max_batch
        self._size = model.spec.size
        self._threads = options.threads
        self._guard: EngineGraph | None = channels_last(EngineGraph(model.spec, copy.deepcopy(model.network)).eval())

    def describe(self) -> str:
        """One line for people."""
        return (
            f"torch {metadata.version('torch')} eager, {self.precision} on {self.device}, up to {self.max_batch} crops"
        )

    def infer(self, crops: UInt8Array) -> UInt8Array:
        """Judge crops; see `Engine.infer`."""
        import torch

        if self._guard is None:
            raise EngineFailed(self.name, "the engine is closed", "build it again")
        crops = check_crops(self.name, crops, self._size, self.max_batch)
        before = torch.get_num_threads()
        with foreign_errors(self.name, f"judging {len(crops)} crops"), torch.inference_mode():
            try:
                if self._threads is not None:
                    torch.set_num_threads(self._threads)
                return to_bytes(self.name, self._guard(torch.from_numpy(crops)).numpy())
            finally:
                if self._threads is not None:
                    torch.set_num_threads(before)

    def close(self) -> None:
        """Free the network."""
        self._guard = None


class TorchFactory:
    """Registered as `torch`."""

    name = "torch"
    rank = 10
    compiled = False

    def probe(self) -> Probe:
        """Always available: PyTorch is a hard dependency."""
        return Probe(self.name, True, f"PyTorch {metadata.version('torch')}")

    def traits(self, options: EngineOptions) -> dict[str, str]:
        """Everything the answers depend on besides the model."""
        return {"precision": "float32", "device": hardware.cpu_name(), "torch": metadata.version("torch")}

    def compile(self, model: LoadedModel, options: EngineOptions, folder: Path) -> None:
        """Compile nothing: eager mode has no files."""

    def load(self, model: LoadedModel, options: EngineOptions, folder: Path) -> TorchEngine:
        """The engine; `folder` is not read."""
        return TorchEngine(model, options)
