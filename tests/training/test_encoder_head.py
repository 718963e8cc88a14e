"""The training-only head: it sees every encoder step, teaches the encoder, and leaves nothing in the network."""

from __future__ import annotations

import torch

from streamguard.models.networks import fresh
from streamguard.models.unet import UnetGraph, unet
from streamguard.models.unet_lite0 import UnetLite0
from streamguard.training.encoder_head import EncoderHead
from streamguard.training.loss import presence_loss
from streamguard.training.trainer import encoder_channels


def test_sees_every_step_in_training_and_none_in_evaluation() -> None:
    network = unet(4, 3)
    before = set(network.state_dict())
    head = EncoderHead(network.encoders, 4 + 8 + 16)
    network.train()
    network(torch.randn(2, 3, 32, 32))
    logits = head()
    assert logits.shape == (2,)
    assert torch.equal(logits, torch.zeros(2))
    network.eval()
    network(torch.randn(2, 3, 32, 32))
    assert head._seen == []
    assert set(network.state_dict()) == before


def test_its_loss_reaches_the_first_filters() -> None:
    torch.manual_seed(0)
    network = unet(4, 3).train()
    head = EncoderHead(network.encoders, 28)
    torch.nn.init.normal_(head.linear.weight)
    network(torch.randn(4, 3, 32, 32))
    presence_loss(head(), torch.tensor([1.0, 0.0, 1.0, 0.0])).backward()  # type: ignore[no-untyped-call]
    first = next(network.parameters())
    assert first.grad is not None
    assert first.grad.abs().sum() > 0


def test_its_channels_are_those_of_every_step() -> None:
    for name in ("unet_v1", "unet_lite0"):
        network = fresh(name).network.train()
        assert isinstance(network, UnetGraph | UnetLite0)
        head = EncoderHead(network.encoders, encoder_channels(network))
        network(torch.randn(2, 3, 64, 64))
        assert head().shape == (2,)
