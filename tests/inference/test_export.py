"""Graphs for other people's compilers give the same answers."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from streamguard.errors import OutputError
from streamguard.inference.export import enlarged_by_matrices, export_onnx
from streamguard.models import Guard, LoadedModel, fresh
from streamguard.openvino_runtime import core


@pytest.mark.parametrize("side", [160, 256])
def test_enlarging_by_matrices_is_enlarging(side: int) -> None:
    network = fresh("unet_lite0", 1).network.eval()
    picture = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(3))
    other = enlarged_by_matrices(copy.deepcopy(network), side)
    with torch.inference_mode():
        assert torch.allclose(network(picture), other(picture), atol=1e-4)
    assert other.state_dict().keys() == network.state_dict().keys()


def test_the_onnx_file_takes_any_number_of_crops(model: LoadedModel, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    export_onnx(model, path)
    crops = np.random.default_rng(1).integers(0, 256, (3, 256, 256, 3), dtype=np.uint8)
    with torch.inference_mode():
        expected = Guard(model.spec, model.network).eval()(torch.from_numpy(crops)).numpy()
    request = core().compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    for count in (1, 3):
        assert np.abs(request.infer([crops[:count]])[0] - expected[:count]).max() < 1e-3


def test_an_onnx_file_that_cannot_be_written_is_told(model: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        export_onnx(model, tmp_path / "no folder" / "network.onnx")
