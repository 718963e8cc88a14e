"""The end of a run: a detector's folder that loads."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamguard import models
from streamguard.errors import DataError, OutputError
from streamguard.training.evaluation.calibrate import Platt
from streamguard.training.loop import Progress, Trainer
from streamguard.training.run import FALSE_POSITIVE_LIMIT, THRESHOLDS, draw_curve, finish
from streamguard.training.sampler import open_packs
from tests.support.training_data import micro_config, write_config, write_packs


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


@pytest.fixture(scope="module")
def trainer(packs: Path, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    folder = tmp_path_factory.mktemp("run")
    made = Trainer(micro_config(folder), open_packs(packs), folder / "c.pt")
    made.run(lambda progress, loss: None)
    return made


def test_the_folder_is_a_detector(packs: Path, trainer: Trainer, tmp_path: Path) -> None:
    path = write_config(tmp_path)
    outcome = finish(micro_config(tmp_path), path.read_bytes(), trainer, packs, tmp_path / "out")
    names = {"spec.toml", "weights.safetensors", "train.toml", "training.json", "training_curve.png"}
    assert {each.name for each in (tmp_path / "out").iterdir()} == names
    loaded = models.load(str(tmp_path / "out"))
    assert loaded.spec == outcome.spec
    assert loaded.spec.name == "micro"
    assert loaded.spec.threshold in THRESHOLDS
    assert loaded.spec.calibration_slope > 0
    assert 0 <= outcome.calibration_auc <= 1
    rows = {row.threshold: row for row in outcome.thresholds}
    assert set(rows) == set(THRESHOLDS)
    quiet = [row for row in rows.values() if 1 - (2 * row.balanced_accuracy - row.recall) <= FALSE_POSITIVE_LIMIT]
    if quiet:
        best = max(row.balanced_accuracy for row in quiet)
        assert rows[loaded.spec.threshold].balanced_accuracy == best
    else:
        assert loaded.spec.threshold == max(THRESHOLDS)
    assert (tmp_path / "out" / "train.toml").read_text() == path.read_text()
    facts = json.loads((tmp_path / "out" / "training.json").read_text())
    assert facts["steps"] == 3
    assert facts["packs"]["pairs"] == {"triples": 4, "persons": 1, "files": 1}
    assert facts["packs"]["calibration"]["triples"] == 3
    assert cv2.imread(str(tmp_path / "out" / "training_curve.png")) is not None


def test_a_toml_that_lies_in_the_folder_stays(packs: Path, trainer: Trainer, tmp_path: Path) -> None:
    path = write_config(tmp_path).rename(tmp_path / "train.toml")
    text = path.read_text()
    finish(trainer._config, path.read_bytes(), trainer, packs, tmp_path)
    assert path.read_text() == text
    assert models.load(str(tmp_path)).spec.name == "micro"


def test_a_detector_that_knows_nothing_says_one_half(
    packs: Path, trainer: Trainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A falling calibration would turn its scores round; no spec may hold one."""
    monkeypatch.setattr("streamguard.training.run.fit_platt", lambda raw, labels: Platt(-0.7, 2.0))
    outcome = finish(trainer._config, write_config(tmp_path).read_bytes(), trainer, packs, tmp_path / "out")
    assert 0 < outcome.spec.calibration_slope <= 0.001
    assert outcome.spec.calibration_offset == 0


def test_without_a_calibration_pack_nothing_is_written(trainer: Trainer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no complete pack"):
        finish(trainer._config, write_config(tmp_path).read_bytes(), trainer, tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_said(packs: Path, trainer: Trainer, tmp_path: Path) -> None:
    path = write_config(tmp_path)
    with pytest.raises(OutputError, match="cannot be written"):
        finish(trainer._config, b"", trainer, packs, path / "out")


@pytest.mark.parametrize("steps", [1, 3, 300])
def test_the_curve_is_drawn_with_and_without_validation(steps: int) -> None:
    losses = [(step, 1 / (1 + step)) for step in range(1, steps + 1)]
    for validations in ([], [(steps, 0.7, 0.4)]):
        png = draw_curve(Progress(steps, losses, validations))
        picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (400, 800, 3)
