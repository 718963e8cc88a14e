"""`streamguard compare`, from packs to a table and a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamguard.cli import app
from tests.support.training_data import streamguard, write_packs, write_recipe

STAGES = [{"steps": 9, "patch": 64, "pairs": 1, "rate": [1e-3, 1e-4]}]
QUICK = ("--seconds", 1, "--most", 2, "--workers", 1)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


def test_a_matrix_of_networks_and_sets(packs: Path, tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path, stages=STAGES), tmp_path / "runs" / "compare"
    arguments = ("compare", recipe, "--packs", packs, "--out", out, *QUICK, "--references", "blur, brightness")
    done = streamguard(*arguments, "--networks", "meso4, unet_lite0", "--trained-on", "all,swaps", timeout=300)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for words in (
        "Frame AUC",
        "meso4",
        "trained on all",
        "trained on swaps",
        "blur",
        "nothing",
        "brightness",
        "Dice of masks",
        "12.6 k",
    ):
        assert words in done.stdout
    rows = json.loads((out / "comparison.json").read_text())["rows"]
    assert len(rows) == 6
    assert (out / "comparison.html").read_text().startswith("<!doctype html>")

    again = streamguard(*arguments, "--networks", "meso4", timeout=300)
    assert again.returncode == 0, again.stderr
    assert "meso4" not in again.stderr
    assert json.loads((out / "comparison.json").read_text())["rows"] == rows


def test_a_known_fault_is_one_line(packs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    recipe = write_recipe(tmp_path, stages=STAGES)
    done = streamguard("compare", recipe, *QUICK, "--out", out, "--packs", packs, "--networks", "alexnet")
    assert done.returncode == 5
    assert done.stdout == ""
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith("streamguard: alexnet: no network of that name. Choose one of unet")
    )
    assert not out.exists()


def test_what_is_wrong_is_told(packs: Path, tmp_path: Path) -> None:
    recipe = str(write_recipe(tmp_path, stages=STAGES))
    for more, words in (
        (["--packs", str(tmp_path / "none")], "no pack here"),
        (["--device", "tpu"], "no such device"),
    ):
        arguments = ["compare", recipe, "--packs", str(packs), "--out", str(tmp_path / "out"), "--seconds", "1", *more]
        assert words in str(CliRunner().invoke(app, arguments).exception)


@pytest.mark.parametrize("more", [(), ("--seconds", "0"), ("--seconds", "9", "--most", "0")])
def test_wrong_usage(packs: Path, tmp_path: Path, more: tuple[str, ...]) -> None:
    recipe = str(write_recipe(tmp_path, stages=STAGES))
    arguments = ["compare", recipe, "--packs", str(packs), "--out", str(tmp_path / "out"), *more]
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert not (tmp_path / "out").exists()
