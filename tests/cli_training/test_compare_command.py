"""`streamguard compare`, from packs to a table and a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamguard.cli import app
from tests.support.training_data import CONFIG, streamguard, write_config, write_packs

QUICK = ("--side", 64, "--pairs", 2, "--most", 2, "--threads", 1)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


def test_two_networks_on_two_materials(packs: Path, tmp_path: Path) -> None:
    config, out = write_config(tmp_path), tmp_path / "runs" / "compare"
    arguments = ("compare", config, "--packs", packs, "--out", out, "--crops", 16, *QUICK)
    done = streamguard(*arguments, "--detectors", "meso4, cnn_lstm", "--trained-on", "pairs,selfblends")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for words in (
        "frame AUC",
        "meso4, pairs",
        "cnn_lstm, selfblends",
        "blur, nothing",
        "Tested on face swaps",
        "12.6 k",
    ):
        assert words in done.stdout
    assert "train meso4, pairs" in done.stderr
    rows = json.loads((out / "compare.json").read_text())["rows"]
    assert len(rows) == 5
    assert (out / "compare.html").read_text().startswith("<!doctype html>")

    again = streamguard(*arguments, "--detectors", "meso4", "--trained-on", "pairs")
    assert again.returncode == 0, again.stderr
    assert "train" not in again.stderr
    assert json.loads((out / "compare.json").read_text())["rows"] == rows


def test_a_known_fault_is_one_line(packs: Path, tmp_path: Path) -> None:
    arguments = ("compare", write_config(tmp_path), "--crops", 4, "--out", tmp_path / "out", *QUICK)
    done = streamguard(*arguments, "--packs", packs, "--detectors", "alexnet")
    assert done.returncode == 5
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("streamguard: alexnet: no network of that name. Choose one of meso4")
    assert not (tmp_path / "out").exists()


def test_missing_packs_are_told(tmp_path: Path) -> None:
    arguments = ["compare", str(write_config(tmp_path)), "--crops", "4", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*arguments, "--packs", str(tmp_path / "none")])
    assert getattr(result.exception, "exit_code", None) == 8
    assert "no training pack here" in str(result.exception)


@pytest.mark.parametrize(
    "more",
    [
        (),
        ("--crops", "4", "--seconds", "4"),
        ("--crops", "4", "--side", "100"),
        ("--crops", "4", "--side", "512"),
        ("--crops", "4", "--trained-on", "everything"),
        ("--crops", "4", "--trained-on", ""),
        ("--crops", "-1"),
    ],
)
def test_wrong_usage(packs: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    arguments = ["compare", str(write_config(tmp_path)), "--packs", str(packs), "--out", str(tmp_path / "out"), *more]
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert not (tmp_path / "out").exists()


def test_what_would_fail_at_the_end_fails_at_the_start(packs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    config = str(write_config(tmp_path))
    for more, words in (
        (["--out", str(tmp_path / "file" / "out")], "file"),
        (["--device", "tpu"], "no such device"),
    ):
        result = CliRunner().invoke(app, ["compare", config, "--packs", str(packs), "--crops", "4", *more])
        assert words in str(result.exception)
    broken = str(write_config(tmp_path, CONFIG + "learning_rat = 0.1\n"))
    result = CliRunner().invoke(app, ["compare", broken, "--packs", str(packs), "--crops", "4"])
    assert "unknown key" in str(result.exception)
