"""`streamguard scan` in a process of its own: good files, bad files, and the report."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from streamguard.media import open_source
from streamguard.pipeline.scan_documents import ScanDocument
from tests.cli.conftest import Run, assert_one_line
from tests.support.flash_beep import flash_beep_clip, offsets
from tests.support.media_files import make_video, replace_bytes, truncate
from tests.support.portraits import RATE, SIZE, painted_green, portrait, portrait_clip, portrait_pictures


def report(path: Path) -> ScanDocument:
    """The JSON report, checked against its own schema."""
    return ScanDocument.model_validate_json(path.read_bytes())


def test_a_report_of_two_files(run: Run, half_fake: Path, real: Path, tmp_path: Path) -> None:
    result = run("scan", half_fake, real, "--json", "out.json", "--exit-code")
    assert (result.returncode, result.stderr) == (10, "")
    document = report(tmp_path / "out.json")
    assert document.complete
    fake, other = document.files
    assert (fake.verdict, fake.contains_fake, fake.frames, fake.fault) == ("FAKE", True, 120, None)
    assert (other.verdict, other.contains_fake, other.share) == ("REAL", False, 0.0)
    assert fake.share == pytest.approx(60 / 116)
    assert document.model.startswith("green@")
    lines = result.stdout.splitlines()
    assert f"{half_fake}: FAKE, 52% of 116 judged frames fake" in lines
    assert f"{real}: no sign of manipulation found, 0% of 36 judged frames fake" in lines
    assert all(len(line) <= 80 for line in lines if not line.startswith("/"))
    assert any(line.split()[:3] == ["1", "FAKE", "52%"] and line.endswith("3.0-6.0") for line in map(str.rstrip, lines))
    assert [path.name for path in tmp_path.iterdir()] == ["out.json"]


def test_a_file_that_is_unsure(run: Run, half_fake: Path, unsure_detector: Path, tmp_path: Path) -> None:
    result = run("scan", half_fake, "--json", "out.json", "--exit-code", model=unsure_detector)
    assert (result.returncode, result.stderr) == (0, "")
    document = report(tmp_path / "out.json")
    assert (document.threshold, document.unsure_threshold) == (1.0, 0.5)
    (told,) = document.files
    assert (told.verdict, told.contains_fake, told.fake, told.unsure, told.judged) == ("UNSURE", False, 0, 60, 116)
    (face,) = told.tracks
    assert (face.verdict, face.share, face.unsure) == ("UNSURE", 0.0, 60)
    lines = result.stdout.splitlines()
    assert f"{half_fake}: unsure, 0% of 116 judged frames fake, 52% unsure" in lines
    assert any(line.split()[:4] == ["1", "unsure", "0%", "52%"] for line in lines)
    assert all(len(line) <= 80 for line in lines if not line.startswith("/"))


def test_a_fake_in_part_is_never_told_as_no_sign(run: Run, tmp_path: Path) -> None:
    clip = portrait_clip(tmp_path / "part.mp4", 6.0, (4.0, 6.0))
    result = run("scan", clip, "--json", "out.json", "--exit-code")
    assert result.returncode == 10
    (told,) = report(tmp_path / "out.json").files
    assert (told.verdict, told.contains_fake, told.finding) == ("REAL", True, "FAKE_IN_PART")
    assert f"{clip}: FAKE IN PART, 34% of 116 judged frames fake" in result.stdout.splitlines()
    assert "no sign" not in result.stdout


def test_a_real_file_leaves_with_zero(run: Run, real: Path) -> None:
    assert run("scan", real, "--exit-code").returncode == 0


def test_through_openvino(run: Run, detector: Path, half_fake: Path, tmp_path: Path) -> None:
    # Another test may have compiled it.
    shutil.rmtree(detector / "cache", ignore_errors=True)
    result = run("scan", half_fake, "--json", "out.json", engine="openvino")
    # Half a minute of silence would seem to hang.
    said = "streamguard: compiling the detector for this machine, once; this takes seconds, or minutes on a GPU\n"
    assert (result.returncode, result.stderr) == (0, said)
    document = report(tmp_path / "out.json")
    assert document.engine.startswith("openvino-")
    assert document.files[0].share == pytest.approx(60 / 116)


def test_the_overlay_keeps_the_sound(run: Run, tmp_path: Path) -> None:
    clip = flash_beep_clip(tmp_path / "in.mkv", 3, codec="mp2")
    assert run("scan", clip, "--overlay", "out.mp4").returncode == 0
    with open_source(tmp_path / "out.mp4") as source:
        assert len(list(source)) == 75
    before, after = offsets(clip), offsets(tmp_path / "out.mp4")
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) < 0.025
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv", "out.mp4"]


def test_a_folder_of_everything(run: Run, half_fake: Path, tmp_path: Path) -> None:
    below = tmp_path / "all" / "below"
    below.mkdir(parents=True)
    (below / "a.mp4").symlink_to(half_fake)
    (tmp_path / "all" / "broken.mp4").write_text("No video at all.")
    (tmp_path / "all" / "notes.txt").write_text("Nobody asks.")
    # It lies on its side, and says so.
    turned = Image.fromarray(painted_green(portrait())).rotate(90, expand=True)
    exif = turned.getexif()
    exif[0x0112] = 6
    for name in ("t.jpg", "t.png", "t.webp"):
        turned.save(tmp_path / "all" / name, exif=exif)
    Image.fromarray(portrait()[300:, :120]).save(below / "none.png")
    result = run("scan", "all", "-r", "--json", "out.json", "--csv", "-")
    assert result.returncode == 4
    assert result.stderr.startswith("streamguard: all/broken.mp4: this is no media file")
    rows = list(csv.DictReader(result.stdout.splitlines()))
    told = {file.path: file for file in report(tmp_path / "out.json").files}
    wanted = {
        "all/broken.mp4": ("NOT_JUDGED", "video"),
        "all/t.jpg": ("FAKE", "picture"),
        "all/t.png": ("FAKE", "picture"),
        "all/t.webp": ("FAKE", "picture"),
        "all/below/a.mp4": ("FAKE", "video"),
        "all/below/none.png": ("NOT_JUDGED", "picture"),
    }
    assert {path: (file.finding, file.kind) for path, file in told.items()} == wanted
    assert {row["path"]: (row["finding"], row["kind"]) for row in rows} == wanted
    clip, picture = told["all/below/a.mp4"], told["all/t.jpg"]
    assert (picture.contains_fake, picture.judged, [face.unjudged for face in picture.tracks]) == (True, 1, [{}])
    # Frames of the first tenth of a second wait; each is told by its reason.
    assert clip.unjudged == clip.tracks[0].unjudged == {"just appeared": 3}
    assert clip.faceless == 1
    assert sum(sample.judged for sample in clip.scores) == clip.judged == 116
    assert all((sample.highest or 0) > 0.5 for sample in clip.scores if sample.start >= 3)
    assert [row["fake_intervals"] for row in rows if row["path"] == "all/below/a.mp4"] == ["3.00-5.95"]


def test_a_picture_gets_an_annotated_picture(run: Run, half_fake: Path, tmp_path: Path) -> None:
    Image.fromarray(painted_green(portrait())).save(tmp_path / "in.webp")
    result = run("scan", "in.webp", "--overlay", "out.png", "--exit-code")
    assert (result.returncode, result.stderr) == (10, "")
    assert result.stdout.startswith("in.webp: FAKE, score 1.00\n")
    marked = np.asarray(Image.open(tmp_path / "out.png"), np.int16)
    red, green, _ = marked[100:130, 210:240].reshape(-1, 3).mean(axis=0)
    assert red > green
    assert_one_line(run("scan", half_fake, "--overlay", "o.png"), 9, "o.png", "is an MP4 file", "Name it *.mp4")


def test_only_one_report_goes_to_standard_output(run: Run, real: Path) -> None:
    assert run("scan", real, "--json", "-", "--csv", "-").returncode == 2


@pytest.mark.parametrize(
    ("kind", "code", "cause"),
    [
        ("missing", 3, "no such file"),
        ("folder", 3, "this is a folder"),
        ("empty", 4, "is empty"),
        ("text", 4, "no media file"),
        ("audio", 4, "no video track"),
        ("codec", 4, "no decoder"),
        ("huge", 4, "too large (16384x64)"),
    ],
)
def test_a_bad_file(run: Run, tmp_path: Path, kind: str, code: int, cause: str) -> None:
    path = tmp_path / f"{kind}.mp4"
    if kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("No video at all.\n" * 50)
    elif kind == "audio":
        make_video(path, audio_only=True)
    elif kind == "codec":
        replace_bytes(make_video(path, frames=5), b"avc1", b"zzzz")
    elif kind == "huge":
        path = make_video(tmp_path / "huge.mkv", frames=2, size=(16384, 64), codec="mjpeg", pix_fmt="yuvj420p")
    result = run("scan", path, "--json", "out.json")
    assert_one_line(result, code, path.name, cause)
    (told,) = report(tmp_path / "out.json").files
    assert told.fault is not None
    assert cause in told.fault.message
    assert (told.verdict, told.frames) == ("UNKNOWN", 0)


def test_a_truncated_file_is_judged_up_to_the_damage(run: Run, tmp_path: Path) -> None:
    pictures = portrait_pictures(4.0, (0.0, 4.0))
    path = make_video(tmp_path / "cut.mp4", size=SIZE, rate=RATE, pictures=pictures, movflags="+faststart")
    truncate(path, 0.6)
    result = run("scan", path, "--json", "out.json")
    assert_one_line(result, 4, "cut.mp4", "breaks off")
    document = report(tmp_path / "out.json")
    (told,) = document.files
    assert told.verdict == "FAKE"
    assert told.judged > 20
    assert told.fault is not None
    assert told.fault.kind == "CorruptMedia"
    # Every file was seen to its end, such as it is.
    assert document.complete


def test_one_bad_file_among_good_ones(run: Run, half_fake: Path, real: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    result = run("scan", real, "empty.mp4", half_fake, "none.mp4", "--json", "out.json")
    assert result.returncode == 4
    assert [line.split(":")[1].strip() for line in result.stderr.splitlines()] == ["empty.mp4", "none.mp4"]
    files = report(tmp_path / "out.json").files
    assert [file.verdict.value for file in files] == ["REAL", "UNKNOWN", "FAKE", "UNKNOWN"]
    assert "empty.mp4: NOT JUDGED, not one frame could be read" in result.stdout.splitlines()


def test_an_unknown_model(run: Run, real: Path) -> None:
    assert_one_line(run("scan", real, model="nothing"), 5, "nothing: no detector of that name", "Choose one of")


def test_an_unknown_engine(run: Run, real: Path) -> None:
    assert_one_line(run("scan", real, engine="nothing"), 6, "nothing: no engine of that name", "Choose one of")


def test_corrupt_weights(run: Run, real: Path, tmp_path: Path, detector: Path) -> None:
    copy = tmp_path / "green"
    copy.mkdir()
    (copy / "spec.toml").write_bytes((detector / "spec.toml").read_bytes())
    (copy / "weights.safetensors").write_bytes((detector / "weights.safetensors").read_bytes()[:-1] + b"\x00\x00")
    assert_one_line(run("scan", real, model=copy), 5, "weights.safetensors", "SHA-256", "Restore both files")
    with (copy / "spec.toml").open("a") as spec:
        spec.write("\n[rules]\nx = 1\n")
    assert_one_line(run("scan", real, model=copy), 7, "spec.toml", "unknown key `rules`")


@pytest.mark.parametrize(
    ("option", "name", "cause"),
    [
        ("--json", "nowhere/out.json", "folder does not exist"),
        ("--json", ".", "this is a folder"),
        ("--overlay", "in.mp4", "the video to judge"),
    ],
)
def test_an_output_that_cannot_be(run: Run, tmp_path: Path, option: str, name: str, cause: str) -> None:
    make_video(tmp_path / "in.mp4", frames=2)
    before = (tmp_path / "in.mp4").read_bytes()
    assert_one_line(run("scan", "in.mp4", option, name), 9, cause)
    assert (tmp_path / "in.mp4").read_bytes() == before


@pytest.mark.parametrize("other", ["out.mp4", "./out.mp4", "link.mp4"])
def test_report_and_video_in_one_file(run: Run, real: Path, tmp_path: Path, other: str) -> None:
    (tmp_path / "link.mp4").symlink_to("out.mp4")
    result = run("scan", real, "--json", "out.mp4", "--overlay", other)
    assert_one_line(result, 9, other.removeprefix("./"), "cannot be one file", "Give each its own name")
    assert [path.name for path in tmp_path.iterdir()] == ["link.mp4"]


def test_a_report_that_cannot_be_written_hides_nothing(run: Run, real: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").write_bytes(b"")
    # The longest name there may be: no other can be made of it to write to first.
    name = "o" * 255
    result = run("scan", real, "empty.mp4", "--json", name)
    assert f"{real}: no sign of manipulation found, 0% of 36 judged frames fake" in result.stdout.splitlines()
    assert any(line.split()[:5] == ["1", "no", "sign", "found", "0%"] for line in result.stdout.splitlines())
    faults = result.stderr.splitlines()
    assert [fault.split(": ")[1] for fault in faults] == ["empty.mp4", name]
    assert "cannot be written" in faults[1]
    assert result.returncode == 4
    assert run("scan", real, "--json", name).returncode == 9


def test_a_name_with_control_characters_stays_one_line(run: Run) -> None:
    assert_one_line(run("scan", "a\nb\x1b[31m.mp4"), 3, "a\\nb\\x1b[31m.mp4")


def test_wrong_usage(run: Run, real: Path, half_fake: Path) -> None:
    assert run("scan").returncode == 2
    assert run("scan", real, half_fake, "--overlay", "o.mp4").returncode == 2
    assert run("scan", real, "--nonsense").returncode == 2


def test_the_schema_is_printed(run: Run) -> None:
    schema = json.loads(run("scan", "--schema").stdout)
    assert schema["properties"]["schema"]["const"] == "streamguard.scan/1"
    assert schema["$defs"]["Verdict"]["enum"] == ["REAL", "UNSURE", "FAKE", "UNKNOWN"]
    assert "too weak to call it fake" in schema["$defs"]["Verdict"]["description"]
