"""`streamguard manifest` and `streamguard pack`, and all the way to a detector that loads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamguard import models
from streamguard.cli import app
from streamguard.training.manifest import read_manifest
from streamguard.training.pack import CropPack
from tests.support.training_data import COLLECTIONS, data_root, streamguard, write_collections, write_recipe

SOURCES = [
    {"kind": "registered", "share": 2, "fakes": ["pairs", "dfdc"]},
    {"kind": "loose", "share": 1, "fakes": ["clips_fake"], "reals": ["clips_real", "faces"]},
    {"kind": "selfblend", "share": 1, "reals": ["faces"]},
]
ONE_STEP = [{"steps": 1, "patch": 64, "pairs": 1, "rate": [1e-3, 1e-3]}]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_root(tmp_path_factory.mktemp("data") / "root")


@pytest.fixture(scope="module")
def manifest(root: Path) -> Path:
    path = root.parent / "manifest.tsv"
    arguments = ["manifest", str(write_collections(root.parent)), "--data", str(root), "--out", str(path)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert f"{len(read_manifest(path))} rows written" in result.output
    return path


def failure(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code != 0
    return f"{getattr(result.exception, 'exit_code', result.exit_code)} {result.exception} {result.output}"


def test_from_folders_to_a_detector(root: Path, manifest: Path, tmp_path: Path) -> None:
    packs, out = tmp_path / "packs", tmp_path / "out"
    arguments = ("pack", manifest, "--data", root, "--out", packs)
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    assert done.exit_code == 0, done.output
    for words in (
        "skipped dfdc/p1_small.png: of another size than its partner",
        "skipped wild/gone.mp4: no such file",
        "skipped faces/web/004.jpg: not a readable picture",
        "passed over 2: no face found",
    ):
        assert words in done.stderr
    assert sorted(path.name for path in (packs / "train").iterdir()) == [
        *("clips_fake", "clips_real", "dfdc", "faces", "ffpp", "pairs", "panels")
    ]
    assert len(CropPack(packs / "validation" / "pairs")) > 0
    assert not list(tmp_path.rglob("*.partial"))

    recipe = write_recipe(tmp_path, sources=SOURCES, stages=ONE_STEP, start_from="imagenet")
    trained = streamguard(
        *("train", recipe, "--packs", packs, "--work", tmp_path / "runs", "--out", out, "--workers", 1)
    )
    assert trained.returncode == 0, trained.stderr
    assert models.load(str(out)).spec.name == "micro"
    assert json.loads((out / "training.json").read_text())["steps"] == 1


def test_finished_packs_are_kept(root: Path, manifest: Path, tmp_path: Path) -> None:
    arguments = ["pack", str(manifest), "--data", str(root), "--out", str(tmp_path), "--sets", "faces"]
    first, again = (CliRunner().invoke(app, arguments) for _ in range(2))
    assert first.exit_code == again.exit_code == 0
    assert "kept" not in first.output
    assert again.output.count("kept") == 2
    assert [path.name for path in (tmp_path / "train").iterdir()] == ["faces"]


def test_what_is_left_by_a_kill_is_packed_again(root: Path, manifest: Path, tmp_path: Path) -> None:
    left = tmp_path / "train" / "faces"
    left.mkdir(parents=True)
    (left / "pictures.partial").write_bytes(bytes(1000))
    arguments = ["pack", str(manifest), "--data", str(root), "--out", str(tmp_path), "--sets", "faces"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert len(CropPack(left)) == 2
    assert {path.name for path in left.iterdir()} == {"pictures.bin", "index.npz"}


def test_thinned_packs(root: Path, manifest: Path, tmp_path: Path) -> None:
    arguments = ["pack", str(manifest), "--data", str(root), "--out", str(tmp_path / "all"), "--sets", "faces,ffpp"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    result = CliRunner().invoke(app, ["thin", str(tmp_path / "all"), "--out", str(tmp_path / "few")])
    assert result.exit_code == 0, result.output
    assert len(CropPack(tmp_path / "few" / "train" / "ffpp")) == 6


def test_a_manifest_without_one_usable_face(manifest: Path, tmp_path: Path) -> None:
    told = failure("pack", manifest, "--data", tmp_path, "--out", tmp_path / "out")
    assert told.startswith("8 ")
    assert "not one usable face" in told


def test_wrong_usage(root: Path, manifest: Path, tmp_path: Path) -> None:
    assert "not in the manifest: nowhere" in failure("pack", manifest, "--data", root, "--sets", "faces,nowhere")
    assert "--renderer" in failure("pack", manifest, "--data", root, "--twins", "3")
    assert failure("pack", manifest).startswith("2 ")
    assert "no readable manifest" in failure("pack", tmp_path / "none.tsv", "--data", root)
    held = write_collections(tmp_path, COLLECTIONS.replace("Bob_Ray", "Cid_Roe"))
    told = failure("manifest", held, "--data", root, "--out", tmp_path / "m.tsv")
    assert "not there: Cid_Roe" in told
    assert not (tmp_path / "m.tsv").exists()
