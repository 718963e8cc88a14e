"""TensorRT through torch-tensorrt's dynamo front end: half precision on an NVIDIA GPU.

Written to the documented API of torch-tensorrt 2.13 (`torch_tensorrt.compile(ir="dynamo")`, `Input` with smallest,
usual and largest shape, `save` and `load`). It has not been run on hardware. What it compiles is verified against
the float32 reference before it is used, like every other engine's work; where it fails, the next engine is taken.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamguard.errors import EngineFailed, EngineUnavailable
from streamguard.inference import hardware
from streamguard.inference.engine import EngineOptions, Probe, check_crops, foreign_errors, to_bytes
from streamguard.models import LoadedModel
from streamguard.types import UInt8Array

if TYPE_CHECKING:
    import torch

    from streamguard.inference.cuda import CudaRunner


class TensorRtEngine:
    """A loaded TensorRT program."""

    name = "tensorrt"
    precision = "float16"

    def __init__(self, module: Callable[[torch.Tensor], torch.Tensor], size: int, max_batch: int) -> None:
        from streamguard.inference.cuda import CudaRunner

        self.device = hardware.cuda_name() or "cuda"
        self.max_batch = max_batch
        self._size = size
        # TensorRT takes bytes at its border only to cast them at once; half holds 0..255 exactly.
        self._run: CudaRunner | None = CudaRunner(lambda crops: module(crops.half()), size, max_batch, graphs=False)

    def describe(self) -> str:
        """One line for people."""
        version = metadata.version("torch-tensorrt")
        return f"torch-tensorrt {version}, {self.precision} on {self.device}, up to {self.max_batch} crops"

    def infer(self, crops: UInt8Array) -> UInt8Array:
        """Judge crops; see `Engine.infer`."""
        if self._run is None:
            raise EngineFailed(self.name, "the engine is closed", "build it again")
        crops = check_crops(self.name, crops, self._size, self.max_batch)
        with foreign_errors(self.name, f"judging {len(crops)} crops"):
            return to_bytes(self.name, self._run(crops))

    def close(self) -> None:
        """Free the program and its buffers."""
        self._run = None


class TensorRtFactory:
    """Registered as `tensorrt`."""

    name = "tensorrt"
    rank = 40
    compiled = True

    def probe(self) -> Probe:
        """Available with the library and a CUDA device."""
        if find_spec("torch_tensorrt") is None:
            return Probe(self.name, False, "torch-tensorrt is not installed (`pip install streamguard[tensorrt]`)")
        if not hardware.cuda_available():
            return Probe(self.name, False, "no CUDA device")
        version = metadata.version("torch-tensorrt")
        return Probe(self.name, True, f"torch-tensorrt {version} on {hardware.cuda_name()}")

    def traits(self, options: EngineOptions) -> dict[str, str]:
        """Everything the compiled program and its answers depend on besides the model."""
        if options.precision not in {None, "float16"}:
            raise EngineUnavailable(self.name, f"it is built in float16, not {options.precision}", "use float16")
        return {
            "precision": "float16",
            "device": hardware.cuda_name() or "none",
            "torch-tensorrt": metadata.version("torch-tensorrt"),
            "torch": metadata.version("torch"),
            "cuda": hardware.cuda_version(),
            "max_batch": str(options.max_batch),
        }

    def compile(self, model: LoadedModel, options: EngineOptions, folder: Path) -> None:
        """Write `model.ep` into `folder`; takes minutes.

        Raises:
            EngineFailed: the network cannot be compiled.
        """
        import torch

        from streamguard.inference.export import export_guard, quiet
        from streamguard.models.engine_graph import EngineGraph

        with foreign_errors(self.name, "compiling the network"), quiet():
            import torch_tensorrt

            size, largest = model.spec.size, max(options.max_batch, 2)
            guard = EngineGraph(model.spec, copy.deepcopy(model.network)).eval().half().cuda()
            example = torch.zeros(2, size, size, 3, dtype=torch.half, device="cuda")
            shapes: list[Any] = [
                torch_tensorrt.Input(
                    min_shape=(1, size, size, 3),
                    opt_shape=(max(1, largest // 2), size, size, 3),
                    max_shape=(largest, size, size, 3),
                    dtype=torch.half,
                )
            ]
            program = torch_tensorrt.compile(
                export_guard(guard, size, largest, example),
                ir="dynamo",
                arg_inputs=shapes,
                # The precision is the one the network was cast to: TensorRT's own choice is deprecated.
                use_explicit_typing=True,
            )
            torch_tensorrt.save(program, str(folder / "model.ep"), arg_inputs=shapes)

    def load(self, model: LoadedModel, options: EngineOptions, folder: Path) -> TensorRtEngine:
        """The engine of the program in `folder`.

        Raises:
            EngineFailed: it cannot be loaded.
        """
        from streamguard.inference.export import quiet

        with foreign_errors(self.name, "loading the compiled program"), quiet():
            import torch_tensorrt

            program = torch_tensorrt.load(str(folder / "model.ep"))
            return TensorRtEngine(program.module(), model.spec.size, options.max_batch)
