"""The detector as an ONNX file, for contestants with runtimes of their own."""

from __future__ import annotations

import copy
from pathlib import Path

import torch

from streamguard.inference.export import quiet
from streamguard.models import LoadedModel
from streamguard.models.engine_graph import EngineGraph


def export_onnx(model: LoadedModel, path: Path) -> None:
    """Write the whole graph: `crops` uint8 [N, size, size, 3] RGB -> `probability` float32 [N, size, size].

    Raises:
        OSError: the file cannot be written.
    """
    guard = EngineGraph(model.spec, copy.deepcopy(model.network)).eval()
    crops = torch.zeros(2, model.spec.size, model.spec.size, 3, dtype=torch.uint8)
    axes = {"crops": {0: "n"}, "probability": {0: "n"}}
    with quiet(), torch.no_grad():
        # The newer exporter needs a package of its own; this one is part of PyTorch.
        torch.onnx.export(
            guard, (crops,), str(path), dynamo=False, opset_version=17, dynamic_axes=axes,
            input_names=["crops"], output_names=["probability"],
        )  # fmt: skip
