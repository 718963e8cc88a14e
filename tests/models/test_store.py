"""Detectors on disk."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streamguard import models
from streamguard.errors import ConfigError, CorruptWeights, OutputError, UnknownModel
from streamguard.inference.openvino_graph import openvino_graph
from streamguard.models import LoadedModel, networks
from streamguard.models.architectures import build
from tests.support.portraits import green_detector


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of detectors with `green` in it."""
    networks.save(green_detector(), tmp_path / "green")
    return tmp_path


def rehash(place: Path) -> None:
    """Make the spec name the weights as they are now."""
    spec = place / "spec.toml"
    old = spec.read_text().split('sha256 = "')[1][:64]
    spec.write_text(
        spec.read_text().replace(old, hashlib.sha256((place / "weights.safetensors").read_bytes()).hexdigest())
    )


def test_what_is_saved_is_loaded(folder: Path) -> None:
    before = green_detector()
    loaded = models.load("green", folder)
    assert models.available(folder) == ("green",)
    assert loaded.spec.folder == folder / "green"
    assert replace(loaded.spec, folder=None, digest="", weights_sha256="") == replace(before.spec, digest="")
    for key, value in loaded.network.state_dict().items():
        assert torch.equal(value, before.network.state_dict()[key].half().to(value.dtype)), key
    assert not loaded.network.training
    assert {path.name for path in (folder / "green").iterdir()} == {"spec.toml", "weights.safetensors"}


def test_a_path_serves_as_a_name(folder: Path) -> None:
    assert models.load(str(folder / "green")).spec.digest == models.load("green", folder).spec.digest


def test_the_digest_names_spec_and_weights(folder: Path) -> None:
    first = models.load("green", folder).spec.digest
    model = green_detector()
    networks.save(LoadedModel(replace(model.spec, threshold=0.6), model.network), folder / "green")
    second = models.load("green", folder).spec.digest
    with torch.no_grad():
        model.network.head.bias += 1
    networks.save(model, folder / "green")
    assert len({first, second, models.load("green", folder).spec.digest}) == 3


@pytest.mark.parametrize("name", ["nothing", "../green", "", "green/spec.toml", "no\nname"])
def test_an_unknown_model(folder: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A path from the working folder also names a detector: from here none of these does.
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownModel, match="green") as caught:
        models.load(name, folder)
    assert "\n" not in str(caught.value)


def test_a_folder_without_detectors(tmp_path: Path) -> None:
    with pytest.raises(UnknownModel, match="none"):
        models.load("unet", tmp_path)


@pytest.mark.parametrize("damage", ["missing", "flipped", "truncated", "empty", "not safetensors"])
def test_damaged_weights(folder: Path, damage: str) -> None:
    path = folder / "green" / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"flipped": bytes(data), "truncated": data[:-20], "empty": b""}.get(damage, b"weights"))
    with pytest.raises(CorruptWeights) as caught:
        models.load("green", folder)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("damage", ["truncated", "other network", "not safetensors", "no key left out"])
def test_weights_that_do_not_fit_in_spite_of_their_hash(folder: Path, damage: str) -> None:
    place = folder / "green"
    path = place / "weights.safetensors"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-20])
    elif damage == "not safetensors":
        path.write_bytes(b"weights")
    else:
        spec = replace(green_detector().spec, features=2 if damage == "other network" else 1, steps=3)
        networks.save(LoadedModel(spec, build(spec)), folder / "other")
        path.write_bytes((folder / "other" / "weights.safetensors").read_bytes())
    rehash(place)
    with pytest.raises(CorruptWeights, match=r"do not fit|no weights"):
        openvino_graph(models.load("green", folder).spec, models.load("green", folder).weights())
    with pytest.raises(CorruptWeights, match=r"do not fit|no weights"):
        _ = models.load("green", folder).network


def test_a_spec_with_an_unknown_key(folder: Path) -> None:
    spec = folder / "green" / "spec.toml"
    spec.write_text(spec.read_text() + "\n[rules]\n")
    with pytest.raises(ConfigError, match="unknown key `rules`"):
        models.load("green", folder)


def test_weights_that_are_no_numbers_are_not_loaded(folder: Path) -> None:
    model = green_detector()
    with torch.no_grad():
        model.network.head.bias.fill_(float("nan"))
    networks.save(model, folder / "green")
    with pytest.raises(CorruptWeights, match="not finite"):
        models.load("green", folder)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        networks.save(green_detector(), tmp_path / "file" / "green")


def test_the_shipped_detectors_load() -> None:
    for name in models.available():
        assert models.load(name).spec.name == name
