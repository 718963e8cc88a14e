"""`streamguard demo`: with no camera, no network and no screen."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamguard.cli.demo import Moment
from streamguard.cli.sheet import contact_sheet
from streamguard.faces import CenterFaceDetector
from streamguard.media import open_source
from streamguard.training.portrait_clip import portrait_frames, write_portrait_clip
from streamguard.types import Verdict
from tests.support.training_data import streamguard


def test_the_demo_leaves_video_sheet_and_timeline(detector: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = streamguard("demo", "--seconds", 6, "--out", out, "--model", detector, "--engine", "torch")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for words in ("first half", "second half", "may be wrong", "timeline.json"):
        assert words in done.stdout
    assert "rendered by a network from 3 s on" in done.stderr
    assert {each.name for each in out.iterdir()} == {"annotated.mp4", "clip.mp4", "contact_sheet.png", "timeline.json"}
    with open_source(str(out / "annotated.mp4")) as source:
        times = [decoded.time for decoded in source]
        assert (source.width, source.height) == (640, 480)
    assert times[-1] > 5
    sheet = cv2.imread(str(out / "contact_sheet.png"))
    assert sheet is not None
    assert sheet.shape[1] > 1000
    timeline = json.loads((out / "timeline.json").read_text())
    assert timeline["schema"] == "streamguard.timeline/1"
    frames = timeline["frames"]
    assert len(frames) == len(times)
    assert all(0 <= one["time"] < two["time"] <= 6.1 for one, two in pairwise(frames))
    assert {frame["state"] for frame in frames} <= {"REAL", "FAKE", "UNKNOWN"}
    assert all(frame["share"] is None or 0 <= frame["share"] <= 1 for frame in frames)
    # The test's detector calls green fake, and nothing here is green.
    assert frames[-1]["state"] == "REAL"


def test_a_given_source_is_watched_instead(detector: Path, half_fake: Path, tmp_path: Path) -> None:
    done = streamguard(
        *("demo", "--seconds", 6, "--source", half_fake, "--out", tmp_path / "out"),
        *("--model", detector, "--engine", "torch"),
    )
    assert done.returncode == 0, done.stderr
    assert "fake.opened" in done.stderr
    frames = json.loads((tmp_path / "out" / "timeline.json").read_text())["frames"]
    states = [frame["state"] for frame in frames]
    assert "REAL" in states
    assert states[-1] == "FAKE"
    assert not (tmp_path / "out" / "clip.mp4").exists()


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (["--source", "{tmp}/none.mp4"], 3, "none.mp4"),
        (["--out", "{tmp}/file/out"], 9, "out"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    detector: Path, tmp_path: Path, more: list[str], code: int, words: str
) -> None:
    (tmp_path / "file").touch()
    filled = [part.format(tmp=tmp_path) for part in more]
    if "--out" not in filled:
        filled += ["--out", str(tmp_path / "out")]
    done = streamguard("demo", *filled, "--model", detector, "--engine", "torch")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert words in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out" / "annotated.mp4").exists()


def test_a_sheet_of_few_frames_without_verdicts(tmp_path: Path) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    moments = [Moment(0.1 * n, Verdict.UNKNOWN, None, None) for n in range(3)]
    for frames in ([], [(0.4, picture)], [(0.1 * n, picture) for n in range(13)]):
        contact_sheet(tmp_path / "sheet.png", frames, moments, None)
        assert cv2.imread(str(tmp_path / "sheet.png")) is not None


@pytest.mark.parametrize(("width", "height"), [(640, 480), (1280, 720), (480, 640)])
def test_the_whole_head_is_in_every_frame_of_the_clip(width: int, height: int) -> None:
    detector = CenterFaceDetector()
    centres = []
    for picture in portrait_frames(12.0, 6.0, 2.0, width, height, 7):
        assert (picture.width, picture.height) == (width, height)
        found = detector.detect(picture)
        assert len(found) == 1
        assert found.scores[0] > 0.7
        x0, y0, x1, y1 = found.boxes[0]
        # Hair above and chin below: about half a face's height over the box.
        assert y0 > 0.25 * (y1 - y0)
        assert x0 > 0.3 * (x1 - x0)
        assert y1 < height
        assert x1 + 0.3 * (x1 - x0) < width
        assert min(x1 - x0, y1 - y0) > 60
        centres.append(((x0 + x1) / 2, (y0 + y1) / 2))
    spread = np.ptp(np.array(centres), axis=0)
    assert spread.min() > 3
    assert spread.max() < width / 8


def test_the_clip_is_real_and_then_rendered() -> None:
    real, half = (list(portrait_frames(1.0, fake_from, 10.0, 320, 240, 3)) for fake_from in (None, 0.5))
    changes = [np.abs(one.y.astype(int) - two.y) for one, two in zip(real, half, strict=True)]
    assert len(changes) == 10
    assert all(change.max() == 0 for change in changes[:5])
    assert all(change.max() > 25 for change in changes[5:])
    # Only the face: the lower third of the picture stays as it was.
    assert all(change[160:].max() == 0 for change in changes[5:])


def test_the_clip_is_a_video_of_its_rate(tmp_path: Path) -> None:
    write_portrait_clip(tmp_path / "a.mp4", seconds=1.0, rate=10, width=320, height=240)
    with open_source(str(tmp_path / "a.mp4")) as source:
        assert source.average_rate == pytest.approx(10)
        assert len(list(source)) == 10
