"""`streamguard train`, from data to a detector's folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from streamguard import models
from streamguard.cli import app
from tests.support.training_data import CONFIG, data_root, streamguard, write_config, write_packs


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_root(tmp_path_factory.mktemp("data") / "root")


def test_from_data_to_a_detector_in_two_goes(root: Path, tmp_path: Path) -> None:
    config, work = write_config(tmp_path), tmp_path / "runs"
    prepared = streamguard("train", config, "--data", root, "--work", work, "--prepare-only", "--threads", 1)
    assert prepared.returncode == 0, prepared.stderr
    assert "No_Body_0.mp4: no face found" in prepared.stderr
    assert "003.jpg: not a readable picture" in prepared.stderr
    assert sorted(each.name for each in (work / "packs").iterdir()) == [
        *("calibration", "made_from.json", "pairs", "selfblend", "validation")
    ]
    assert not (work / "micro").exists()

    trained = streamguard(
        *("train", config, "--work", work, "--out", tmp_path / "out", "--threads", 1),
        *("--tensorboard", tmp_path / "board"),
    )
    assert trained.returncode == 0, trained.stderr
    assert "Traceback" not in trained.stderr
    for words in ("micro written to", "validation frame AUC at step 3", "validation Dice over both", "pixel threshold"):
        assert words in trained.stdout
    board = EventAccumulator(str(tmp_path / "board")).Reload()
    assert [point.step for point in board.Scalars("training/loss")] == [1, 2, 3]
    assert [point.step for point in board.Scalars("validation/frame AUC")] == [2, 3]
    loaded = models.load(str(tmp_path / "out"))
    assert loaded.spec.name == "micro"
    facts = json.loads((tmp_path / "out" / "training.json").read_text())
    assert facts["steps"] == 3
    assert facts["packs"]["validation"]["persons"] == 1

    again = streamguard("train", config, "--data", root, "--work", work, "--out", tmp_path / "again", "--threads", 1)
    assert again.returncode == 0, again.stderr
    assert "resumed at step 3" in again.stderr
    assert models.load(str(tmp_path / "again")).spec.weights_sha256 == loaded.spec.weights_sha256
    assert not list(tmp_path.rglob("*.partial"))


def test_a_preview_is_drawn_and_nothing_is_trained(tmp_path: Path) -> None:
    write_packs(tmp_path / "runs" / "packs")
    sheet = tmp_path / "sheet.png"
    done = streamguard("train", write_config(tmp_path), "--work", tmp_path / "runs", "--preview", sheet)
    assert done.returncode == 0, done.stderr
    assert "samples of 2 stages" in done.stdout
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "runs" / "micro").exists()


def test_an_unknown_key_is_one_line_and_exit_code_7(tmp_path: Path) -> None:
    done = streamguard("train", write_config(tmp_path, CONFIG + "learning_rat = 0.1\n"), "--work", tmp_path / "runs")
    assert done.returncode == 7
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("streamguard: ")
    assert "micro.toml: unknown key `train.learning_rat`" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        ("patch = 64", "patch = 65", 7, "train.stages.0.patch"),
        ('name = "micro"', 'name = "../micro"', 7, "`name`"),
        ("[train]", "[train", 7, "not valid TOML"),
        ('network = "unet_v1"', 'network = "resnet"', 5, "no network of that name"),
        ('["Bob_Ray"]', '["Cid_Roe"]', 8, "without a clip: Cid_Roe"),
        ('pairs = "pairs"', 'pairs = "nowhere"', 8, "no such folder"),
    ],
)
def test_a_wrong_configuration_is_told_before_any_work(
    root: Path, tmp_path: Path, old: str, new: str, code: int, words: str
) -> None:
    config = write_config(tmp_path, CONFIG.replace(old, new))
    arguments = ["train", str(config), "--data", str(root), "--work", str(tmp_path / "runs")]
    result = CliRunner().invoke(app, arguments)
    assert getattr(result.exception, "exit_code", None) == code
    assert words in str(result.exception)
    assert not (tmp_path / "runs" / "packs" / "pairs").exists()


def test_what_would_fail_at_the_end_fails_at_the_start(tmp_path: Path) -> None:
    config = write_config(tmp_path)
    packs = write_packs(tmp_path / "runs" / "packs")
    (tmp_path / "file").touch()
    for more, words in (
        (["--out", str(tmp_path / "file" / "out")], "file"),
        (["--device", "tpu"], "no such device"),
    ):
        result = CliRunner().invoke(app, ["train", str(config), "--work", str(tmp_path / "runs"), *more])
        assert words in str(result.exception)
    (packs / "calibration" / "index.json").unlink()
    result = CliRunner().invoke(app, ["train", str(config), "--work", str(tmp_path / "runs")])
    assert "no complete pack" in str(result.exception)
    assert not (tmp_path / "runs" / "micro").exists()


def test_wrong_usage(tmp_path: Path) -> None:
    config = str(write_config(tmp_path))
    for arguments in (["train"], ["train", config, "--prepare-only"], ["train", config, "--threads", "-1"]):
        assert CliRunner().invoke(app, arguments).exit_code == 2
    result = CliRunner().invoke(app, ["train", str(tmp_path / "none.toml")])
    assert getattr(result.exception, "exit_code", None) == 7
