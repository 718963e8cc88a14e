"""Collections that follow a convention, as rows of a manifest."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from streamguard.errors import ConfigError, DataError
from streamguard.training.conventions import CollectionTable, collect, person_of, read_collections
from streamguard.training.manifest import ManifestRow, check_manifest
from tests.support.training_data import COLLECTIONS, ROOT, data_root, write_collections, write_table


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return data_root(tmp_path_factory.mktemp("data") / "root")


@pytest.fixture(scope="module")
def rows(root: Path) -> list[ManifestRow]:
    skipped: list[str] = []
    found = collect(read_collections(write_collections(root)), root, skipped.append)
    assert skipped == []
    check_manifest("all", found)
    return found


def of(rows: list[ManifestRow], set_: str) -> list[ManifestRow]:
    return [row for row in rows if row.set == set_]


def test_side_by_side(rows: list[ManifestRow]) -> None:
    ann = [row for row in rows if row.group == "Ann_Lee"]
    left, right = (0, 0, 320, 240), (320, 0, 320, 240)
    name = "pairs/Ann_Lee_0.mp4"
    assert ann == [
        ManifestRow(name, left, "real", "", None, "Ann_Lee", "pairs", "recording", "train"),
        ManifestRow(name, right, "fake", name, left, "Ann_Lee", "pairs", "DeepFaceLive", "train"),
    ]
    assert {row.split for row in rows if row.group == "Bob_Ray"} == {"validation"}


def test_paired_crops(rows: list[ManifestRow]) -> None:
    dfdc = of(rows, "dfdc")
    assert Counter(row.file for row in dfdc).most_common(1)[0][1] == 1
    assert {row.file: row.partner for row in dfdc if row.label == "fake"} == {
        "dfdc/p1_fake.png": "dfdc/p1_real.png",
        "dfdc/p2_fake.png": "dfdc/p2_real.png",
        "dfdc/p22_fake.png": "dfdc/p22_real.png",
        "dfdc/p1_small.png": "dfdc/p1_real.png",
        "dfdc/p2_none.png": "dfdc/p2_real.png",
    }
    # Two parts of that collection share people.
    assert {row.group for row in dfdc if row.split == "validation"} == {"dfdc/p22+p23"}


def test_placed_crops(rows: list[ManifestRow]) -> None:
    ffpp = of(rows, "ffpp")
    registered = {row.program: row.partner != "" for row in ffpp if row.label == "fake"}
    assert registered == {"Deepfakes": True, "FaceSwap": False}
    assert {row.group for row in ffpp} == {"ffpp/0", "ffpp/1", "ffpp/10", "ffpp/11"}
    assert all(Path(row.partner).name[:5] == Path(row.file).name[:5] for row in ffpp if row.partner)


def test_listed_clips(rows: list[ManifestRow]) -> None:
    assert {row.file: row.split for row in of(rows, "clips_real")} == {
        "wild/talk_1.mp4": "validation",
        "wild/talk_2.mp4": "train",
    }
    assert Counter(row.split for row in of(rows, "clips_fake")) == {"train": 3, "validation": 1}
    source, lips = of(rows, "panels")
    assert (source.label, source.partner) == ("real", "")
    assert (lips.partner, lips.partner_rectangle, lips.rectangle) == (
        *("wild/panel.mp4", (0, 0, 320, 240)),
        (320, 0, 320, 240),
    )


def test_tiles_of_one_program_keep_their_own_rectangles(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "wild"
    shutil.copytree(root / "wild", folder)
    tiles = [("panel.mp4", "GAN", "fake", str(x), "0", "100", "240") for x in (0, 100, 200)]
    write_table(folder / "tiles.tsv", [("file", "program", "label", "x", "y", "w", "h"), *tiles])
    found = of(collect([CollectionTable(kind="listed_clips", folder="wild")], tmp_path, print), "panels")
    assert [row.rectangle for row in found] == [(x, 0, 100, 240) for x in (0, 100, 200)]
    assert not any(row.partner for row in found)


def test_a_folder_of_pictures(rows: list[ManifestRow]) -> None:
    faces = of(rows, "faces")
    assert [row.split for row in faces] == ["validation", "train"] * 3
    assert {(row.program, row.label, row.rectangle) for row in faces} == {("web", "real", None)}


def test_fakes_are_told_apart_by_their_names(root: Path) -> None:
    table = CollectionTable(kind="folder", folder="wild", label="fake", held=("*",))
    found = collect([table], root, print)
    assert {row.split for row in found} == {"validation"}
    assert {row.program for row in found} == {"cut", "gan", "panel", "talk"}


@pytest.mark.parametrize(
    ("name", "person"),
    [
        ("Ann_Lee_2.mp4", "Ann_Lee"),
        ("Ann_Lee.mp4", "Ann_Lee"),
        ("vr_3.mp4", "vr_3"),
        ("lp_d9.mp4", "lp_d9"),
        ("set_012_s.jpg", "set_012"),
        ("set_012_n.jpg", "set_012"),
        ("00012.png", "00012"),
    ],
)
def test_who_a_file_shows(name: str, person: str) -> None:
    assert person_of(Path(name)) == person


def test_a_clip_that_cannot_be_opened_is_told_and_passed_over(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "pairs", tmp_path / "pairs")
    (tmp_path / "pairs" / "Bad_Clip_0.mp4").write_text("no clip")
    skipped: list[str] = []
    found = collect([CollectionTable(kind="side_by_side", folder="pairs")], tmp_path, skipped.append)
    assert len(found) == 6
    (told,) = skipped
    assert "Bad_Clip_0.mp4" in told


@pytest.mark.parametrize("kind", ["side_by_side", "folder"])
def test_whom_nobody_knows_cannot_be_held(root: Path, kind: str) -> None:
    """A name that is misspelt would be learned from."""
    table = CollectionTable.model_validate({"kind": kind, "folder": "pairs", "held": ["Bob_Ray", "Cid_Roe"]})
    with pytest.raises(DataError, match="not there: Cid_Roe"):
        collect([table], root, print)


def broken_name(folder: Path) -> None:
    (folder / "ffpp" / "train" / "fake" / "holiday.png").touch()


def broken_position(folder: Path) -> None:
    (folder / "ffpp" / "train" / "real" / "x__original__a.png").touch()


def broken_tile(folder: Path) -> None:
    path = folder / "wild" / "tiles.tsv"
    path.write_text(path.read_text().replace("320", "many", 1))


@pytest.mark.parametrize(
    ("damage", "folder", "kind", "words"),
    [
        (lambda root: shutil.rmtree(root / "pairs"), "pairs", "side_by_side", "no such folder"),
        (lambda root: shutil.rmtree(root / "ffpp" / "train" / "fake"), "ffpp", "placed_crops", "no such folder"),
        (broken_name, "ffpp", "placed_crops", "holiday.png: not named"),
        (broken_position, "ffpp", "placed_crops", "x__original__a.png: not named"),
        (lambda root: (root / "dfdc" / "pairs.tsv").unlink(), "dfdc", "paired_crops", "pairs.tsv: cannot be read"),
        (lambda root: (root / "dfdc" / "pairs.tsv").write_text("real\n"), "dfdc", "paired_crops", "fake, group, split"),
        (lambda root: (root / "wild" / "clips.tsv").write_bytes(b"\xff"), "wild", "listed_clips", "no readable table"),
        (broken_tile, "wild", "listed_clips", "`many` is no number"),
        (lambda root: (root / "empty").mkdir(), "empty", "folder", "no file of the kinds"),
    ],
)
def test_what_is_wrong_is_named(
    root: Path, tmp_path: Path, damage: Callable[[Path], object], folder: str, kind: str, words: str
) -> None:
    for name in {"pairs", "dfdc", "ffpp", "wild"} & {folder}:
        shutil.copytree(root / name, tmp_path / name)
    damage(tmp_path)
    with pytest.raises(DataError, match=words):
        collect([CollectionTable.model_validate({"kind": kind, "folder": folder})], tmp_path, print)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("collections = [", "not valid TOML"),
        ("", "`collections`"),
        (COLLECTIONS.replace("placed_crops", "placed"), "kind"),
        (COLLECTIONS + "colour = 1\n", "colour"),
    ],
)
def test_a_wrong_toml(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_collections(write_collections(tmp_path, text))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_collections(tmp_path / "none.toml")


def test_the_collections_of_the_shipped_detectors_can_be_read() -> None:
    tables = read_collections(ROOT / "engines" / "collections.toml")
    assert {table.kind for table in tables} == {
        *("side_by_side", "folder", "paired_crops", "placed_crops", "listed_clips")
    }
    # By the rule for names, a number at the end of a clip is that of the clip, not of the person.
    assert all(person_of(Path(name + ".mp4")) == name for table in tables for name in table.held if name != "*")
