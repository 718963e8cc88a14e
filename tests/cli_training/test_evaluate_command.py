"""`streamguard evaluate`, as a person runs it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamguard.cli import app
from streamguard.training.conventions import side_by_side
from streamguard.training.manifest import ManifestRow, write_manifest
from tests.support.onnx_files import green_network
from tests.support.portraits import painted_green, portrait
from tests.support.training_data import faceless_pair, pair_clip, streamguard, write_picture


def manifest_of(root: Path, persons: Iterable[str] = ("Ann_Lee", "Bob_Ray"), *more: ManifestRow) -> Path:
    path = root / "manifest.tsv"
    write_manifest(path, [*side_by_side(root, "pairs", list(persons), lambda told: None), *more])
    return path


def picture(name: str, fake: bool) -> ManifestRow:
    label, program = ("fake", "swap") if fake else ("real", "portrait")
    return ManifestRow(name, None, label, "", None, name, "faces", program, "validation")  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    (folder / "pairs").mkdir()
    for name in ("Ann_Lee_0.mp4", "Bob_Ray_0.mp4"):
        pair_clip(folder / "pairs" / name, 0.5)
    write_picture(folder / "real.png", portrait())
    write_picture(folder / "fake.png", painted_green(portrait()))
    (folder / "torn.png").write_text("no picture")
    pictures = [picture("real.png", False), picture("fake.png", True), picture("torn.png", True)]
    manifest_of(folder, ("Ann_Lee", "Bob_Ray"), *pictures)
    return folder


def options(root: Path, *more: object) -> tuple[object, ...]:
    return ("--manifest", root / "manifest.tsv", "--data", root, *more)


def test_a_manifest_end_to_end(root: Path, detector: Path, tmp_path: Path) -> None:
    done = streamguard(
        *("evaluate", detector, *options(root), "--engine", "torch"),
        *("--json", tmp_path / "e.json", "--html", tmp_path / "e.html"),
    )
    # The others are reported, and the code tells that one is missing.
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert "torn.png left out:" in done.stderr
    for words in (
        *("green@", "faces", "pairs", "all sets", "Dice, both halves", "Fixed ellipse", "brightness"),
        *("worst set: pairs", "Time to alert", "left out: not a readable picture", "may be wrong"),
    ):
        assert words in done.stdout
    document = json.loads((tmp_path / "e.json").read_text())
    rows = {row["name"]: row for row in document["summary"]["rows"]}
    assert list(rows) == ["faces", "pairs", "all sets"]
    assert {row["by_frame"]["auc"]["value"] for row in rows.values()} == {1.0}
    assert rows["pairs"]["dice"]["value"] > 0.8
    assert len(document["evaluation"]["clips"]) == 6
    page = (tmp_path / "e.html").read_text()
    assert page.endswith("</html>\n")
    assert page.count("data:image/png") == 10
    assert {each.name for each in tmp_path.iterdir()} == {"e.json", "e.html"}


def test_nothing_to_judge_names_it_and_writes_nothing(detector: Path, tmp_path: Path) -> None:
    for name in ("none", "nobody"):
        (tmp_path / name / "pairs").mkdir(parents=True)
    faceless_pair(tmp_path / "nobody" / "pairs" / "Ann_Lee_0.mp4")
    manifest_of(tmp_path / "nobody", ["Ann_Lee"])
    (tmp_path / "none" / "manifest.tsv").write_text((tmp_path / "nobody" / "manifest.tsv").read_text())
    for name, lines, words in (("none", 3, "not one frame"), ("nobody", 1, "judged: no face found (16)")):
        out = ("--engine", "torch", "--html", tmp_path / "e.html")
        done = streamguard("evaluate", detector, *options(tmp_path / name, *out))
        assert done.returncode == 8, done.stderr
        told = [line for line in done.stderr.splitlines() if line.startswith("streamguard:")]
        assert len(told) == lines
        assert words in told[-1]
        assert not (tmp_path / "e.html").exists()


def test_everything_in_one_report(detector: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "pairs").mkdir(parents=True)
    pair_clip(root / "pairs" / "Ann_Lee_0.mp4", 1.5)
    pair_clip(root / "pairs" / "Bob_Ray_0.mp4", 0.2)
    manifest_of(root)
    done = streamguard(
        *("evaluate", detector, *options(root, "--sets", "pairs", "--most", 1), "--engine", "torch", "--no-gate"),
        *("--robustness", "100k,200p,480p,q60", "--gallery", tmp_path / "gallery"),
        *("--json", tmp_path / "e.json", "--html", tmp_path / "e.html"),
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "0 pictures in" in done.stderr
    for words in ("False alarms on real clips", "0 of 1", "compressed or made smaller", "100k", "200p", "q60"):
        assert words in done.stdout
    document = json.loads((tmp_path / "e.json").read_text())
    alarms, delays = (document["summary"][key][-1] for key in ("alarms", "delays"))
    assert (alarms["alerts"], alarms["clips"], alarms["groups"]) == (0, 1, 1)
    assert (delays["clips"], delays["alerted"]["value"]) == (1, 1.0)
    assert 0.3 < delays["median"] < 1.4
    assert alarms["per_hour_high"] == pytest.approx(2.996 * 60 / alarms["minutes"], rel=1e-3)
    sent = {each["sending"]["name"]: each for each in document["summary"]["robustness"]}
    assert [each["too_small"] for each in sent.values()] == [0, 0, 0, 2, 0]
    for name in ("100k", "200p", "q60"):
        figures = sent[name]["rows"][-1]["by_frame"]
        assert (figures["recall"]["value"], figures["false_alarms"]["value"]) == (1.0, 0.0)
        assert sent[name]["delays"]["alerted"]["value"] == 1.0
    notes = " ".join(document["evaluation"]["notes"])
    for words in ("The side `validation` of manifest.tsv: pairs", "At most 1 rows", "gate was open"):
        assert words in notes
    assert "When the clips are compressed" in (tmp_path / "e.html").read_text()
    assert list((tmp_path / "gallery").iterdir()) == []


def test_another_network_and_a_gallery_of_its_errors(root: Path, detector: Path, tmp_path: Path) -> None:
    # Its classes are swapped, so that it is wrong about every frame.
    network = green_network(tmp_path / "theirs.onnx", "logits", channels_first=False, top=255.0)
    done = streamguard(
        *("evaluate", detector, *options(root, "--sets", "pairs", "--most", 1), "--onnx", network),
        *("--layout", "nhwc-rgb-255", "--output", "logit", "--fake-class", 0, "--gallery", tmp_path / "g"),
        *("--json", "-"),
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["evaluation"]["model"].startswith("theirs@")
    assert document["summary"]["rows"][-1]["by_frame"]["auc"]["value"] == 0.0
    assert "The network is theirs.onnx" in " ".join(document["evaluation"]["notes"])
    names = sorted(path.name for path in (tmp_path / "g").iterdir())
    assert [name.split("_")[0] for name in names] == ["false-positive-01", "miss-01"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--manifest", "a", "--data", "b", "--onnx", "c"],
        ["--manifest", "a", "--data", "b", "--layout", "nchw-rgb-01"],
        ["--manifest", "a"],
        ["--data", "b"],
        ["--manifest", "a", "--data", "b", "--split", "test"],
        ["--manifest", "a", "--data", "b", "--every", "0"],
        ["--pairs", "a"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    assert result.exit_code == 2
    assert "Usage" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--manifest", "{tmp}/none"], 8, "no readable manifest"),
        (["--sets", "Cid_Roe"], 8, "no such set in the manifest"),
        (["--split", "train"], 8, "no row of the side `train`"),
        (["--html", "{tmp}/none/e.html"], 9, "folder does not exist"),
        (["--robustness", "250"], 8, "is no condition"),
        (["--robustness", "q50", "--sets", "faces"], 8, "no clip"),
        (["--gallery", "{root}/g"], 9, "inside the data folder"),
        (["--onnx", "{tmp}/n.onnx", "--layout", "nchw-rgb-01"], 5, "No such file"),
        (["--onnx", "{wrong}", "--layout", "nchw-rgb-01"], 5, "no ONNX file"),
        (["--onnx", "{wrong}", "--layout", "nchw"], 7, "as in nchw-rgb-01"),
        (["nonsense"], 5, "no detector of that name"),
    ],
)
def test_what_cannot_be_used_is_one_error(
    root: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "wrong.onnx").write_text("no network")
    filled = [part.format(tmp=tmp_path, root=root, wrong=tmp_path / "wrong.onnx") for part in arguments]
    result = CliRunner().invoke(app, ["evaluate", *map(str, options(root)), *filled])
    assert result.exception is not None
    assert getattr(result.exception, "exit_code", None) == code
    assert words in str(result.exception)
