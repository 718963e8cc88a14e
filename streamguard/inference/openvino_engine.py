"""OpenVINO on the CPU: bfloat16 where the processor computes it (AMX or AVX512_BF16), float32 otherwise.

The network goes through `torch.export`, without ONNX, and is kept as OpenVINO IR (`model.xml`, `model.bin`) with a
free batch dimension. One thread, crops/s at batches of 1 to 8 (AMD Zen 4, AVX512_BF16): Unet_v1 28 and Unet 9 in
bfloat16, 14 and 4.5 in float32, 11 and 3.6 in eager PyTorch; the batch size and the LATENCY or THROUGHPUT hint
change nothing beyond noise. LATENCY is taken: it gives every thread to the one batch that is being judged, where
THROUGHPUT wants several requests in flight and would make a single stream wait longer for its verdict.
"""

from __future__ import annotations

import copy
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from streamguard.errors import EngineFailed, EngineUnavailable
from streamguard.inference import hardware
from streamguard.inference.engine import EngineOptions, Precision, Probe, check_crops, foreign_errors, to_bytes
from streamguard.inference.export import enlarged_by_matrices, export_guard, grouped, quiet
from streamguard.inference.quantise import quantised
from streamguard.models import Guard, LoadedModel
from streamguard.openvino_runtime import core, openvino
from streamguard.types import UInt8Array

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
INT8 = "int8"
GRAPH = "3"
"""Version of what is written here: files made by an older one are made again."""


def capabilities() -> tuple[str, ...]:
    """What the CPU computes natively, in OpenVINO's words: FP32, BF16, INT8 and so on."""
    return tuple(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _convert(program: torch.export.ExportedProgram) -> Any:
    # `openvino.convert_model` does this too, and reports each use to its makers.
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.fx_decoder import TorchFXPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    # The frontend borrows the decoder: it has to outlive the conversion.
    decoder = TorchFXPythonDecoder.from_exported_program(program)
    return frontend.convert(frontend.load(decoder))


def choose_precision(options: EngineOptions, native: tuple[str, ...]) -> Precision:
    """The precision asked for, or the fastest one the CPU computes natively.

    Raises:
        EngineUnavailable: the CPU does not compute in the precision asked for.
    """
    if options.precision is None:
        return "bfloat16" if "BF16" in native else "float32"
    if options.precision == "float32" or (options.precision == "bfloat16" and "BF16" in native):
        return options.precision
    if options.precision == INT8 and "INT8" in native:
        return options.precision
    raise EngineUnavailable("openvino", f"this CPU does not compute in {options.precision}", "use float32")


class OpenVinoEngine:
    """One synchronous inference request; the library spreads a batch over its threads."""

    name = "openvino"

    def __init__(self, compiled: Any, precision: str, size: int, max_batch: int) -> None:
        self.precision = precision
        self.device = hardware.cpu_name()
        self.max_batch = max_batch
        self._size = size
        self._threads = compiled.get_property("INFERENCE_NUM_THREADS")
        self._request: Any = compiled.create_infer_request()

    def describe(self) -> str:
        """One line for people."""
        version = metadata.version("openvino")
        where = f"{self.device}, {self._threads} threads, up to {self.max_batch} crops"
        return f"openvino {version}, {self.precision} on {where}"

    def infer(self, crops: UInt8Array) -> UInt8Array:
        """Judge crops; see `Engine.infer`."""
        if self._request is None:
            raise EngineFailed(self.name, "the engine is closed", "build it again")
        crops = check_crops(self.name, crops, self._size, self.max_batch)
        with foreign_errors(self.name, f"judging {len(crops)} crops"):
            # Shared both ways: the input is read during the call only, and `to_bytes` makes the copy that is kept.
            answer = self._request.infer([crops], share_inputs=True, share_outputs=True)
            return to_bytes(self.name, answer[0])

    def close(self) -> None:
        """Free the request and the compiled network."""
        self._request = None


class OpenVinoFactory:
    """Registered as `openvino`."""

    name = "openvino"
    rank = 20
    compiled = True

    def probe(self) -> Probe:
        """Available where the library loads and knows the CPU."""
        try:
            native = capabilities()
        except Exception as error:
            return Probe(self.name, False, f"openvino cannot be used ({type(error).__name__}: {error})")
        best = choose_precision(EngineOptions(), native)
        return Probe(self.name, True, f"openvino {metadata.version('openvino')}, {best} on this CPU")

    def traits(self, options: EngineOptions) -> dict[str, str]:
        """What the compiled files and their answers depend on besides the model."""
        return {
            "precision": choose_precision(options, capabilities()),
            "device": hardware.cpu_name(),
            "openvino": metadata.version("openvino"),
            "torch": torch.__version__,
            "graph": GRAPH,
        }

    def compile(self, model: LoadedModel, options: EngineOptions, folder: Path) -> None:
        """Write `model.xml` and `model.bin` into `folder`.

        Raises:
            EngineFailed: the network cannot be converted.
        """
        library = openvino()
        size = model.spec.size
        network = enlarged_by_matrices(grouped(copy.deepcopy(model.network)), size)
        guard = Guard(model.spec, network).eval()
        with foreign_errors(self.name, "converting the network"), quiet():
            graph = _convert(export_guard(guard, size, max(options.max_batch, 2)))
            graph.reshape({0: library.PartialShape([-1, size, size, 3])})
            if options.precision == INT8:
                graph = quantised(graph, options.calibration)
            # Half-precision storage would round weights that were never half: parity is checked on these files.
            library.save_model(graph, folder / "model.xml", compress_to_fp16=False)

    def load(self, model: LoadedModel, options: EngineOptions, folder: Path) -> OpenVinoEngine:
        """The engine of the files in `folder`.

        Raises:
            EngineFailed: they cannot be loaded.
            EngineUnavailable: the CPU does not compute in the precision asked for.
        """
        native = capabilities()
        precision = choose_precision(options, native)
        # What is not quantised is computed in the fastest float.
        floating = choose_precision(EngineOptions(), native) if precision == INT8 else precision
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": _HINTS[floating]}
        if options.threads is not None:
            config["INFERENCE_NUM_THREADS"] = options.threads
        with foreign_errors(self.name, "loading the compiled network"):
            compiled = core().compile_model(core().read_model(folder / "model.xml"), "CPU", config)
            return OpenVinoEngine(compiled, precision, model.spec.size, options.max_batch)
