"""Graphs that are written by hand answer as the networks do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from streamguard.errors import CorruptWeights
from streamguard.inference.openvino_graph import openvino_graph
from streamguard.models import LoadedModel
from streamguard.models.architectures import build
from streamguard.models.engine_graph import EngineGraph
from streamguard.models.networks import fresh
from streamguard.openvino_runtime import core

SHAPES = {
    "unet_lite0": ("unet_lite0", {"features": 4, "size": 128, "working_side": 0}),
    "at a smaller side": ("unet_lite0", {"features": 4, "size": 128, "working_side": 96}),
    "two networks": ("unet_lite0", {"features": 2, "size": 64, "working_side": 0, "members": 2}),
    "unet": ("unet_v1", {"features": 3, "steps": 4, "size": 64, "picture_norms": 0}),
    "unet with norms in the picture": ("unet_v1", {"features": 1, "steps": 3, "size": 64, "picture_norms": 2}),
    "two unets": ("unet_v1", {"features": 2, "steps": 2, "size": 32, "members": 2}),
}


def some_model(name: str) -> LoadedModel:
    """A network whose norms all do something, and whose answers differ from place to place."""
    shape, changes = SHAPES[name]
    spec = replace(fresh(shape).spec, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), **changes)  # type: ignore[arg-type]  # several types
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(7)
        network = build(spec)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
            if isinstance(module, nn.BatchNorm2d | nn.InstanceNorm2d):
                module.weight.uniform_(0.5, 1.5)
                module.bias.normal_(0, 0.2)
    return LoadedModel(spec, network)


@pytest.mark.parametrize("name", SHAPES)
def test_a_graph_answers_as_its_network_does(name: str) -> None:
    model = some_model(name)
    size = model.spec.size
    crops = np.random.default_rng(3).integers(0, 256, (3, size, size, 3), dtype=np.uint8)
    with torch.inference_mode():
        truth = EngineGraph(model.spec, model.network).eval()(torch.from_numpy(crops)).numpy()
    graph = openvino_graph(model.spec, model.weights())
    request = core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}).create_infer_request()
    for count in (1, 3):
        answer = request.infer([crops[:count]])[0]
        assert answer.shape == (count, size, size)
        assert np.abs(answer - truth[:count]).max() < 1e-4 * max(float(truth.std()), 0.01) + 1e-6


@pytest.mark.parametrize("name", ["unet_lite0", "unet"])
def test_weights_of_another_network_are_refused(name: str) -> None:
    model = some_model(name)
    weights = dict(model.weights())
    with pytest.raises(CorruptWeights, match="do not fit"):
        openvino_graph(model.spec, {**weights, "more.weight": np.zeros(1, np.float32)})
    with pytest.raises(CorruptWeights, match="do not fit"):
        openvino_graph(replace(model.spec, features=5), weights)
    weights.pop("head.weight")
    with pytest.raises(CorruptWeights, match="do not fit"):
        openvino_graph(model.spec, weights)
