"""`streamguard evaluate`, as a person runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamguard.cli import app
from streamguard.training.evaluation.records import read_json
from tests.support.onnx_files import green_network
from tests.support.portraits import portrait_clip
from tests.support.training_data import faceless_pair, pair_clip, streamguard


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for name in ("Ann_Lee_0.mp4", "Bob_Ray_0.mp4"):
        pair_clip(folder / name, 0.5)
    return folder


def test_two_pairs_end_to_end(pairs: Path, detector: Path, tmp_path: Path) -> None:
    done = streamguard(
        *("evaluate", "--pairs", pairs, "--model", detector, "--engine", "torch"),
        *("--json", tmp_path / "e.json", "--html", tmp_path / "e.html"),
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for words in ("green@", "AUC", "1.000", "Dice, fake frames", "fixed ellipse", "Ann_Lee", "may be wrong"):
        assert words in done.stdout
    evaluation = read_json(tmp_path / "e.json")
    assert len(evaluation.clips) == 4
    summary = json.loads((tmp_path / "e.json").read_text())["summary"]
    assert summary["frames"]["auc"]["value"] == 1.0
    assert summary["masks"]["dice_fake"]["value"] > 0.8
    page = (tmp_path / "e.html").read_text()
    assert page.endswith("</html>\n")
    assert page.count("data:image/png") == 10
    assert {each.name for each in tmp_path.iterdir()} == {"e.json", "e.html"}


def test_folders_of_real_and_fake_with_a_bad_clip(detector: Path, tmp_path: Path) -> None:
    for name, fake in (("real", None), ("fake", (0.0, 1.0))):
        (tmp_path / name).mkdir()
        portrait_clip(tmp_path / name / "a.mp4", 0.5, fake)
    (tmp_path / "fake" / "broken[1].mp4").write_text("no video\n" * 99)
    done = streamguard(
        *("evaluate", "--real", tmp_path / "real", "--fake", tmp_path / "fake", "--every", 2),
        *("--model", detector, "--engine", "torch", "--json", tmp_path / "e.json"),
    )
    # The others are reported, and the code tells that one is missing.
    assert done.returncode == 4
    assert "fake/broken[1].mp4 left out:" in done.stderr
    assert "Traceback" not in done.stderr
    evaluation = read_json(tmp_path / "e.json")
    assert [clip.name for clip in evaluation.clips] == ["real/a.mp4", "fake/a.mp4"]
    assert "broken[1].mp4" in evaluation.notes[-1]


def test_nothing_to_judge_names_every_clip_and_writes_nothing(detector: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    (tmp_path / "pairs" / "a.mp4").touch()
    done = streamguard(
        *("evaluate", "--pairs", tmp_path / "pairs", "--model", detector, "--engine", "torch"),
        *("--html", tmp_path / "e.html"),
    )
    assert done.returncode == 8
    lines = [line for line in done.stderr.splitlines() if line.startswith("streamguard:")]
    assert len(lines) == 3
    assert "a.mp4:real left out" in lines[0]
    assert "not one clip could be judged" in lines[-1]
    assert not (tmp_path / "e.html").exists()


def test_clips_without_a_face_are_reported_without_figures(detector: Path, tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    faceless_pair(tmp_path / "pairs" / "No_Body_0.mp4")
    done = streamguard(
        *("evaluate", "--pairs", tmp_path / "pairs", "--model", detector, "--engine", "torch"),
        *("--html", tmp_path / "e.html"),
    )
    assert done.returncode == 0, done.stderr
    assert "nothing was judged" in done.stdout
    assert "no face found" in done.stdout
    assert "Nothing was judged" in (tmp_path / "e.html").read_text()


def test_everything_in_one_report(pairs: Path, detector: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    folder.mkdir()
    pair_clip(folder / "Ann_Lee_0.mp4", 1.5)
    (folder / "Bad_One_0.mp4").write_text("no video\n" * 99)
    (folder / "notes.txt").touch()
    done = streamguard(
        *("evaluate", "--pairs", folder, "--model", detector, "--engine", "torch", "--no-gate"),
        *("--robustness", "100k,200p,480p,q60", "--gallery", tmp_path / "gallery"),
        *("--json", tmp_path / "e.json", "--html", tmp_path / "e.html"),
    )
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("Bad_One_0.mp4:real") == 1
    assert "0 pictures in" in done.stderr
    for words in ("Alerts, as a live stream has them", "1/1", "Compressed or made smaller", "100k", "200p", "q60"):
        assert words in done.stdout
    document = json.loads((tmp_path / "e.json").read_text())
    alerts = document["summary"]["alerts"]
    assert (alerts["false_alarms"], alerts["fake_clips"], alerts["never"]) == (0, 1, 0)
    assert 0.3 < alerts["delay_median"] < 1.4
    assert alerts["per_hour_high"] == pytest.approx(3.689 / alerts["real_hours"], rel=1e-3)
    sent = {each["name"]: each for each in document["summary"]["robustness"]}
    assert [each["too_small"] for each in sent.values()] == [0, 0, 2, 0]
    for name in ("100k", "200p", "q60"):
        assert sent[name]["sent"]["recall"]["value"] == 1.0
        assert sent[name]["sent"]["false_positives"]["value"] == 0.0
        assert sent[name]["sent"]["alerts"]["never"] == 0
    notes = " ".join(document["evaluation"]["notes"])
    for words in (
        "1 entries are no videos and were passed over: notes.txt",
        "gate was open",
        "(2): Bad_One_0.mp4:real",
    ):
        assert words in notes
    assert "When the clips are compressed" in (tmp_path / "e.html").read_text()
    assert list((tmp_path / "gallery").iterdir()) == []


def test_another_network_and_a_gallery_of_its_errors(pairs: Path, detector: Path, tmp_path: Path) -> None:
    # Its classes are swapped, so that it is wrong about every frame.
    network = green_network(tmp_path / "theirs.onnx", "logits", channels_first=False, top=255.0)
    done = streamguard(
        *("evaluate", "--pairs", pairs, "--only", "Ann_Lee", "--model", detector, "--onnx", network),
        *("--layout", "nhwc-rgb-255", "--output", "logit", "--fake-class", 0, "--gallery", tmp_path / "g"),
        *("--json", tmp_path / "e.json"),
    )
    assert done.returncode == 0, done.stderr
    assert "theirs@" in done.stdout
    document = json.loads((tmp_path / "e.json").read_text())
    assert document["summary"]["frames"]["auc"]["value"] == 0.0
    assert "The network is theirs.onnx" in " ".join(document["evaluation"]["notes"])
    names = sorted(path.name for path in (tmp_path / "g").iterdir())
    assert [name.split("_")[0] for name in names] == ["false-positive-01", "miss-01"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--pairs", "a", "--onnx", "b"],
        ["--pairs", "a", "--layout", "nchw-rgb-01"],
        [],
        ["--pairs", "a", "--real", "b", "--fake", "c"],
        ["--pairs", "a", "--fake", "c"],
        ["--real", "b"],
        ["--pairs", "a", "--every", "0"],
        ["--pears", "a"],
    ],
)
def test_wrong_usage(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["evaluate", *arguments])
    assert result.exit_code == 2
    assert "Usage" in result.output


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--pairs", "{tmp}/none"], 8, "no such folder"),
        (["--pairs", "{tmp}/empty"], 8, "no video in it"),
        (["--pairs", "{pairs}", "--only", "Cid_Roe"], 8, "no clip of Cid_Roe"),
        (["--pairs", "{pairs}", "--html", "{tmp}/none/e.html"], 9, "folder does not exist"),
        (["--pairs", "{pairs}", "--robustness", "250"], 8, "is no condition"),
        (["--pairs", "{pairs}", "--gallery", "{pairs}/g"], 9, "inside the data folder"),
        (["--pairs", "{pairs}", "--onnx", "{tmp}/n.onnx", "--layout", "nchw-rgb-01"], 5, "No such file"),
        (["--pairs", "{pairs}", "--onnx", "{wrong}", "--layout", "nchw-rgb-01"], 5, "no ONNX file"),
        (["--pairs", "{pairs}", "--onnx", "{wrong}", "--layout", "nchw"], 7, "as in nchw-rgb-01"),
        (["--pairs", "{pairs}", "--model", "nonsense"], 5, "no detector of that name"),
    ],
)
def test_what_cannot_be_used_is_one_error(
    pairs: Path, tmp_path: Path, arguments: list[str], code: int, words: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "wrong.onnx").write_text("no network")
    filled = [part.format(tmp=tmp_path, pairs=pairs, wrong=tmp_path / "wrong.onnx") for part in arguments]
    result = CliRunner().invoke(app, ["evaluate", *filled])
    assert result.exception is not None
    assert getattr(result.exception, "exit_code", None) == code
    assert words in str(result.exception)
