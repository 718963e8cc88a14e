"""Clips judged by the live pipeline, written down frame by frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from streamguard import models
from streamguard.errors import DataError, StreamguardError
from streamguard.inference import select
from streamguard.pipeline.guard import Guard
from streamguard.training.evaluation.records import ClipRecord, FrameRecord
from streamguard.training.evaluation.summary import summarise
from streamguard.training.measure import Clip, labelled_clips, measure, pair_clips
from tests.support.media_files import make_video
from tests.support.portraits import RATE, portrait_clip, portrait_pictures
from tests.support.training_data import faceless_pair, pair_clip


@pytest.fixture
async def guard(detector: Path) -> AsyncIterator[Guard]:
    model = models.load(str(detector))
    async with Guard(model, select(model, "torch").engine) as opened:
        yield opened


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    pair_clip(folder / "Ann_Lee_0.mp4", 0.8)
    pair_clip(folder / "Ann_Lee_1.mp4", 0.4)
    return folder


SETTLED = 6
"""From this frame on, of 20 a second, a face has been there long enough to be judged."""


def judged(clip: ClipRecord) -> list[FrameRecord]:
    return [frame for frame in clip.frames if frame.judged]


async def test_a_pair_gives_a_real_and_a_fake_clip(guard: Guard, pairs: Path) -> None:
    told: list[tuple[str, int]] = []
    clips = pair_clips(pairs)
    evaluation = await measure(guard, clips, advance=lambda clip, frames: told.append((clip.name, frames)), notes=["n"])
    assert [clip.name for clip in evaluation.clips] == [
        "Ann_Lee_0.mp4:real",
        "Ann_Lee_0.mp4:fake",
        "Ann_Lee_1.mp4:real",
        "Ann_Lee_1.mp4:fake",
    ]
    assert evaluation.notes == ("n",)
    assert told[-1] == ("Ann_Lee_1.mp4:fake", 8)
    assert evaluation.model == f"green@{guard.spec.digest}"
    real, fake = evaluation.clips[:2]
    assert (real.label, fake.label, real.group) == (False, True, "Ann_Lee")
    assert (real.width, real.height, real.codec) == (320, 240, "h264")
    assert real.bit_rate is not None
    assert len(real.frames) == len(fake.frames) == 16
    # A face that has only just appeared is not judged, for the first tenths of a second.
    assert real.frames[0].reason is not None
    for clip in (real, fake):
        assert all(frame.judged for frame in clip.frames[SETTLED:])
    for frame in judged(real):
        assert (frame.dice, frame.iou, frame.fake, frame.area) == (1.0, 1.0, False, 0)
        assert frame.ellipse_dice == 0.0
    for frame in judged(fake):
        assert frame.fake is True
        assert frame.dice is not None
        assert frame.dice > 0.8
        assert frame.ellipse_dice is not None
        assert 0.5 < frame.ellipse_dice < 1
        assert frame.area > 2000
        assert frame.face_size is not None
        assert 80 < frame.face_size < 160
        assert set(frame.baselines) == {"blur", "picture size"}
    summary = summarise(evaluation, n_boot=20)
    assert summary.frames.auc.value == summary.videos.auc.value == summary.videos.accuracy.value == 1.0


async def test_every_nth_frame(guard: Guard, pairs: Path) -> None:
    evaluation = await measure(guard, pair_clips(pairs)[:2], every=4)
    for clip in evaluation.clips:
        assert [frame.index for frame in clip.frames] == [0, 4, 8, 12]
        assert [frame.time for frame in clip.frames] == pytest.approx([0, 0.2, 0.4, 0.6])
        assert clip.frames[-1].judged
    assert all((frame.dice or 0) > 0.8 for frame in judged(evaluation.clips[1]))


async def test_folders_of_real_and_fake_clips_may_hold_the_same_names(guard: Guard, tmp_path: Path) -> None:
    for name, fake in (("real", None), ("fake", (0.0, 1.0))):
        (tmp_path / name).mkdir()
        portrait_clip(tmp_path / name / "gen1_a.mp4", 0.4, fake)
    evaluation = await measure(guard, labelled_clips(tmp_path / "real", tmp_path / "fake"))
    assert [clip.name for clip in evaluation.clips] == ["real/gen1_a.mp4", "fake/gen1_a.mp4"]
    assert [clip.group for clip in evaluation.clips] == ["real gen", "fake gen"]
    real, fake = evaluation.clips
    assert {frame.fake for frame in judged(real)} == {False}
    assert {frame.fake for frame in judged(fake)} == {True}
    # Without the real half there is no true mask, so none is claimed for the real clips alone either.
    assert all(frame.dice is None for clip in evaluation.clips for frame in clip.frames)
    assert summarise(evaluation, n_boot=10).masks.dice_both.value is None


async def test_a_bad_clip_is_named_and_left_out(guard: Guard, tmp_path: Path) -> None:
    pair_clip(tmp_path / "Ann_Lee_0.mp4", 0.5)
    (tmp_path / "Bad_One_0.mp4").write_text("not a video\n" * 50)
    (tmp_path / "Bad_Two_0.mp4").touch()
    skipped: list[tuple[str, StreamguardError]] = []
    clips = pair_clips(tmp_path)
    evaluation = await measure(guard, clips, skipped=lambda clip, error: skipped.append((clip.name, error)))
    assert len(evaluation.clips) == 2
    assert [name for name, _ in skipped] == [
        f"Bad_{n}_0.mp4:{side}" for n in ("One", "Two") for side in ("real", "fake")
    ]
    assert {error.exit_code for _, error in skipped} == {4}
    with pytest.raises(DataError, match="not one clip could be judged"):
        await measure(guard, clips[2:])


async def test_sizes_may_differ_and_a_clip_may_show_no_face(guard: Guard, tmp_path: Path) -> None:
    pair_clip(tmp_path / "Ann_Lee_0.mp4", 0.5)
    faceless_pair(tmp_path / "No_Body_0.mp4")
    evaluation = await measure(guard, pair_clips(tmp_path))
    none = evaluation.clips[2:]
    assert [(clip.width, clip.height) for clip in none] == [(80, 96)] * 2
    assert {frame.reason for clip in none for frame in clip.frames} == {"no face found"}
    counts = summarise(evaluation, n_boot=10).counts
    assert counts.clips_unjudged == 2
    assert counts.unjudged["no face found"] >= 16


@pytest.mark.parametrize("width", [638, 639])
async def test_odd_widths_stay_registered(guard: Guard, tmp_path: Path, width: int) -> None:
    """VP9 keeps odd sizes; a right half that begins on an odd column, after a stray one, is still met exactly."""
    half, stray = width // 2, np.zeros((240, width % 2, 3), np.uint8)
    cut = [
        np.concatenate([real[:, :half], stray, fake[:, :half]], axis=1)
        for real, fake in zip(portrait_pictures(0.5), portrait_pictures(0.5, (0, 0.5)), strict=True)
    ]
    make_video(tmp_path / "Ann_Lee_0.webm", codec="libvpx-vp9", size=(width, 240), rate=RATE, pictures=cut)
    evaluation = await measure(guard, pair_clips(tmp_path))
    real, fake = evaluation.clips
    assert real.width == fake.width == half
    assert judged(fake)
    assert all((frame.dice or 0) > 0.9 for frame in judged(fake))
    assert all(frame.dice == 1.0 for frame in judged(real))


def test_persons_and_names_choose_clips(tmp_path: Path) -> None:
    for name in ("Ann_Lee_0.mp4", "Ann_Lee_1.mp4", "Bob_Ray_0.mkv", "notes.txt"):
        (tmp_path / name).touch()
    assert [clip.path.name for clip in pair_clips(tmp_path, ["Bob_Ray"])] == ["Bob_Ray_0.mkv"] * 2
    assert len(pair_clips(tmp_path)) == 6
    with pytest.raises(DataError, match="no clip of Cid_Roe"):
        pair_clips(tmp_path, ["Ann_Lee", "Cid_Roe"])
    assert len(labelled_clips(tmp_path, tmp_path, ["Ann_Lee_0"])) == 4
    with pytest.raises(DataError, match="no clip named nobody"):
        labelled_clips(tmp_path, tmp_path, ["Ann_Lee_0", "nobody"])


def test_folders_that_are_missing_or_empty_are_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no video in it"):
        pair_clips(tmp_path / "empty")
    with pytest.raises(DataError, match="no such folder"):
        labelled_clips(tmp_path / "none", tmp_path / "empty")
    with pytest.raises(DataError, match="no video in it"):
        labelled_clips(tmp_path / "empty", tmp_path / "none")


def test_names_tell_halves_and_sides_apart() -> None:
    path = Path("folder/a.mp4")
    clips = [Clip(path, label, "g", half) for label, half in ((False, 0), (True, 1), (False, None), (True, None))]
    assert [clip.name for clip in clips] == ["a.mp4:real", "a.mp4:fake", "real/a.mp4", "fake/a.mp4"]
