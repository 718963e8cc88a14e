"""What an engine in eight bits is calibrated on: packs, crops, pictures, videos; and the commands round it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import typer

from streamguard import models
from streamguard.cli import calibration
from streamguard.cli.bench import _engines
from streamguard.cli.calibration import read_calibration
from streamguard.cli.compile import compile_, precision_of
from streamguard.cli.doctor import doctor
from streamguard.errors import DataError, EngineUnavailable
from streamguard.inference import parity_crops
from streamguard.models import LoadedModel, networks
from streamguard.training.pack import Example, write_crop_pack
from tests.inference.conftest import small_model
from tests.support.media_files import make_video
from tests.support.portraits import RATE, portrait, portrait_pictures
from tests.support.training_data import example, views, write_packs

pytest.importorskip("nncf")


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "FEWEST", 4)


def crops(folder: Path, count: int = 10) -> Path:
    folder.mkdir()
    for number, crop in enumerate(parity_crops()[:count]):
        cv2.imwrite(str(folder / f"{number}.png"), crop[..., ::-1])
    return folder


def test_face_crops_are_taken_as_they_are(model: LoadedModel, tmp_path: Path) -> None:
    found = read_calibration(crops(tmp_path / "faces"), model.spec)
    assert found.crops.shape == found.held.shape == (5, 256, 256, 3)
    assert found.fake is None
    assert found.source.startswith("faces, nncf ")
    every = {crop.tobytes() for crop in (*found.crops, *found.held)}
    assert every == {crop.tobytes() for crop in parity_crops()[:10]}
    assert found.digest() == read_calibration(tmp_path / "faces", model.spec).digest()


def test_faces_are_cut_from_pictures_and_videos(model: LoadedModel, tmp_path: Path) -> None:
    folder = tmp_path / "mixed"
    (folder / "deep").mkdir(parents=True)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.jpg"), portrait()[: 299 + number, 40:401, ::-1])
    make_video(folder / "deep" / "clip.mp4", size=(320, 240), rate=RATE, pictures=portrait_pictures(1.2))
    (folder / "broken.png").write_text("no picture")
    (folder / "broken.mp4").write_text("no video")
    (folder / "notes.txt").write_text("nothing")
    found = read_calibration(folder, replace(model.spec, smallest_face=24.0))
    # One face a picture, one each half second of the clip.
    assert len(found.crops) + len(found.held) == 6
    assert found.crops.shape[1:] == (256, 256, 3)
    with pytest.raises(DataError, match="0 faces found in 6 files"):
        read_calibration(folder, replace(model.spec, smallest_face=4000.0))


def test_a_pack_is_labelled_and_split_by_person(model: LoadedModel, tmp_path: Path) -> None:
    def darker(number: int) -> Example:
        """Two of each person, whom the brightness tells."""
        real, fake, _ = (np.asarray(each * (1 - 0.1 * (number // 2)), np.uint8) for each in views(number))
        codes = [bytes(cv2.imencode(".png", each[..., ::-1])[1]) for each in (real, fake)]
        return replace(example(number, f"p{number // 2}"), real=codes[0], fake=codes[1])

    write_crop_pack(tmp_path / "pack", [darker(n) for n in range(12)])
    found = read_calibration(tmp_path / "pack", model.spec)
    # Three of six people for each use, two pairs of each.
    assert found.crops.shape == found.held.shape == (12, 256, 256, 3)
    assert found.fake is not None
    assert found.fake.tolist() == [False] * 6 + [True] * 6
    light, other = ({round(float(crop[..., 1].mean() / 4)) for crop in each} for each in (found.crops, found.held))
    assert len(light) == len(other) == 3
    assert not light & other
    green = [float(crop[..., 1].mean() - crop[..., 0].mean()) for crop in found.held]
    assert max(green[:6]) < min(green[6:])
    write_crop_pack(tmp_path / "one", [example(n, "ann") for n in range(8)])
    with pytest.raises(DataError, match="too few people"):
        read_calibration(tmp_path / "one", model.spec)


def test_all_packs_of_a_folder_are_read(model: LoadedModel, tmp_path: Path) -> None:
    found = read_calibration(write_packs(tmp_path / "packs", train=("ann", "bob", "dan")), model.spec)
    assert len(found.crops) + len(found.held) > 30
    assert found.digest() == read_calibration(tmp_path / "packs", model.spec).digest()


def test_too_little(model: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        read_calibration(tmp_path / "none", model.spec)
    with pytest.raises(DataError, match="3 faces found in 3 files"):
        read_calibration(crops(tmp_path / "few", 3), model.spec)


def test_compile_doctor_and_bench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "engines"
    networks.save(small_model(gain=8.0), folder / "small")
    monkeypatch.setattr("streamguard.models.store.engines_folder", lambda: folder)
    monkeypatch.setattr("streamguard.models.engines_folder", lambda: folder)
    monkeypatch.setenv("COLUMNS", "220")
    compile_(model=["small"], precision="int8", calibrate=crops(tmp_path / "faces"), max_batch=4)
    table = capsys.readouterr().out
    assert "int8" in table
    assert "of 17" in table
    manifest = json.loads((folder / "small" / "cache" / "small-openvino-int8" / "manifest.json").read_text())
    assert manifest["calibrated"].startswith("faces, nncf ")
    assert manifest["traits"]["precision"] == "int8"
    doctor()
    assert "preferred; verified on 17 crops, calibrated on faces" in capsys.readouterr().out
    table = _engines([models.load("small")], ["openvino"], 0.05, ["float32", "int8"])
    rows = list(zip(*(column.cells for column in table.columns), strict=True))
    assert [row[1] for row in rows].count("openvino") >= 2
    assert {"int8", "float32"} <= {row[2] for row in rows if row[1] == "openvino"}
    # Other weights: what was calibrated is said to be of no use, and not used.
    networks.save(small_model(5), folder / "small")
    doctor()
    assert "made for another model, machine or library version: not used" in capsys.readouterr().out


def test_what_the_commands_refuse(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailable, match="no such precision"):
        precision_of("int4")
    assert precision_of(None) is None
    with pytest.raises(typer.BadParameter):
        compile_(model=["unet_v1"], calibrate=tmp_path)
