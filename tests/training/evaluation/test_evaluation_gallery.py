"""The gallery: the worst errors, few of each clip, and never where faces must not lie."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from evaluation_samples import frame

from streamguard.errors import OutputError
from streamguard.training.evaluation.gallery import MOST, PER_CLIP, Gallery, check_gallery
from streamguard.types import Crop, Face, FaceVerdict, Mask, Verdict


def face(marked: bool) -> FaceVerdict:
    """A grey crop of a face at (100, 60), 2 frame pixels a crop pixel; its middle marked or nothing."""
    affine = np.array([[2.0, 0, 100.5], [0, 2.0, 60.5]])
    found = Face(1, (200.0, 160.0, 500.0, 460.0), 0.9, np.zeros((5, 2), np.float32))
    probability = np.zeros((256, 256), np.uint8)
    if marked:
        probability[100:156, 100:156] = 255
    mask = Mask(Crop(found, affine, np.full((256, 256, 3), 120, np.uint8)), probability)
    return FaceVerdict(found, Verdict.FAKE if marked else Verdict.REAL, score=0.9, area=int(marked) * 3136, mask=mask)


def test_only_errors_are_kept_and_named_by_clip_time_and_score(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, 0.5)
    gallery.add("right", True, frame(0, score=0.9), face(True))
    gallery.add("right", False, frame(0, score=0.1), face(False))
    gallery.add("right", True, frame(0, score=None), face(False))
    gallery.add("../odd/Bob Ray_0.mp4:real", False, frame(12, score=0.8), face(True))
    gallery.add("miss.mp4:fake", True, frame(3, score=0.25), face(False))
    names = [path.name for path in gallery.write()]
    assert names == [
        "false-positive-01_..-odd-Bob-Ray_0.mp4-real_1.20s_0.80.png",
        "miss-01_miss.mp4-fake_0.30s_0.25.png",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)
    picture = cv2.imread(str(tmp_path / names[0]), cv2.IMREAD_COLOR_RGB)
    assert picture is not None
    assert picture.shape == (256, 512, 3)
    plain, painted = picture[:, :256].astype(int), picture[:, 256:].astype(int)
    assert (plain == 120).all()
    # Heat on the marked pixels alone; what lies off mask, box and label is as it was.
    assert np.abs(painted[120:136, 120:136] - 120).max(axis=2).min() > 20
    assert np.abs(painted[70:80, 215:250] - 120).max() <= 2


def test_the_worst_come_first_and_no_clip_fills_it(tmp_path: Path) -> None:
    gallery = Gallery(tmp_path, 0.5)
    rng = np.random.default_rng(0)
    for clip in range(20):
        for index in rng.permutation(100):
            gallery.add(f"c{clip}", False, frame(int(index), score=0.6 + 0.003 * float(index)), face(True))
    names = [path.name for path in gallery.write()]
    assert len(names) == MOST
    scores = [float(re.findall(r"_(0\.\d\d)\.png", name)[0]) for name in names]
    assert scores == sorted(scores, reverse=True)
    for clip in range(20):
        times = sorted(float(re.findall(r"_(\d+\.\d\d)s", name)[0]) for name in names if f"_c{clip}_" in name)
        assert len(times) <= PER_CLIP
        assert all(b - a >= 0.5 for a, b in pairwise(times))


def test_folders_that_must_not_hold_faces_are_refused(tmp_path: Path) -> None:
    data, repository = tmp_path / "data", tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    (data / "pairs").mkdir(parents=True)
    (tmp_path / "link").symlink_to(data)
    for folder in (data, data / "pairs" / "new", tmp_path / "link" / "x", tmp_path / "none" / ".." / "data"):
        with pytest.raises(OutputError, match="inside the data folder"):
            check_gallery(folder, [data])
    for folder in (repository, repository / "deep" / "er"):
        with pytest.raises(OutputError, match="git repository"):
            check_gallery(folder, [data])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "old.png").touch()
    with pytest.raises(OutputError, match="not empty"):
        check_gallery(tmp_path / "full", [data])
    with pytest.raises(OutputError, match="cannot be used as a folder"):
        check_gallery(tmp_path / "full" / "old.png", [data])
    check_gallery(tmp_path / "new" / "deep", [data])
    assert (tmp_path / "new" / "deep").is_dir()
    assert not (data / "pairs" / "new").exists()


def test_a_folder_without_rights_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere, so the system's answer is given for it.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OutputError, match="not writable"):
        check_gallery(tmp_path / "new", [])


def test_a_gallery_of_nothing_writes_nothing(tmp_path: Path) -> None:
    assert Gallery(tmp_path, 0.5).write() == []
    assert list(tmp_path.iterdir()) == []
