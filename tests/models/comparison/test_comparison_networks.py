"""The classifiers of the comparison have the size and the shape that their papers give them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from streamguard.errors import UnknownModel
from streamguard.models.comparison import NETWORKS, fresh_network
from streamguard.models.comparison.efficientnet import SCALES, efficientnet

# Weights without the last layer, as published: the papers' layers end in 1,000 classes.
SIZES = {
    "meso4": 27_977 - 17,
    "resnet18": 11_689_512 - 513_000,
    "xception": 22_855_952 - 2_049_000,
    "efficientnet_b0": 5_288_548 - 1_281_000,
    "efficientnet_b1": 7_794_184 - 1_281_000,
    "efficientnet_b2": 9_109_994 - 1_409_000,
    "efficientnet_b3": 12_233_232 - 1_537_000,
    "efficientnet_b4": 19_341_616 - 1_793_000,
    "efficientnet_b5": 30_389_784 - 2_049_000,
    "efficientnet_b6": 43_040_704 - 2_305_000,
    "efficientnet_b7": 66_347_960 - 2_561_000,
}
QUICK = ("meso4", "resnet18", "resnet18_hidden", "xception", "efficientnet_b0", "conv_vit")


def weights(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def pictures(count: int = 2, side: int = 64) -> torch.Tensor:
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("name", SIZES)
def test_as_many_weights_as_published(name: str) -> None:
    with torch.device("meta"):
        network = NETWORKS[name].make(256)
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    assert last.out_features == 1
    assert weights(network) - weights(last) == SIZES[name]


def test_meso4_has_the_papers_27977_weights() -> None:
    assert weights(fresh_network("meso4")) == 27_977


def test_every_network_of_the_registry_is_known_here() -> None:
    assert set(NETWORKS) == set(SIZES) | set(QUICK)
    assert {f"efficientnet_{name}" for name in SCALES} < set(NETWORKS)


@pytest.mark.parametrize("name", QUICK)
def test_one_logit_a_picture_that_depends_on_that_picture_alone(name: str) -> None:
    network, batch = fresh_network(name, 64), pictures()
    with torch.inference_mode():
        both, first = network(batch), network(batch[:1])
        other = network(torch.cat([batch[:1], -batch[1:]]))
    assert both.shape == (2,)
    assert both.dtype == torch.float32
    assert torch.allclose(both[:1], first, atol=1e-4)
    assert torch.allclose(both[0], other[0], atol=1e-4)
    assert not torch.allclose(both[1], other[1], atol=1e-6)


@pytest.mark.parametrize("name", QUICK)
def test_all_weights_are_trained(name: str) -> None:
    network = fresh_network(name, 64).train()
    network(pictures(4)).square().sum().backward()
    # Stochastic depth may have left out a block of every picture.
    left_out = [key for key, value in network.named_parameters() if value.grad is None]
    assert left_out == []


@pytest.mark.parametrize("name", QUICK)
def test_fresh_weights_depend_on_the_seed_alone(name: str) -> None:
    state = torch.get_rng_state()
    one, two, other = (fresh_network(name, 64, seed).state_dict() for seed in (4, 4, 5))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_compound_scaling_makes_the_networks_wider_and_deeper() -> None:
    with torch.device("meta"):
        networks = [efficientnet(name) for name in SCALES]
    depths = [sum(isinstance(module, nn.Conv2d) for module in network.modules()) for network in networks]
    widths = [[module for module in network.modules() if isinstance(module, nn.Linear)][-1] for network in networks]
    assert depths == sorted(depths)
    assert [each.in_features for each in widths] == [1280, 1280, 1408, 1536, 1792, 2048, 2304, 2560]


def test_stochastic_depth_leaves_out_in_training_only() -> None:
    network = efficientnet("b0")
    batch = pictures(4)
    torch.manual_seed(1)
    assert not torch.equal(network.train()(batch), network(batch))
    network.eval()
    with torch.inference_mode():
        assert torch.equal(network(batch), network(batch))


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(UnknownModel, match="Choose one of meso4, resnet18"):
        fresh_network("alexnet")
