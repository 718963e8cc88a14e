"""Twins: real faces rendered again, pixel for pixel in their place. The weights here are random ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from streamguard.errors import DataError
from streamguard.training.pack import CropPack, open_packs, write_crop_pack
from streamguard.training.twins import BANDS, Taef2, levelled, make_twins, twin_examples
from tests.support.training_data import example, views, write_packs


def shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """Names and shapes of the published weights, without any of them."""

    def block(place: str, pool: bool) -> dict[str, tuple[int, ...]]:
        found: dict[str, tuple[int, ...]] = {}
        for number in (0, 2, 4):
            found |= {f"{place}.conv.{number}.weight": (64, 64, 3, 3), f"{place}.conv.{number}.bias": (64,)}
        if pool:
            found |= {f"{place}.pool.0.weight": (256, 64, 1, 1), f"{place}.pool.3.weight": (64, 256, 1, 1)}
            found |= {f"{place}.pool.1.weight": (256,), f"{place}.pool.1.bias": (256,)}
        return found

    encoder = {"0.weight": (64, 3, 3, 3), "0.bias": (64,), **block("1", False)}
    for start, pool in ((2, False), (6, False), (10, True)):
        encoder[f"{start}.weight"] = (64, 64, 3, 3)
        for number in range(1, 4):
            encoder |= block(str(start + number), pool)
    encoder |= {"14.weight": (32, 64, 3, 3), "14.bias": (32,)}
    decoder = {"1.weight": (64, 32, 3, 3), "1.bias": (64,)}
    for start, pool in ((3, True), (8, False), (13, False)):
        for number in range(3):
            decoder |= block(str(start + number), pool)
        decoder[f"{start + 4}.weight"] = (64, 64, 3, 3)
    decoder |= {**block("18", False), "19.weight": (3, 64, 3, 3), "19.bias": (3,)}
    return {"encoder": encoder, "decoder": decoder}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, random = tmp_path_factory.mktemp("taef2"), torch.Generator().manual_seed(0)
    for name, layout in shapes().items():
        state = {
            key: (torch.randn(shape, generator=random) * (0.02 if len(shape) > 1 else 0.1)).half()
            for key, shape in layout.items()
        }
        save_file(state, folder / f"taef2_{name}.safetensors")
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes that a test has time for."""
    monkeypatch.setattr("streamguard.training.twins.SIDES", (64, 96))


@pytest.fixture(scope="module")
def renderer(weights: Path) -> Taef2:
    return Taef2(weights)


def nothing(*progress: object) -> None:
    pass


def test_the_renderer_keeps_the_size(renderer: Taef2) -> None:
    with torch.inference_mode():
        assert renderer(torch.rand(1, 3, 64, 96)).shape == (1, 3, 64, 96)
        assert renderer.encoder(torch.rand(1, 3, 64, 96)).shape == (1, 32, 8, 12)


def test_twins_lie_where_their_faces_do(weights: Path, tmp_path: Path) -> None:
    write_packs(tmp_path)
    told: list[tuple[str, int, int]] = []
    count = make_twins(tmp_path / "train", weights, 6, lambda *progress: told.append(progress))
    assert count == 6
    assert told[-1] == ("twins", 6, 6)
    pack = CropPack(tmp_path / "train" / "twins")
    assert set(pack.set) == {"twins"}
    assert set(pack.program) == {"TAEF2"}
    groups = {str(name) for found in open_packs(tmp_path / "train") for name in found.group}
    assert set(pack.group.tolist()) <= groups
    for number in range(len(pack)):
        real, twin = pack.picture(pack.real[number]), pack.picture(pack.fake[number])
        assert real.shape == twin.shape
        assert all(length % 8 == 0 for length in real.shape[:2])
        assert (pack.mask_of(pack.mask[number]) == 255).all()
        height, width = real.shape[:2]
        assert pack.inside[number].tolist() == [0, 0, width, height]
        # The landmarks went along: the nose lies between the eyes and over the mouth.
        left, right, nose, *mouth = pack.landmarks[number]
        assert left[0] < nose[0] < right[0]
        assert max(left[1], right[1]) < nose[1] < min(corner[1] for corner in mouth)
        x0, y0, x1, y1 = pack.box[number]
        assert 0 <= x0 < nose[0] < x1 <= width
        assert 0 <= y0 < nose[1] < y1 <= height
    # Made once.
    assert make_twins(tmp_path / "train", weights, 6, nothing) is None


def test_equal_seeds_give_equal_twins_of_sets_alike_often(renderer: Taef2, tmp_path: Path) -> None:
    write_crop_pack(tmp_path / "many", [example(n, f"m{n}", "real", "many") for n in range(9)])
    write_crop_pack(tmp_path / "one", [example(0, "lone", "real", "one")])
    packs = open_packs(tmp_path)
    first, again = (list(twin_examples(packs, renderer, 12, nothing, seed=3)) for _ in range(2))
    assert [each.fake for each in first] == [each.fake for each in again]
    assert 3 <= Counter(each.group for each in first)["lone"] <= 9


def test_colour_and_sharpness_are_those_of_the_real_face() -> None:
    """Or they would be what is learned."""
    real = views()[0]
    rendered = cv2.GaussianBlur(real, (0, 0), 1.5).astype(np.float32) * (0.8, 0.9, 1.1) + 12
    twin = levelled(real, rendered.astype(np.float32), np.random.default_rng(0))
    soft_real, soft_twin = (cv2.GaussianBlur(each.astype(np.float32), (0, 0), 8) for each in (real, twin))
    assert np.abs(soft_real - soft_twin).mean() < 3
    for sigma in BANDS[1:]:
        bands = [
            each.astype(np.float32) - cv2.GaussianBlur(each.astype(np.float32), (0, 0), sigma) for each in (real, twin)
        ]
        assert 0.6 < np.std(bands[1]) / np.std(bands[0]) < 1.4
    assert (levelled(real, real.astype(np.float32), np.random.default_rng(0)).astype(int) - real).std() < 1.5


def other(path: Path) -> None:
    state = load_file(path)
    del state["0.bias"]
    save_file(state, path)


@pytest.mark.parametrize(
    "damage", [Path.unlink, other, lambda path: path.write_bytes(b"none"), lambda path: path.write_bytes(b"")]
)
def test_weights_of_something_else_are_refused(weights: Path, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    for path in weights.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    damage(tmp_path / "taef2_encoder.safetensors")
    with pytest.raises(DataError, match=r"taef2_encoder.safetensors: not the weights"):
        Taef2(tmp_path)


def test_without_real_faces_there_are_no_twins(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no pack here"):
        make_twins(tmp_path, weights, 1, nothing)
    write_crop_pack(tmp_path / "s", [example(0, kind="fake")])
    with pytest.raises(DataError, match="no real face"):
        make_twins(tmp_path, weights, 1, nothing)
    assert not (tmp_path / "twins" / "index.npz").exists()
