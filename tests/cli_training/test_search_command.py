"""`streamguard search`: from packs to a page, in two goes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamguard.cli import app
from tests.support.training_data import streamguard, write_packs, write_recipe


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


def test_a_search_and_its_second_go(packs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["search", write_recipe(tmp_path), "--packs", packs, "--out", out, "--steps", 2, "--faces", 2]
    done = streamguard(*arguments, "--trials", 2, "--sampler", "random", "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for words in ("micro: best of 2 complete trials", "frame AUC", "picture_loss", "search.html"):
        assert words in done.stdout
    assert "2/2" in done.stderr
    html = (out / "search.html").read_text()
    assert "parcoords" in html
    assert "picture_loss" in html
    assert len(json.loads((out / "search.json").read_text())["trials"]) == 2
    assert {each.name for each in out.iterdir()} == {".lock", "study.db", "search.json", "search.html"}

    again = streamguard(*arguments, "--trials", 2, "--threads", 1)
    assert again.returncode == 0, again.stderr
    assert "nothing to do" in again.stderr
    other = streamguard(*arguments[:-4], "--steps", 3, "--faces", 2, "--trials", 3)
    assert other.returncode == 8
    (line,) = other.stderr.strip().splitlines()[-1:]
    assert "begun with another steps" in line


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--sampler", "grid"], 7, "--sampler grid"),
        (["--vary", "dropout"], 7, "no dimension of that name"),
        (["--sets", "swaps,none"], 8, "no pack of none"),
        (["--device", "tpu"], 7, "no such device"),
    ],
)
def test_what_is_wrong_is_told_before_any_work(
    packs: Path, tmp_path: Path, more: list[str], code: int, words: str
) -> None:
    arguments = ["search", str(write_recipe(tmp_path)), "--packs", str(packs), "--out", str(tmp_path / "out"), *more]
    result = CliRunner().invoke(app, arguments)
    assert getattr(result.exception, "exit_code", None) == code
    assert words in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_missing_packs_and_files(tmp_path: Path) -> None:
    packs, out = write_packs(tmp_path / "packs"), str(tmp_path / "out")
    (packs / "validation" / "real" / "pictures.bin").unlink()
    other = tmp_path / "other"
    other.mkdir()
    recipe, unknown = write_recipe(tmp_path), write_recipe(other, network="resnet")
    for path, folder, code, words in (
        (recipe, tmp_path, 8, "no pack here"),
        (recipe, packs, 8, "no complete pack"),
        (tmp_path / "none.toml", packs, 7, "none.toml"),
        (unknown, packs, 5, "no network of that name"),
    ):
        result = CliRunner().invoke(app, ["search", str(path), "--packs", str(folder), "--out", out])
        assert getattr(result.exception, "exit_code", None) == code
        assert words in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_when_every_trial_fails_it_says_so(packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr("streamguard.training.search.workers.attempt", fail)
    out = tmp_path / "out"
    arguments = ["search", str(write_recipe(tmp_path)), "--packs", str(packs), "--out", str(out), "--steps", "2"]
    result = CliRunner().invoke(app, [*arguments, "--trials", "2"])
    assert getattr(result.exception, "exit_code", None) == 8
    assert "every trial failed" in str(result.exception)
    assert "trial 1 failed: RuntimeError: no memory" in result.output
    assert "None is complete yet" in (out / "search.html").read_text()
    assert json.loads((out / "search.json").read_text())["failed"] == 2
