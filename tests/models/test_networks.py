"""The networks, and the graph that engines compile."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from streamguard.errors import UnknownModel
from streamguard.models import networks
from streamguard.models.engine_graph import EngineGraph
from streamguard.models.unet import unet
from tests.support.portraits import green_detector, painted_green, portrait


@pytest.mark.parametrize(("features", "steps", "parameters"), [(32, 5, 7_763_041), (16, 6, 7_778_609), (1, 2, 144)])
@pytest.mark.parametrize("side", [64, 96])
def test_shapes(features: int, steps: int, parameters: int, side: int) -> None:
    network = unet(features, steps).eval()
    with torch.inference_mode():
        logits = network(torch.zeros(2, 3, side, side))
    assert logits.shape == (2, 1, side, side)
    deepest = network.encoders[-1][3].out_channels
    assert (network.head.in_channels, deepest) == (features, features * 2 ** (steps - 1))
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_a_pictures_sharpness_and_exposure_do_not_reach_past_the_picture_norm() -> None:
    network = unet(4, 3, picture_norms=1).eval()
    crop = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        plain, brighter = network.encoders[0](crop), network.encoders[0](3 * crop)
        batch = network(torch.cat([crop, torch.rand_like(crop)]))
    # Padding is black whatever the exposure: the border alone may differ.
    assert torch.allclose(plain[..., 2:-2, 2:-2], brighter[..., 2:-2, 2:-2], atol=1e-2)
    assert torch.allclose(batch[0], network(crop)[0], atol=1e-5)
    assert not any(isinstance(part, torch.nn.BatchNorm2d) for part in network.encoders[0])
    assert any(isinstance(part, torch.nn.BatchNorm2d) for part in network.encoders[1])


def test_the_graph_is_normalisation_network_and_sigmoid() -> None:
    random = np.random.default_rng(1)
    crops = random.integers(0, 256, (3, 32, 32, 3), np.uint8)
    spec = replace(networks.fresh("unet_v1").spec, mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))
    network = unet(2, 3).eval()
    normalised = (crops / 255 - np.array(spec.mean)) / np.array(spec.std)
    with torch.inference_mode():
        expected = 1 / (1 + torch.exp(-network(torch.tensor(normalised.transpose(0, 3, 1, 2), dtype=torch.float32))))
        got = EngineGraph(spec, network).eval()(torch.from_numpy(crops))
    assert got.shape == (3, 32, 32)
    assert torch.allclose(got, expected[:, 0], atol=1e-5)


def test_the_graph_keeps_only_the_networks_weights() -> None:
    network = unet(1, 2)
    assert set(EngineGraph(green_detector().spec, network).state_dict()) == {
        f"network.{key}" for key in network.state_dict()
    }


@pytest.mark.parametrize(("name", "shape"), [("unet", (32, 5)), ("unet_v1", (16, 6)), ("unet_lite0", (16, 6))])
def test_fresh_weights_depend_on_the_seed_alone(name: str, shape: tuple[int, int]) -> None:
    state = torch.get_rng_state()
    one, two, other = (networks.fresh(name, seed) for seed in (4, 4, 5))
    assert torch.equal(torch.get_rng_state(), state)
    assert (one.spec.features, one.spec.steps) == shape
    assert one.spec.digest == two.spec.digest != other.spec.digest
    pairs = zip(one.network.parameters(), two.network.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(one.network.head.weight, other.network.head.weight)
    assert not one.network.training


def test_fresh_of_an_unknown_shape() -> None:
    with pytest.raises(UnknownModel, match="unet, unet_lite0, unet_v1"):
        networks.fresh("resnet")


def test_the_test_detector_sees_green_and_nothing_else() -> None:
    guard = EngineGraph(green_detector().spec, green_detector().network).eval()
    crops = np.stack([picture[0:256, 96:352] for picture in (portrait(), painted_green(portrait()))])
    with torch.inference_mode():
        real, fake = (guard(torch.from_numpy(crops)) > 0.5).sum(dim=(1, 2)).tolist()
    assert real < 50
    assert fake > 3000
