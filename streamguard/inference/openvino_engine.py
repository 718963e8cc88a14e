"""OpenVINO on the CPU: bfloat16 where the processor computes it (AMX or AVX512_BF16), float32 otherwise.

The graph is written from the weights (`openvino_graph`) and kept as OpenVINO IR (`model.xml`, `model.bin`) with a free
batch dimension. One thread, crops/s at batches of 1 to 8 (AMD Zen 4, AVX512_BF16): Unet_v1 28 and Unet 9 in
bfloat16, 14 and 4.5 in float32, 11 and 3.6 in eager PyTorch.

Threads that share one crop wait for each other by spinning. Two of them answered for a crop of unet_lite0 (one network)
after 5.5 ms and took 11.2 ms of CPU time; one took 6.6 ms and answered after 6.9. So each request has one thread, and a
batch is dealt out among several. Only a network that is slow on one thread is given all of them for each crop.
"""

from __future__ import annotations

import os
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from streamguard.errors import EngineFailed, EngineUnavailable
from streamguard.inference import hardware
from streamguard.inference.engine import EngineOptions, Precision, Probe, check_crops, foreign_errors, to_bytes
from streamguard.inference.openvino_graph import openvino_graph
from streamguard.inference.quantise import quantised
from streamguard.models import LoadedModel
from streamguard.openvino_runtime import core, openvino
from streamguard.types import UInt8Array

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
INT8 = "int8"
_STREAMS = "NUM_STREAMS"
_SLOW = 0.025
"""Seconds for a crop on one thread from which on all threads are given to each."""
GRAPH = "5"
"""Version of what is written here: files made by an older one are made again."""


def capabilities() -> tuple[str, ...]:
    """Number formats that the CPU computes natively, in OpenVINO's words: FP32, BF16, INT8 and so on."""
    return tuple(core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


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
    """Inference requests side by side, among which a batch is dealt out.

    Args:
        compiled: the compiled network.
        precision, size, max_batch: as of `Engine`; `size` is the crops' side in pixels.
    """

    name = "openvino"

    def __init__(self, compiled: Any, precision: str, size: int, max_batch: int) -> None:
        self.precision = precision
        self.device = hardware.cpu_name()
        self.max_batch = max_batch
        self._size = size
        self._threads = compiled.get_property("INFERENCE_NUM_THREADS")
        self._requests: list[Any] = [compiled.create_infer_request() for _ in range(compiled.get_property(_STREAMS))]

    def describe(self) -> str:
        """One line for people."""
        version = metadata.version("openvino")
        where = f"{self.device}, {self._threads} threads, up to {self.max_batch} crops"
        return f"openvino {version}, {self.precision} on {where}"

    def infer(self, crops: UInt8Array) -> UInt8Array:
        """Judge crops; see `Engine.infer`."""
        if not self._requests:
            raise EngineFailed(self.name, "the engine is closed", "build it again")
        crops = check_crops(self.name, crops, self._size, self.max_batch)
        with foreign_errors(self.name, f"judging {len(crops)} crops"):
            shares = np.array_split(crops, min(len(crops), len(self._requests)))
            begun = list(zip(self._requests, shares, strict=False))
            try:
                for request, share in begun:
                    # The input is read during the call only.
                    request.start_async([share], share_inputs=True)
            finally:
                # None may go on with the crops after the call, whatever became of the others.
                failed = [error for request, _ in begun if (error := _waited(request)) is not None]
            if failed:
                raise failed[0]
            # `to_bytes` makes the copy that is kept.
            answers = [to_bytes(self.name, request.get_output_tensor(0).data) for request, _ in begun]
            return np.concatenate(answers) if len(answers) > 1 else answers[0]

    def close(self) -> None:
        """Free the requests and the compiled network."""
        self._requests = []


def _waited(request: Any) -> Exception | None:
    """Wait for a request; what it failed with."""
    try:
        request.wait()
    except Exception as error:
        return error
    return None


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
        """Everything the compiled files and their answers depend on besides the model."""
        return {
            "precision": choose_precision(options, capabilities()),
            "device": hardware.cpu_name(),
            "openvino": metadata.version("openvino"),
            "graph": GRAPH,
        }

    def compile(self, model: LoadedModel, options: EngineOptions, folder: Path) -> None:
        """Write `model.xml` and `model.bin` into `folder`.

        Raises:
            EngineFailed: the graph cannot be written.
        """
        with foreign_errors(self.name, "writing the graph"):
            graph = openvino_graph(model.spec, model.weights())
            if options.precision == INT8:
                graph = quantised(graph, options.calibration)
            # Half-precision storage would round weights that were never half: parity is checked on these files.
            openvino().save_model(graph, folder / "model.xml", compress_to_fp16=False)

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
        threads = min(options.threads or len(os.sched_getaffinity(0)), options.max_batch)
        with foreign_errors(self.name, "loading the compiled network"):
            network = core().read_model(folder / "model.xml")

            def engine(config: dict[str, Any]) -> OpenVinoEngine:
                hints = {"INFERENCE_PRECISION_HINT": _HINTS[floating], "INFERENCE_NUM_THREADS": threads, **config}
                compiled = core().compile_model(network, "CPU", hints)
                return OpenVinoEngine(compiled, precision, model.spec.size, options.max_batch)

            side_by_side = engine({_STREAMS: threads})
            if threads == 1 or _seconds(side_by_side, model.spec.size) <= _SLOW:
                return side_by_side
            side_by_side.close()
            return engine({"PERFORMANCE_HINT": "LATENCY"})


def _seconds(engine: OpenVinoEngine, size: int) -> float:
    """Seconds for one crop: the least of a few tries, as others may be at work here."""
    crop = np.zeros((1, size, size, 3), np.uint8)
    taken = []
    for _ in range(4):
        began = time.perf_counter()
        engine.infer(crop)
        taken.append(time.perf_counter() - began)
    return min(taken)
