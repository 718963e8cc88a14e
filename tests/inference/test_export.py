"""Graphs for other people's compilers give the same answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from streamguard.models import LoadedModel
from streamguard.models.engine_graph import EngineGraph
from streamguard.openvino_runtime import core
from tests.benchmarks.onnx_export import export_onnx


def test_the_onnx_file_takes_any_number_of_crops(model: LoadedModel, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    export_onnx(model, path)
    crops = np.random.default_rng(1).integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = EngineGraph(model.spec, model.network).eval()(torch.from_numpy(crops)).numpy()
    request = core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    for count in (1, 3):
        assert np.abs(request.infer([crops[:count]])[0] - expected[:count]).max() < 1e-3
