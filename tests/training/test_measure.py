"""Clips judged by the live pipeline, written down frame by frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from streamguard import models
from streamguard.errors import DataError, StreamguardError
from streamguard.faces.gate import sharpness
from streamguard.inference import select
from streamguard.pipeline.guard import Guard
from streamguard.training.clips import Clip, labelled_clips, pair_clips, passed_over
from streamguard.training.evaluation.records import ClipRecord, FrameRecord
from streamguard.training.evaluation.summary import summarise
from streamguard.training.judge import OnnxNetwork, open_guard
from streamguard.training.measure import measure
from streamguard.training.sending import parse_sendings
from streamguard.types import Event, EventKind, FaceVerdict
from tests.support.media_files import make_video
from tests.support.onnx_files import green_network
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


async def test_alerts_are_those_of_the_live_pipeline(guard: Guard, tmp_path: Path) -> None:
    path = portrait_clip(tmp_path / "half.mp4", 3.0, (1.0, 3.0))
    clip = Clip(path, True, "g")
    first, second = [(await measure(guard, [clip])).clips[0] for _ in range(2)]
    watched = [item async for item in guard.watch(str(path)) if isinstance(item, Event)]
    assert first == second
    assert first.alerts == tuple(event.time for event in watched if event.kind is EventKind.FAKE_OPENED)
    # The face turns green after a second; half of the votes have to be fake.
    assert len(first.alerts) == 1
    assert 1.2 < first.alerts[0] < 2.6


async def test_sent_clips_are_judged_in_what_they_were_sent_as(guard: Guard, pairs: Path) -> None:
    clips = pair_clips(pairs)[:2]
    for text, size, codec in (("200k", (320, 240), "h264"), ("200p", (266, 200), "h264"), ("q60", (320, 240), "jpeg")):
        real, fake = (await measure(guard, clips, sending=parse_sendings(text)[0])).clips
        assert (real.width, real.height, real.codec) == (*size, codec)
        assert len(real.frames) == len(fake.frames) == 16
        assert {frame.fake for frame in judged(real)} == {False}
        assert {frame.fake for frame in judged(fake)} == {True}
        # The real half was not sent alongside: no true mask.
        assert all(frame.dice is None for frame in (*real.frames, *fake.frames))
        assert (real.bit_rate is None) == (codec == "jpeg")
        assert {frame.face_size is not None for frame in judged(fake)} == {True}
    assert (await measure(guard, clips, sending=parse_sendings("240p")[0])).clips == ()


async def test_frames_are_thinned_after_they_were_sent(guard: Guard, pairs: Path) -> None:
    clips = pair_clips(pairs)[1:2]
    sending = parse_sendings("100k")[0]
    thin, whole = [(await measure(guard, clips, every=n, sending=sending)).clips[0] for n in (4, 1)]
    assert [frame.index for frame in thin.frames] == [0, 4, 8, 12]
    assert thin.bit_rate == whole.bit_rate


async def test_halves_that_are_no_pair_are_named(guard: Guard, pairs: Path, tmp_path: Path) -> None:
    pair_clip(tmp_path / "Ann_Lee_0.mp4", 0.3)
    portrait_clip(tmp_path / "One_Face_0.mp4", 0.3)
    (tmp_path / "notes.txt").touch()
    assert passed_over(tmp_path) == ["notes.txt"]
    evaluation = await measure(guard, pair_clips(tmp_path), notes=["first"])
    assert evaluation.notes[0] == "first"
    assert "One_Face_0.mp4:real" in evaluation.notes[1]
    assert "Ann_Lee" not in evaluation.notes[1]


async def test_errors_are_shown_as_they_are_met(guard: Guard, pairs: Path) -> None:
    kept: list[tuple[str, int]] = []

    def keep(clip: Clip, frame: FrameRecord, face: FaceVerdict) -> None:
        assert face.mask is not None
        assert frame.sharpness == pytest.approx(sharpness(face.mask.crop.pixels))
        kept.append((clip.name, frame.index))

    evaluation = await measure(guard, pair_clips(pairs)[:1], keep=keep)
    assert kept == [("Ann_Lee_0.mp4:real", frame.index) for frame in judged(evaluation.clips[0])]
    assert all((frame.shorter_side or 0) < (frame.face_size or 0) for frame in judged(evaluation.clips[0]))


async def test_an_onnx_network_takes_the_detectors_place(detector: Path, pairs: Path, tmp_path: Path) -> None:
    network = OnnxNetwork(green_network(tmp_path / "Their Net.onnx"), "nchw-rgb-01", output="logit")
    async with open_guard(str(detector), None, network) as other:
        assert other.spec.smallest_face == models.load(str(detector)).spec.smallest_face
        evaluation = await measure(other, pair_clips(pairs)[:2])
    assert evaluation.model.startswith("their_net@")
    assert evaluation.engine == "onnx-float32"
    real, fake = evaluation.clips
    assert {frame.fake for frame in judged(real)} == {False}
    assert {frame.fake for frame in judged(fake)} == {True}
    assert summarise(evaluation, n_boot=10).frames.auc.value == 1.0


async def test_an_open_gate_judges_small_faces(detector: Path, tmp_path: Path) -> None:
    portrait_clip(tmp_path / "real.mp4", 0.5)
    clip, sending = Clip(tmp_path / "real.mp4", False, "g"), parse_sendings("96p")[0]
    found = []
    for gated in (True, False):
        async with open_guard(str(detector), "torch", gated=gated) as each:
            found.append((await measure(each, [clip], sending=sending)).clips[0])
    assert {frame.reason for frame in found[0].frames} >= {"too small"}
    assert judged(found[0]) == []
    assert judged(found[1])
