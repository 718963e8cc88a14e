"""Norms that are taken into the convolutions before them: the same network, in every mode."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from streamguard.models import efficientnet_lite
from streamguard.models.efficientnet_lite import FrozenNorms
from streamguard.models.networks import fresh
from streamguard.models.unet_lite0 import UnetLite0


def shaken(seed: int = 0) -> UnetLite0:
    """A network whose norms have statistics, scales and offsets of their own."""
    torch.manual_seed(seed)
    network = UnetLite0(8)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm2d) and part.running_mean is not None and part.running_var is not None:
            part.running_mean.normal_(0, 0.3)
            part.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(part.weight, 0.6, 1.4)
            nn.init.normal_(part.bias, 0, 0.3)
    return network


def answers(network: UnetLite0, pixels: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """What the network says in training, and the gradient of each weight."""
    network.train()
    network.zero_grad()
    said = network(pixels)
    said.square().mean().backward()
    return said.detach(), {name: part.grad for name, part in network.named_parameters() if part.grad is not None}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_the_plain_sequence(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    network, pixels = shaken().to(dtype), torch.randn(2, 3, 64, 64, dtype=dtype)
    folded, quick = answers(network, pixels)
    monkeypatch.setattr(FrozenNorms, "forward", nn.Sequential.forward)
    plain, slow = answers(network, pixels)
    bound = 1e-9 if dtype == torch.float64 else 1e-3
    assert float((folded - plain).abs().max() / plain.abs().max()) < bound
    assert quick.keys() == slow.keys() == {name for name, _ in network.named_parameters()}
    for name, gradient in slow.items():
        assert float((quick[name] - gradient).norm()) <= bound * float(gradient.norm()) + 1e-12, name


def test_statistics_stay_and_are_used() -> None:
    network, pixels = shaken(), torch.randn(2, 3, 64, 64)
    before = {name: value.clone() for name, value in network.encoders.named_buffers()}
    network.train()
    trained = [pixels]
    for encoder in network.encoders:
        trained.append(encoder(trained[-1]))
    assert all(torch.equal(value, before[name]) for name, value in network.encoders.named_buffers())
    network.eval()
    for encoder, given, result in zip(network.encoders, trained, trained[1:], strict=False):
        assert torch.allclose(encoder(given), result, atol=1e-4 * float(result.detach().abs().max()))


def test_a_norm_that_learns_its_statistics_is_left_alone() -> None:
    block = efficientnet_lite.InvertedResidual(8, 8, 6, 3, 1).train()
    assert all(part.training for part in block.modules())
    plain = nn.Sequential(*block.body)
    pixels = torch.randn(4, 8, 8, 8)
    before = {name: value.clone() for name, value in block.state_dict().items()}
    folded = block.body(pixels)
    block.load_state_dict(before)
    assert torch.equal(folded, plain(pixels))
    assert not torch.equal(block.state_dict()["body.1.running_mean"], before["body.1.running_mean"])


def test_evaluation_and_export_see_the_plain_sequence(monkeypatch: pytest.MonkeyPatch) -> None:
    network = efficientnet_lite.InvertedResidual(8, 8, 6, 3, 1).eval()
    pixels = torch.randn(1, 8, 16, 16)

    def graph() -> str:
        return str(torch.export.export(network, (pixels,)).graph)

    with torch.no_grad():
        said, drawn = network(pixels), graph()
        monkeypatch.setattr(FrozenNorms, "forward", nn.Sequential.forward)
        assert torch.equal(said, network(pixels))
        assert drawn == graph()
    assert "batch_norm" in drawn


def test_names_of_the_weights_are_those_of_the_plain_sequence() -> None:
    names = set(fresh("unet_lite0").network.state_dict())
    assert {"encoders.0.0.weight", "encoders.0.1.running_mean", "encoders.1.0.body.0.weight"} <= names
