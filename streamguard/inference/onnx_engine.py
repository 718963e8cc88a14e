"""Somebody else's classifier or segmenter, as an ONNX file, in the place of one of ours: run by OpenVINO in float32.

It is no entry of the registry: there is no reference to verify it against, and it is used to be measured, not shipped.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from streamguard.errors import CorruptWeights, EngineError, EngineFailed, ModelError, UnknownModel
from streamguard.inference import hardware
from streamguard.inference.engine import MAX_BATCH, check_crops, foreign_errors, to_bytes
from streamguard.inference.onnx_layout import SQUASH, Layout, Meaning, is_map, maps_of, pixel_threshold
from streamguard.inference.parity import parity_crops
from streamguard.models import LoadedModel, ModelSpec
from streamguard.openvino_runtime import core, openvino
from streamguard.types import UInt8Array

CROP = 256
_USUAL = 256


class OnnxEngine:
    """One network of an ONNX file; see `inference.Engine`.

    Args:
        path: the file.
        layout: how it wants its pictures.
        meaning: what it answers.
        fake: which of two classes is the fake one, 0 or 1.
        threads: CPU threads; None lets the library take what the process may use.

    Raises:
        UnknownModel: there is no such file.
        CorruptWeights: it is no ONNX file, or OpenVINO cannot compile it.
        ModelError: it does not take one picture in that layout, or its answers do not fit `meaning`.
    """

    name = "onnx"
    precision = "float32"
    max_batch = MAX_BATCH

    def __init__(
        self, path: Path, layout: Layout, meaning: Meaning, *, fake: int = 1, threads: int | None = None
    ) -> None:
        self._path, self._layout, self._meaning, self._fake = path, layout, meaning, fake
        self.device = hardware.cpu_name()
        network = _read(path)
        self._size, self._one_by_one = _fitted(path, network, layout)
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        if threads is not None:
            config["INFERENCE_NUM_THREADS"] = threads
        try:
            self._request: Any = core().compile_model(network, "CPU", config).create_infer_request()
        except Exception as error:
            raise CorruptWeights(
                str(path), f"OpenVINO cannot compile it ({_said(error)})", "export it again"
            ) from error
        try:
            # What does not fit is known before hours of work, on pictures of a real face.
            self.infer(parity_crops(CROP)[:2])
        except EngineError as error:
            raise ModelError(str(path), error.cause, error.remedy) from error

    def describe(self) -> str:
        """One line for people."""
        height, width = self._size
        return f"{self._path.name}, {width}x{height}, by openvino {metadata.version('openvino')} on {self.device}"

    def infer(self, crops: UInt8Array) -> UInt8Array:
        """Judge crops; see `Engine.infer`."""
        if self._request is None:
            raise EngineFailed(self.name, "the engine is closed", "build it again")
        crops = check_crops(self.name, crops, CROP, self.max_batch)
        parts = [crops[i : i + 1] for i in range(len(crops))] if self._one_by_one else [crops]
        with foreign_errors(self.name, f"judging {len(crops)} crops"):
            answers = []
            for part in parts:
                answer = np.array(self._request.infer([self._layout.arranged(part, self._size)])[0], dtype=np.float32)
                if answer.ndim == 0 or len(answer) != len(part):
                    # A lone number for one picture has lost its axis; for several it says nothing of each.
                    if len(part) > 1 or answer.size != 1:
                        cause = f"it answers {len(part)} pictures with the shape {list(answer.shape)}"
                        raise EngineFailed(self._path.name, cause, "export it with one answer for each picture")
                    answer = answer.reshape(1)
                answers.append(answer)
            whole = maps_of(self._path.name, np.concatenate(answers), self._meaning, self._fake, CROP)
            return to_bytes(self.name, whole)

    def close(self) -> None:
        """Free the request and the compiled network."""
        self._request = None


def onnx_model(
    path: Path, meaning: Meaning, like: ModelSpec, *, threshold: float = 0.5, margin: float = 1.4
) -> LoadedModel:
    """The spec that makes a guard cut and judge for such a network; it has no layers of its own.

    Args:
        path: the ONNX file; its name and hash become the model's.
        meaning: what the network answers.
        like: gives the limits of the quality gate, so that two networks are judged on the same faces.
        threshold: its own probability above which a picture, or a pixel, is fake, 0..1.
        margin: side of its crop as a multiple of the face box's longer side, at least 1.

    Raises:
        UnknownModel: there is no such file.
    """
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise _missing(path, error) from error
    spec = replace(
        like,
        name=re.sub(r"[^a-z0-9_]+", "_", path.stem.lower()).strip("_") or "onnx",
        description=f"an ONNX network that answers with a {meaning}",
        architecture="onnx",
        size=CROP,
        margin=margin,
        threshold=pixel_threshold(meaning, threshold),
        smallest_component=100 if is_map(meaning) else 0,
        unsure_threshold=None,
        calibration_slope=1.0 if is_map(meaning) else SQUASH,
        calibration_offset=0.0,
        weights_file=path.name,
        weights_sha256=digest,
        folder=None,
        digest=digest[:12],
    )
    return LoadedModel(spec, torch.nn.Identity())


def _read(path: Path) -> Any:
    try:
        size = path.stat().st_size
        path.open("rb").close()
    except OSError as error:
        raise _missing(path, error) from error
    openvino()
    from openvino.frontend import FrontEndManager

    network = None
    if size:
        try:
            # By name: `read_model` would take other formats, too, and say less.
            frontend = FrontEndManager().load_by_framework("onnx")
            network = frontend.convert(frontend.load(str(path)))
        except Exception as error:
            cause = f"is no ONNX file that OpenVINO can read ({_said(error)})"
            raise CorruptWeights(str(path), cause, "export the network to ONNX") from error
    if network is None or not network.inputs or not network.outputs:
        raise CorruptWeights(str(path), "is no ONNX file: it is empty", "export the network to ONNX")
    return network


def _fitted(path: Path, network: Any, layout: Layout) -> tuple[tuple[int, int], bool]:
    """Height and width of the input, and whether it takes one picture at a time; free sizes are fixed."""
    library = openvino()
    shape = network.inputs[0].partial_shape
    sides = "[N, 3, H, W]" if layout.channels_first else "[N, H, W, 3]"
    if len(network.inputs) != 1:
        names = ", ".join(port.any_name for port in network.inputs)
        raise ModelError(str(path), f"it has {len(network.inputs)} inputs ({names})", "export it with one, the picture")
    if shape.rank.is_dynamic or len(shape) != 4:
        raise ModelError(str(path), f"its input is {shape}, not {sides}", "export it with one picture a row")
    channels = shape[layout.channel_axis()]
    if channels.is_static and channels.get_length() != 3:
        other = "nhwc" if layout.channels_first else "nchw"
        elsewhere = shape[3 if layout.channels_first else 1]
        fits = elsewhere.is_static and elsewhere.get_length() == 3
        remedy = f"try a --layout that begins with {other}" if fits else "export it for pictures of three colours"
        raise ModelError(str(path), f"its input is {shape}, where the layout says {sides}", remedy)
    height, width = (shape[axis].get_length() if shape[axis].is_static else _USUAL for axis in layout.picture_axes())
    batch = shape[0].get_length() if shape[0].is_static else -1
    if batch not in (-1, 1):
        raise ModelError(str(path), f"it takes {batch} pictures at a time", "export it for one, or for any number")
    fixed = [batch, 3, height, width] if layout.channels_first else [batch, height, width, 3]
    try:
        network.reshape({network.inputs[0].any_name: library.PartialShape(fixed)})
    except Exception as error:
        raise ModelError(
            str(path), f"it does not take pictures of {fixed} ({_said(error)})", "export it again"
        ) from error
    return (height, width), batch == 1


def _missing(path: Path, error: OSError) -> UnknownModel:
    return UnknownModel(str(path), f"cannot be read ({error.strerror})", "check the path")


def _said(error: Exception) -> str:
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1][:160]}" if lines else type(error).__name__
