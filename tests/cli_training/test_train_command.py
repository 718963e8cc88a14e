"""`streamguard train`, from packs to a detector's folder."""

from __future__ import annotations

import gc
import json
from pathlib import Path

import cv2
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from typer.testing import CliRunner

from streamguard import models
from streamguard.cli import app
from tests.support.training_data import recipe_text, streamguard, write_packs, write_recipe


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


def failure(*arguments: object) -> str:
    """Exit code, error and output of a command that fails."""
    result = CliRunner().invoke(app, ["train", *(str(each) for each in arguments)])
    assert result.exit_code != 0
    told = f"{getattr(result.exception, 'exit_code', result.exit_code)} {result.exception} {result.output}"
    # An error and the frames of its traceback hold each other, and so the packs.
    del result
    gc.collect()
    return told


def test_a_detector_in_two_goes(packs: Path, tmp_path: Path) -> None:
    recipe, board = write_recipe(tmp_path, start_from="imagenet"), tmp_path / "board"
    common = ("train", recipe, "--packs", packs, "--work", tmp_path / "runs", "--workers", 1)
    short = ["--out", tmp_path / "short", "--seconds", 0.001, "--tensorboard", board]
    assert CliRunner().invoke(app, [str(each) for each in (*common, *short)]).exit_code == 0
    reached = json.loads((tmp_path / "short" / "training.json").read_text())["steps"]
    assert reached < 3
    assert models.load(str(tmp_path / "short")).spec.name == "micro"

    whole = streamguard(*common, "--out", tmp_path / "out", "--tensorboard", board)
    assert whole.returncode == 0, whole.stderr
    assert "Traceback" not in whole.stderr
    for words in ("micro after 6 patches", "written to", "swaps", "loose/Lips", "pixel threshold"):
        assert words in whole.stdout
    points = EventAccumulator(str(board)).Reload()
    assert [point.step for point in points.Scalars("training/loss")][-1] == 3
    assert [point.step for point in points.Scalars("auc/swaps")][-2:] == [2, 3]
    loaded = models.load(str(tmp_path / "out"))
    facts = json.loads((tmp_path / "out" / "training.json").read_text())
    assert facts["steps"] == 3
    assert facts["curve"][-1]["step"] == 3

    shipped = CliRunner().invoke(app, [str(each) for each in (*common, "--out", tmp_path / "again", "--ship")])
    assert shipped.exit_code == 0, shipped.output
    assert "resumed at step 3" in shipped.output
    assert models.load(str(tmp_path / "again")).spec.weights_sha256 == loaded.spec.weights_sha256
    assert not list(tmp_path.rglob("*.partial"))


def test_a_preview_is_drawn_and_nothing_is_trained(packs: Path, tmp_path: Path) -> None:
    sheet, recipe = tmp_path / "new" / "sheet.png", write_recipe(tmp_path)
    arguments = ["train", str(recipe), "--packs", str(packs), "--work", str(tmp_path / "runs"), "--preview", str(sheet)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "drawn to" in result.output
    picture = cv2.imread(str(sheet))
    assert picture is not None
    # Two stages of three rows and ten columns.
    assert picture.shape == (1032, 1600, 3)
    assert picture.std() > 20
    assert not (tmp_path / "runs" / "micro").exists()


def test_an_unknown_key_is_one_line_and_exit_code_7(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, recipe_text(learning_rat=0.1))
    done = streamguard("train", recipe, "--work", tmp_path / "runs")
    assert done.returncode == 7
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("streamguard: ")
    assert "micro.toml: unknown key `learning_rat`" in line
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"name": "../micro"}, 7, "`name`"),
        ({"network": "resnet"}, 5, "no network of that name"),
        ({"sources": [{"kind": "registered", "share": 1, "fakes": ["nowhere"]}]}, 8, "no pack of nowhere"),
        ({"sources": [{"kind": "registered", "share": 1, "fakes": ["real"]}]}, 8, "no example that is registered"),
        ({"start_from": "nowhere"}, 5, "nowhere"),
    ],
)
def test_a_wrong_recipe_is_told_before_any_work(
    packs: Path, tmp_path: Path, changes: dict[str, object], code: int, words: str
) -> None:
    recipe = write_recipe(tmp_path, recipe_text(**changes))
    told = failure(recipe, "--packs", packs, "--work", tmp_path / "runs")
    assert told.startswith(f"{code} ")
    assert words in told
    assert not (tmp_path / "runs" / "micro").exists()


def test_what_would_fail_at_the_end_fails_at_the_start(packs: Path, tmp_path: Path) -> None:
    recipe, work = write_recipe(tmp_path), tmp_path / "runs"
    (tmp_path / "file").touch()
    common = (recipe, "--packs", packs, "--work", work)
    assert "file" in failure(*common, "--out", tmp_path / "file" / "out")
    assert "no such device" in failure(*common, "--device", "tpu")
    assert "no checkpoint here" in failure(*common, "--ship")
    write_packs(tmp_path / "both", validation=("bob",))
    assert "in training and in validation: bob" in failure(recipe, "--packs", tmp_path / "both", "--work", work)
    for name in ("swaps", "loose"):
        (tmp_path / "both" / "validation" / name / "index.npz").unlink()
    assert "no real or no fake face" in failure(recipe, "--packs", tmp_path / "both", "--work", work)
    (tmp_path / "both" / "validation" / "real" / "index.npz").write_bytes(b"damaged")
    assert "no complete pack" in failure(recipe, "--packs", tmp_path / "both", "--work", work)
    assert "no pack here" in failure(recipe, "--packs", tmp_path / "none", "--work", work)
    (work / "micro").mkdir()
    (work / "micro" / "checkpoint.pt").write_bytes(b"damaged")
    assert "damaged or of another network" in failure(*common)


def test_wrong_usage(tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path))
    for arguments in (["train"], ["train", recipe, "--workers", "-1"], ["train", recipe, "--seconds", "-1"]):
        assert CliRunner().invoke(app, arguments).exit_code == 2
    assert failure(tmp_path / "none.toml").startswith("7 ")
