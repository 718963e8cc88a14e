"""The end of a run: thresholds, calibration, and a detector's folder that loads."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamguard import models
from streamguard.errors import DataError, OutputError
from streamguard.training.evaluation.metrics import Platt
from streamguard.training.held_out import HeldOutCrops
from streamguard.training.pack import CropPack, write_crop_pack
from streamguard.training.run import (
    FALSE_FRAMES,
    FEWEST_REALS,
    THRESHOLDS,
    UNSURE_FRAMES,
    ThresholdRow,
    draw_curve,
    finish,
    lowest,
    ship,
    threshold_rows,
)
from streamguard.training.trainer import Reached, Trainer
from tests.support.portraits import green_detector
from tests.support.training_data import (
    example,
    held_packs,
    micro_recipe,
    recipe_text,
    tiny_model,
    train_packs,
    write_packs,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


@pytest.fixture(scope="module")
def held(folder: Path) -> list[CropPack]:
    return held_packs(folder)


@pytest.fixture(scope="module")
def trainer(folder: Path, held: list[CropPack], tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    work = tmp_path_factory.mktemp("run")
    model = tiny_model()
    crops = HeldOutCrops(held, model.spec.margin)
    made = Trainer(micro_recipe(work), train_packs(folder), crops, work / "c.pt", model=model)
    made.run(lambda reached: None)
    return made


def test_the_folder_is_a_detector(held: list[CropPack], trainer: Trainer, tmp_path: Path) -> None:
    text, out = recipe_text().encode(), tmp_path / "out"
    outcome = finish(micro_recipe(tmp_path), text, trainer, held, out)
    names = {"reference.npz", "spec.toml", "weights.safetensors", "train.toml", "training.json", "training_curve.png"}
    assert {each.name for each in out.iterdir()} == names
    loaded = models.load(str(out))
    assert loaded.spec == outcome.spec
    assert loaded.spec.name == "micro"
    assert loaded.spec.threshold in THRESHOLDS
    assert loaded.spec.unsure_threshold is not None
    assert loaded.spec.unsure_threshold <= loaded.spec.threshold
    assert loaded.spec.calibration_slope > 0
    assert loaded.spec.least_sharpness > 0
    assert (out / "train.toml").read_bytes() == text
    facts = json.loads((out / "training.json").read_text())
    assert (facts["steps"], facts["patches"]) == (3, 6)
    assert [point["step"] for point in facts["curve"]] == [2, 3]
    assert [row["threshold"] for row in facts["thresholds"]] == list(THRESHOLDS)
    assert cv2.imread(str(out / "training_curve.png")) is not None


def test_a_toml_that_lies_in_the_folder_stays(held: list[CropPack], trainer: Trainer, tmp_path: Path) -> None:
    recipe = micro_recipe(tmp_path)
    path = (tmp_path / "micro.toml").rename(tmp_path / "train.toml")
    text = path.read_bytes()
    finish(recipe, text, trainer, held, tmp_path)
    assert path.read_bytes() == text
    assert models.load(str(tmp_path)).spec.name == "micro"


def test_an_exact_detector_finds_all_at_the_lowest_threshold(held: list[CropPack], tmp_path: Path) -> None:
    outcome = ship(green_detector(), "green", "Calls green pixels fake.", held, tmp_path / "out")
    assert outcome.held_out_auc == 1
    assert outcome.spec.threshold == outcome.spec.unsure_threshold == min(THRESHOLDS)
    first = outcome.thresholds[0]
    assert (first.recall, first.worst) == (1, 0)


def test_a_detector_that_knows_nothing_says_one_half(
    held: list[CropPack], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A falling calibration would turn its scores round; no spec may hold one."""
    monkeypatch.setattr("streamguard.training.run.fit_platt", lambda raw, labels: Platt(-0.7, 2.0))
    outcome = ship(green_detector(), "green", "", held, tmp_path / "out")
    assert 0 < outcome.spec.calibration_slope <= 0.001
    assert outcome.spec.calibration_offset == 0


def test_the_frame_rule_at_each_threshold() -> None:
    """By brute force: a map with a square above the threshold is called fake."""
    random = np.random.default_rng(0)
    labels = random.random(90) < 0.3
    sets = np.array(["a", "b"])[(np.arange(90) > 60).astype(int)]
    heights, maps = random.random(90), []
    for height in heights:
        each = np.zeros((32, 32), np.uint8)
        each[4:12, 4:12] = round(height * 255)
        maps.append(each)
    rows = threshold_rows(maps, labels, sets, smallest=10)
    assert [row.threshold for row in rows] == list(THRESHOLDS)
    # Too few real crops of `b` to be counted by themselves.
    assert ((sets == "b") & ~labels).sum() < FEWEST_REALS <= ((sets == "a") & ~labels).sum()
    for row in rows:
        called = np.array([each.max() / 255 > row.threshold for each in maps])
        recalls = [called[labels & (sets == kind)].mean() for kind in "ab"]
        assert row.recall == pytest.approx(np.mean(recalls), abs=0.03)
        assert row.false_frames == {"a": pytest.approx(called[~labels & (sets == "a")].mean(), abs=0.03)}
    assert all(row.false_frames == {} or row.recall == 0 for row in threshold_rows(maps, labels, sets, smallest=100))


def test_the_lowest_threshold_within_a_limit() -> None:
    rows = [
        ThresholdRow(0.3, 1, {"a": 0.3, "b": 0.0}),
        ThresholdRow(0.5, 1, {"a": 0.12, "b": 0.0}),
        ThresholdRow(0.9, 1, {"a": 0.04}),
    ]
    assert lowest(rows, UNSURE_FRAMES) == 0.5
    assert lowest(rows, FALSE_FRAMES) == 0.9
    assert lowest(rows[:1], FALSE_FRAMES) == 0.3


@pytest.mark.parametrize("kind", ["real", "fake"])
def test_packs_of_one_kind_are_refused_and_nothing_is_written(trainer: Trainer, tmp_path: Path, kind: str) -> None:
    write_crop_pack(tmp_path / "s", [example(n, kind=kind) for n in range(2)])
    with pytest.raises(DataError, match="no real or no fake face"):
        finish(micro_recipe(tmp_path), b"", trainer, [CropPack(tmp_path / "s")], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_said(held: list[CropPack], trainer: Trainer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        finish(micro_recipe(tmp_path), b"", trainer, held, tmp_path / "file" / "out")


@pytest.mark.parametrize("points", [0, 1, 5])
@pytest.mark.parametrize("auc", [None, 0.0, 0.8])
def test_the_curve_is_drawn_with_and_without_validation(points: int, auc: float | None) -> None:
    sets = {"swaps": {"auc": auc}, "loose/Lips": {"auc": None}}
    curve = [{"patches": 100 * number, "sets": sets} for number in range(points)]
    picture = cv2.imdecode(np.frombuffer(draw_curve(Reached(curve=curve)), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (500, 900, 3)
