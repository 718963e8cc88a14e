"""Held-out crops: as they are live, evenly taken, and what a network reaches on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamguard.errors import DataError
from streamguard.models import LoadedModel
from streamguard.training.held_out import HeldOutCrops
from streamguard.training.pack import CropPack, write_crop_pack
from tests.support.portraits import green_detector
from tests.support.training_data import example, held_packs, tiny_model, write_packs

MARGIN = 1.3


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> HeldOutCrops:
    return HeldOutCrops(held_packs(write_packs(tmp_path_factory.mktemp("packs"))), MARGIN)


@pytest.fixture(scope="module")
def green() -> LoadedModel:
    return green_detector()


def test_crops_are_as_they_are_live(crops: HeldOutCrops) -> None:
    assert [(crop.set, crop.fake) for crop in crops.crops] == [
        *[("loose", True)] * 2,
        ("loose", False),
        *[("real", False)] * 2,
        *[("swaps", False), ("swaps", True)] * 2,
    ]
    for number, crop in enumerate(crops.crops):
        assert crop.pixels.shape == (256, 256, 3)
        paired = crop.set == "swaps" and crop.fake
        assert (crop.mask is not None) == paired
        assert crop.pair == (number - 1 if paired else -1)
        if crop.mask is not None:
            changed = np.abs(crop.pixels.astype(int) - crops.crops[crop.pair].pixels).max(axis=2) > 20
            assert (changed & (crop.mask > 0)).sum() > 0.9 * changed.sum()


def test_figures_of_an_exact_detector(crops: HeldOutCrops, green: LoadedModel) -> None:
    figures = crops.measure(green)
    assert list(figures) == ["loose", "loose/Diffusion", "loose/Lips", "swaps"]
    assert all(type(name) is str for name in figures)
    assert figures["swaps"].auc == figures["loose"].auc == figures["loose/Lips"].auc == 1
    assert figures["swaps"].within == 1
    assert figures["swaps"].dice is not None
    assert figures["swaps"].dice > 0.9
    assert (figures["swaps"].fakes, figures["swaps"].reals) == (2, 2)
    assert (figures["loose"].fakes, figures["loose"].reals) == (2, 1)
    assert figures["loose"].dice is None
    assert figures["loose"].within is None


def test_a_set_without_real_faces_is_told_from_all_of_them(tmp_path: Path, green: LoadedModel) -> None:
    write_crop_pack(tmp_path / "a", [example(0, "ann", "fake", "a")])
    write_crop_pack(tmp_path / "b", [example(n, "bob", "real", "b") for n in range(3)])
    figures = HeldOutCrops([CropPack(tmp_path / name) for name in "ab"], MARGIN).measure(green)
    assert list(figures) == ["a"]
    assert (figures["a"].auc, figures["a"].reals) == (1, 3)


def test_a_real_picture_of_several_fakes_is_one_crop(tmp_path: Path) -> None:
    one = example(0)
    write_crop_pack(tmp_path / "s", [one, replace(one, fake=example(1).fake, program="other")])
    crops = HeldOutCrops([CropPack(tmp_path / "s")], MARGIN).crops
    assert [crop.fake for crop in crops] == [False, True, True]
    assert [crop.pair for crop in crops] == [-1, 0, 0]


def test_no_more_than_wanted_are_taken_evenly(tmp_path: Path) -> None:
    write_crop_pack(tmp_path / "s", [example(n, f"g{n}", "real", "s", "ab"[n % 2]) for n in range(14)])
    pack = CropPack(tmp_path / "s")
    assert [crop.group for crop in HeldOutCrops([pack], MARGIN, most=3).crops] == ["g0", "g6", "g12", "g1", "g7", "g13"]
    assert len(HeldOutCrops([pack], MARGIN).crops) == 14
    assert HeldOutCrops([pack], MARGIN, sets=["elsewhere"]).crops == []


def test_nothing_to_measure_on(tmp_path: Path) -> None:
    write_crop_pack(tmp_path / "s", [example(0, kind="real", set_="s")])
    packs = [CropPack(tmp_path / "s")]
    assert HeldOutCrops(packs, MARGIN, sets=["elsewhere"]).measure(tiny_model()) == {}
    assert HeldOutCrops(packs, MARGIN).measure(tiny_model()) == {}


def test_a_damaged_picture_is_told(tmp_path: Path) -> None:
    write_crop_pack(tmp_path / "s", [replace(example(0), fake=b"damaged")])
    with pytest.raises(DataError, match="picture 1: cannot be decoded"):
        HeldOutCrops([CropPack(tmp_path / "s")], MARGIN)
