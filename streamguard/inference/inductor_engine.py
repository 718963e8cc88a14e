"""TorchInductor, compiled ahead of time: half precision, channels-last and CUDA graphs on an NVIDIA GPU.

The package (`model.pt2`, AOTInductor) is made once and kept, so that a start does not compile. On a CPU it is built
only when asked for by name, in float32: there it is slower than eager PyTorch (Unet_v1 on one thread of AMD Zen 4:
8 against 11 crops/s), and needs a C++ compiler. The CPU way is tested; the CUDA way is written to the documented
API and has not been run on hardware.
"""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from streamguard.errors import EngineFailed, EngineUnavailable
from streamguard.inference import hardware
from streamguard.inference.engine import EngineOptions, Precision, Probe, check_crops, foreign_errors, to_bytes
from streamguard.models import LoadedModel
from streamguard.types import UInt8Array

if TYPE_CHECKING:
    import torch


def _precision(options: EngineOptions) -> Precision:
    native: Precision = "float16" if hardware.cuda_available() else "float32"
    if options.precision not in {None, native, "float32"}:
        raise EngineUnavailable("inductor", f"it is built in {native} here, not {options.precision}", f"use {native}")
    return options.precision or native


class InductorEngine:
    """A loaded AOTInductor package."""

    name = "inductor"

    def __init__(
        self, run: Callable[[UInt8Array], NDArray[np.float32]], precision: str, device: str, size: int, max_batch: int
    ) -> None:
        self.precision, self.device, self.max_batch = precision, device, max_batch
        self._size = size
        self._run: Callable[[UInt8Array], NDArray[np.float32]] | None = run

    def describe(self) -> str:
        """One line for people."""
        where = f"{self.precision} on {self.device}, up to {self.max_batch} crops"
        return f"torch {metadata.version('torch')} AOTInductor, {where}"

    def infer(self, crops: UInt8Array) -> UInt8Array:
        """Judge crops; see `Engine.infer`."""
        if self._run is None:
            raise EngineFailed(self.name, "the engine is closed", "build it again")
        crops = check_crops(self.name, crops, self._size, self.max_batch)
        with foreign_errors(self.name, f"judging {len(crops)} crops"):
            return to_bytes(self.name, self._run(crops))

    def close(self) -> None:
        """Free the package and its buffers."""
        self._run = None


class InductorFactory:
    """Registered as `inductor`."""

    name = "inductor"
    rank = 30
    compiled = True

    def probe(self) -> Probe:
        """Available with a C++ compiler and, on CUDA, triton; taken unasked on CUDA only."""
        if shutil.which(os.environ.get("CXX", "g++")) is None:
            return Probe(self.name, False, "no C++ compiler (install g++ or set CXX)")
        if not hardware.cuda_available():
            return Probe(self.name, True, "no CUDA device; on a CPU slower than eager", automatic=False)
        if find_spec("triton") is None:
            return Probe(self.name, False, "triton is not installed")
        return Probe(self.name, True, f"PyTorch {metadata.version('torch')} on {hardware.cuda_name()}")

    def traits(self, options: EngineOptions) -> dict[str, str]:
        """Everything the compiled package and its answers depend on besides the model."""
        return {
            "precision": _precision(options),
            "device": hardware.cuda_name() or hardware.cpu_name(),
            "torch": metadata.version("torch"),
            "cuda": hardware.cuda_version(),
            "max_batch": str(options.max_batch),
        }

    def compile(self, model: LoadedModel, options: EngineOptions, folder: Path) -> None:
        """Write `model.pt2` into `folder`.

        Raises:
            EngineFailed: the network cannot be compiled.
        """
        import torch

        from streamguard.inference.export import channels_last, export_guard, quiet
        from streamguard.models.engine_graph import EngineGraph

        device = "cuda" if hardware.cuda_available() else "cpu"
        guard = EngineGraph(model.spec, copy.deepcopy(model.network)).eval()
        with foreign_errors(self.name, "compiling the network"), quiet():
            guard = channels_last(guard.to(device, getattr(torch, _precision(options))))
            program = export_guard(guard, model.spec.size, max(options.max_batch, 2))
            torch._inductor.aoti_compile_and_package(
                program,
                package_path=str(folder / "model.pt2"),
                inductor_configs={"freezing": True},
            )

    def load(self, model: LoadedModel, options: EngineOptions, folder: Path) -> InductorEngine:
        """The engine of the package in `folder`.

        Raises:
            EngineFailed: it cannot be loaded.
        """
        import torch

        from streamguard.inference.cuda import CudaRunner
        from streamguard.inference.export import quiet

        size, count = model.spec.size, options.max_batch
        path = str(folder / "model.pt2")
        cuda = hardware.cuda_available()
        with foreign_errors(self.name, "loading the compiled package"), quiet():
            # `run_single_threaded` leaves out the event queries that recording a CUDA graph forbids.
            package = torch._inductor.aoti_load_package(path, run_single_threaded=cuda)
            run = CudaRunner(package, size, count, graphs=True) if cuda else _on_cpu(package)
        device = hardware.cuda_name() or hardware.cpu_name()
        return InductorEngine(run, _precision(options), device, size, count)


def _on_cpu(package: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[UInt8Array], NDArray[np.float32]]:
    import torch

    def run(crops: UInt8Array) -> NDArray[np.float32]:
        with torch.inference_mode():
            answer: NDArray[np.float32] = package(torch.from_numpy(crops)).numpy()
        return answer

    return run
