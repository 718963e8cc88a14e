"""Clips and pictures of a manifest, judged by the live pipeline and written down frame by frame."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamguard import models
from streamguard.errors import DataError, StreamguardError
from streamguard.faces.gate import sharpness
from streamguard.inference import select
from streamguard.pipeline.guard import Guard
from streamguard.training.clips import Clip, chosen_clips
from streamguard.training.conventions import paired_crops, side_by_side
from streamguard.training.evaluation.records import ClipRecord, FrameRecord
from streamguard.training.evaluation.summary import summarise
from streamguard.training.judge import OnnxNetwork, open_guard
from streamguard.training.manifest import ManifestRow, Rectangle
from streamguard.training.measure import measure
from streamguard.training.sending import parse_sendings
from streamguard.types import Event, EventKind, FaceVerdict
from tests.support import training_data
from tests.support.media_files import make_video
from tests.support.onnx_files import green_network
from tests.support.portraits import RATE, painted_green, portrait, portrait_clip, portrait_pictures
from tests.support.training_data import faceless_pair, pair_clip, write_picture

LEFT, RIGHT = (0, 0, 320, 240), (320, 0, 320, 240)
SETTLED = 6
"""From this frame on, of 20 a second, a face has been there long enough to be judged."""


@pytest.fixture
async def guard(detector: Path) -> AsyncIterator[Guard]:
    model = models.load(str(detector))
    async with Guard(model, select(model, "torch").engine) as opened:
        yield opened


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("root")
    (folder / "pairs").mkdir()
    pair_clip(folder / "pairs" / "Ann_Lee_0.mp4", 0.8)
    pair_clip(folder / "pairs" / "Ann_Lee_1.mp4", 0.4)
    return folder


def row(file: str, fake: bool = False, rectangle: Rectangle | None = None, **more: object) -> ManifestRow:
    label, program = ("fake", "swap") if fake else ("real", "recording")
    values = {"partner": "", "partner_rectangle": None, "group": file, "set": "set", "split": "validation", **more}
    return ManifestRow(file, rectangle, label=label, program=program, **values)  # type: ignore[arg-type]


def clips_of(root: Path, *rows: ManifestRow) -> list[Clip]:
    return chosen_clips(rows, root, split="validation")


def pairs_of(root: Path, *names: str) -> list[Clip]:
    rows = side_by_side(root, "pairs", ["Ann_Lee"], lambda told: None)
    return [clip for clip in clips_of(root, *rows) if not names or clip.path.name in names]


def judged(clip: ClipRecord) -> list[FrameRecord]:
    return [frame for frame in clip.frames if frame.judged]


async def test_a_pair_gives_a_real_and_a_fake_clip(guard: Guard, root: Path) -> None:
    told: list[tuple[str, int]] = []
    clips = pairs_of(root)
    evaluation = await measure(guard, clips, advance=lambda clip, frames: told.append((clip.name, frames)), notes=["n"])
    names = [f"pairs/Ann_Lee_{n}.mp4@{half},0,320,240" for n in (0, 1) for half in (0, 320)]
    assert [clip.name for clip in evaluation.clips] == names
    assert (evaluation.notes, evaluation.left_out, evaluation.whole) == (("n",), {}, 0)
    assert told[-1] == (names[-1], 8)
    assert evaluation.model == f"green@{guard.spec.digest}"
    real, fake = evaluation.clips[:2]
    assert (real.label, fake.label, fake.group, fake.set, fake.program) == (
        *(False, True, "Ann_Lee", "pairs", "DeepFaceLive"),
    )
    assert (real.partner, fake.partner, real.still) == ("", real.name, False)
    assert (real.width, real.height, real.codec) == (320, 240, "h264")
    assert real.bit_rate is not None
    assert len(real.frames) == len(fake.frames) == 16
    # A face that has only just appeared is not judged, for the first tenths of a second.
    assert real.frames[0].reason is not None
    for clip in (real, fake):
        assert all(frame.judged for frame in clip.frames[SETTLED:])
    assert {(frame.dice, frame.fake, frame.area) for frame in judged(real)} == {(None, False, 0)}
    for frame in judged(fake):
        assert frame.fake is True
        assert (frame.dice or 0) > 0.8
        assert 0.5 < (frame.ellipse or 0) < 1
        assert frame.area > 2000
        assert set(frame.looks) == {"blur", "brightness"}
    figures = summarise(evaluation, n_boot=20).rows[-1]
    assert figures.by_frame.auc.value == figures.by_clip.accuracy.value == figures.above.value == 1.0
    assert (figures.dice.value or 0) > 0.9
    assert 0.25 < (figures.ellipse.value or 0) < 0.5


async def test_every_nth_frame(guard: Guard, root: Path) -> None:
    evaluation = await measure(guard, pairs_of(root, "Ann_Lee_0.mp4"), every=4)
    for clip in evaluation.clips:
        assert [frame.index for frame in clip.frames] == [0, 4, 8, 12]
        assert [frame.time for frame in clip.frames] == pytest.approx([0, 0.2, 0.4, 0.6])
        assert clip.frames[-1].judged
    assert all((frame.dice or 0) > 0.8 for frame in judged(evaluation.clips[1]))


async def test_pictures_are_judged_as_one_frame_each(guard: Guard, tmp_path: Path) -> None:
    training_data.paired_crops(tmp_path / "crops")
    rows = [replace(each, split="validation") for each in paired_crops(tmp_path, "crops")]
    write_picture(tmp_path / "lone.png", portrait())
    write_picture(tmp_path / "wide.png", np.concatenate([portrait(), painted_green(portrait())], axis=1))
    part = row("wide.png", fake=True, rectangle=(512, 0, 512, 512))
    kept: list[str] = []
    skipped: list[str] = []
    evaluation = await measure(
        guard,
        clips_of(tmp_path, *rows, row("lone.png"), part),
        keep=lambda clip, frame, face: kept.append(clip.name),
        skipped=lambda clip, error: skipped.append(clip.name),
    )
    assert skipped == ["crops/p1_small.png", "crops/p2_none.png"]
    assert sum(evaluation.left_out.values()) == 2
    found = {clip.name: clip for clip in evaluation.clips}
    assert len(found) == 8 == len(kept)
    for clip in found.values():
        assert clip.still
        assert len(clip.frames) == 1
        assert clip.frames[0].fake is clip.label
        assert (clip.bit_rate, clip.alerts) == (None, ())
    fake = found["crops/p1_fake.png"]
    assert fake.partner == "crops/p1_real.png"
    assert (fake.frames[0].dice or 0) > 0.8
    assert found["wide.png@512,0,512,512"].width == 512
    figures = summarise(evaluation, n_boot=10).rows[-1]
    assert (figures.by_frame.auc.value, figures.above.value, figures.by_clip.auc.value) == (1.0, 1.0, None)


async def test_a_registered_crop_without_a_face_is_judged_whole_and_counted(guard: Guard, tmp_path: Path) -> None:
    for name, green in (("real", 90), ("fake", 200), ("lone", 90)):
        write_picture(tmp_path / f"{name}.png", np.full((100, 100, 3), (90, green, 90), np.uint8))
    rows = [row("real.png"), row("fake.png", fake=True, partner="real.png"), row("lone.png")]
    evaluation = await measure(guard, clips_of(tmp_path, *rows))
    assert evaluation.whole == 2
    assert [clip.frames[0].fake for clip in evaluation.clips] == [False, True, None]
    assert evaluation.clips[2].frames[0].reason == "no face found"


async def test_the_gate_holds_for_pictures_but_for_their_edge(detector: Path, tmp_path: Path) -> None:
    small = portrait()[40:200:2, 150:310:2]
    write_picture(tmp_path / "small.png", small)
    write_picture(tmp_path / "tight.png", portrait()[55:185, 165:290])
    clips = clips_of(tmp_path, row("small.png"), row("tight.png"))
    found = []
    for gated in (True, False):
        async with open_guard(str(detector), "torch", gated=gated) as each:
            found.append([clip.frames[0].reason for clip in (await measure(each, clips)).clips])
    assert found == [["too small", None], [None, None]]


async def test_what_cannot_be_read_is_named_counted_and_left_out(guard: Guard, tmp_path: Path) -> None:
    pair_clip(tmp_path / "good.mp4", 0.5)
    (tmp_path / "bad.mp4").write_text("not a video\n" * 50)
    (tmp_path / "bad.png").write_text("no picture")
    skipped: list[tuple[str, StreamguardError]] = []
    rows = [
        row("bad.mp4"),
        row("gone.mp4"),
        row("good.mp4", rectangle=LEFT),
        row("good.mp4", fake=True, rectangle=(400, 0, 320, 240)),
        row("bad.png"),
        row("gone.png"),
    ]
    clips = clips_of(tmp_path, *rows)
    evaluation = await measure(guard, clips, skipped=lambda clip, error: skipped.append((clip.name, error)))
    assert [clip.name for clip in evaluation.clips] == ["good.mp4@0,0,320,240"]
    names = [clip.name for clip in clips]
    assert [name for name, _ in skipped] == [name for name in names if name != names[2]]
    assert sum(evaluation.left_out.values()) == 5
    assert any("outside" in reason for reason in evaluation.left_out)
    with pytest.raises(DataError, match=r"not one frame could be judged: .*cannot be read"):
        await measure(guard, clips[4:])


async def test_sizes_may_differ_and_a_clip_may_show_no_face(guard: Guard, tmp_path: Path) -> None:
    (tmp_path / "pairs").mkdir()
    pair_clip(tmp_path / "pairs" / "Ann_Lee_0.mp4", 0.5)
    faceless_pair(tmp_path / "pairs" / "Ann_Lee_1.mp4")
    evaluation = await measure(guard, pairs_of(tmp_path))
    none = evaluation.clips[2:]
    assert [(clip.width, clip.height) for clip in none] == [(80, 96)] * 2
    assert {frame.reason for clip in none for frame in clip.frames} == {"no face found"}
    assert summarise(evaluation, n_boot=10).unjudged["no face found"] >= 16
    with pytest.raises(DataError, match=r"not one frame could be judged: no face found \(16\)"):
        await measure(guard, pairs_of(tmp_path, "Ann_Lee_1.mp4"))


@pytest.mark.parametrize("width", [638, 639])
async def test_odd_widths_stay_registered(guard: Guard, tmp_path: Path, width: int) -> None:
    """VP9 keeps odd sizes; a right half that begins on an odd column, after a stray one, is still met exactly."""
    half, stray = width // 2, np.zeros((240, width % 2, 3), np.uint8)
    cut = [
        np.concatenate([real[:, :half], stray, fake[:, :half]], axis=1)
        for real, fake in zip(portrait_pictures(0.5), portrait_pictures(0.5, (0, 0.5)), strict=True)
    ]
    (tmp_path / "pairs").mkdir()
    path = tmp_path / "pairs" / "Ann_Lee_0.webm"
    make_video(path, codec="libvpx-vp9", size=(width, 240), rate=RATE, pictures=cut)
    real, fake = (await measure(guard, pairs_of(tmp_path))).clips
    assert real.width == fake.width == half
    assert judged(fake)
    assert all((frame.dice or 0) > 0.9 for frame in judged(fake))
    assert {frame.area for frame in judged(real)} == {0}


def test_rows_are_chosen_evenly_and_partners_come_along() -> None:
    reals = [row(f"r{n}.png") for n in range(10)]
    fakes = [row(f"f{n}.png", fake=True, partner=f"r{n}.png") for n in range(10)]
    others = [row("x.png", set="other"), row("t.png", split="train")]
    rows = [*reals, *fakes, *others]

    def names(**how: object) -> list[str]:
        return [clip.row.file for clip in chosen_clips(rows, Path(), split="validation", **how)]  # type: ignore[arg-type]

    assert len(names()) == 21
    assert names(most=2) == ["r0.png", "r9.png", "f0.png", "f9.png", "x.png"]
    assert names(most=3, sets=["set"]) == ["r0.png", "r4.png", "r9.png", "f0.png", "f4.png", "f9.png"]
    assert names(sets=["other"]) == ["x.png"]
    plain = chosen_clips([*reals, row("f.png", fake=True)], Path(), split="validation", most=4)
    assert [clip.row.file for clip in plain] == ["r0.png", "r3.png", "r6.png", "r9.png", "f.png"]
    assert {clip.registered for clip in chosen_clips(rows, Path(), split="validation", sets=["set"])} == {True}
    with pytest.raises(DataError, match=r"none: no such set in the manifest. Name some of other, set"):
        names(sets=["none", "set"])
    with pytest.raises(DataError, match="no row of the side `train`"):
        chosen_clips(reals, Path(), split="train")


async def test_alerts_are_those_of_the_live_pipeline(guard: Guard, tmp_path: Path) -> None:
    path = portrait_clip(tmp_path / "half.mp4", 3.0, (1.0, 3.0))
    clips = clips_of(tmp_path, row("half.mp4", fake=True))
    first, second = [(await measure(guard, clips)).clips[0] for _ in range(2)]
    watched = [item async for item in guard.watch(str(path)) if isinstance(item, Event)]
    assert first == second
    assert first.alerts == tuple(event.time for event in watched if event.kind is EventKind.FAKE_OPENED)
    # The face turns green after a second; half of the votes have to be fake.
    assert len(first.alerts) == 1
    assert 1.2 < first.alerts[0] < 2.6


async def test_sent_clips_are_judged_in_what_they_were_sent_as(guard: Guard, root: Path) -> None:
    write_picture(root / "a.png", portrait())
    clips = [*pairs_of(root, "Ann_Lee_0.mp4"), *clips_of(root, row("a.png"))]
    for text, size, codec in (("200k", (320, 240), "h264"), ("200p", (266, 200), "h264"), ("q60", (320, 240), "jpeg")):
        real, fake = (await measure(guard, clips, sending=parse_sendings(text)[0])).clips
        assert (real.width, real.height, real.codec) == (*size, codec)
        assert len(real.frames) == len(fake.frames) == 16
        assert {frame.fake for frame in judged(real)} == {False}
        assert {frame.fake for frame in judged(fake)} == {True}
        # The real half was not sent alongside: no true mask.
        assert all(frame.dice is None for frame in (*real.frames, *fake.frames))
        assert (real.bit_rate is None) == (codec == "jpeg")
    assert (await measure(guard, clips, sending=parse_sendings("240p")[0])).clips == ()


async def test_frames_are_thinned_after_they_were_sent(guard: Guard, root: Path) -> None:
    clips = pairs_of(root, "Ann_Lee_0.mp4")[1:]
    sending = parse_sendings("100k")[0]
    thin, whole = [(await measure(guard, clips, every=n, sending=sending)).clips[0] for n in (4, 1)]
    assert [frame.index for frame in thin.frames] == [0, 4, 8, 12]
    assert thin.bit_rate == whole.bit_rate


async def test_judged_frames_are_shown_as_they_are_met(guard: Guard, root: Path) -> None:
    kept: list[tuple[str, int]] = []

    def keep(clip: Clip, frame: FrameRecord, face: FaceVerdict) -> None:
        assert face.mask is not None
        assert frame.sharpness == pytest.approx(sharpness(face.mask.crop.pixels))
        kept.append((clip.name, frame.index))

    clips = pairs_of(root, "Ann_Lee_0.mp4")[:1]
    evaluation = await measure(guard, clips, keep=keep)
    assert kept == [(clips[0].name, frame.index) for frame in judged(evaluation.clips[0])]


async def test_an_onnx_network_takes_the_detectors_place(detector: Path, root: Path, tmp_path: Path) -> None:
    network = OnnxNetwork(green_network(tmp_path / "Their Net.onnx"), "nchw-rgb-01", output="logit")
    async with open_guard(str(detector), None, network) as other:
        assert other.spec.smallest_face == models.load(str(detector)).spec.smallest_face
        evaluation = await measure(other, pairs_of(root, "Ann_Lee_0.mp4"))
    assert evaluation.model.startswith("their_net@")
    assert evaluation.engine == "onnx-float32"
    real, fake = evaluation.clips
    assert {frame.fake for frame in judged(real)} == {False}
    assert {frame.fake for frame in judged(fake)} == {True}


async def test_an_open_gate_judges_small_faces(detector: Path, tmp_path: Path) -> None:
    portrait_clip(tmp_path / "real.mp4", 0.5)
    clips, sending = clips_of(tmp_path, row("real.mp4")), parse_sendings("96p")[0]
    found = []
    for gated in (True, False):
        async with open_guard(str(detector), "torch", gated=gated) as each:
            found.append((await measure(each, clips, sending=sending)).clips[0])
    assert {frame.reason for frame in found[0].frames} >= {"too small"}
    assert judged(found[0]) == []
    assert judged(found[1])
