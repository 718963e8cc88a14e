"""From a manifest to packs: what is usable is registered, what is not is named, counted and passed over."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamguard.errors import DataError
from streamguard.training.conventions import collect, read_collections
from streamguard.training.manifest import SPLITS, ManifestRow, Rectangle
from streamguard.training.pack import CropPack, Example
from streamguard.training.packing import (
    CONTEXT,
    KEPT_WHOLE,
    LARGEST_FACE,
    PackSettings,
    Skips,
    make_packs,
    pack_examples,
)
from tests.support.media_files import make_video
from tests.support.portraits import painted_green, portrait, portrait_pictures
from tests.support.training_data import data_root, pair_clip, views, write_collections, write_picture

Told = tuple[dict[str, int | None], Counter[str], list[str]]
RIGHT, LEFT = (320, 0, 320, 240), (0, 0, 320, 240)


def real(file: str, rectangle: Rectangle | None = None, set_: str = "s") -> ManifestRow:
    return ManifestRow(file, rectangle, "real", "", None, "ann", set_, "recording", "train")


def fake(
    file: str, rectangle: Rectangle | None = None, partner: str = "", place: Rectangle | None = None
) -> ManifestRow:
    return ManifestRow(file, rectangle, "fake", partner, place, "ann", "s", "swap", "train")


def packed(
    root: Path, *rows: ManifestRow, settings: PackSettings | None = None
) -> tuple[list[Example], list[str], Counter[str]]:
    """The examples, what was told, and the counts of what was passed over."""
    told: list[str] = []
    skips = Skips(told.append, Counter())
    settings = settings or PackSettings()
    return list(pack_examples(rows, root, settings, skips, lambda done, total: None)), told, skips.counts


def decoded(data: bytes | None) -> np.ndarray:
    assert data is not None
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB))


def green(example: Example) -> np.ndarray:
    """bool [H, W]: where the fake of a pair is clearly greener than its real picture."""
    difference = decoded(example.fake).astype(int) - decoded(example.real)
    return np.asarray(cv2.blur((difference[..., 1] - difference[..., 0]).astype(np.float32), (5, 5)) > 25)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    folder = tmp_path_factory.mktemp("packing")
    root, told = data_root(folder / "data"), list[str]()
    rows = collect(read_collections(write_collections(folder)), root, print)
    skips, counts = Skips(told.append, Counter()), dict[str, int | None]()
    for split in SPLITS:
        chosen = [row for row in rows if row.split == split]
        for name, count in make_packs(chosen, root, folder / "packs" / split, skips, lambda *_: None):
            counts[f"{split}/{name}"] = count
    return folder / "packs", (counts, skips.counts, told)


def test_a_pack_of_each_set_and_side(made: tuple[Path, Told]) -> None:
    packs, (counts, _, _) = made
    assert {name for name in counts if name.startswith("validation")} == {
        f"validation/{name}" for name in ("clips_fake", "clips_real", "dfdc", "faces", "ffpp", "pairs")
    }
    assert counts["train/panels"] is not None
    for name, count in counts.items():
        pack = CropPack(packs / name)
        assert len(pack) == count
        assert set(pack.set) == {name.split("/")[1]}
        for number in range(len(pack)):
            pictures = [pack.picture(each[number]) for each in (pack.real, pack.fake) if each[number] >= 0]
            height, width = pictures[0].shape[:2]
            assert all(each.shape == (height, width, 3) for each in pictures)
            x0, y0, x1, y1 = pack.box[number]
            assert 0 <= x0 < x1 <= width
            assert 0 <= y0 < y1 <= height
            marks = pack.landmarks[number]
            assert ((marks > (x0, y0)) & (marks < (x1, y1))).all()


def test_what_cannot_be_used_is_named_and_counted(made: tuple[Path, Told]) -> None:
    _, (_, counts, told) = made
    named = {sentence.split(": ")[0]: sentence.split(": ", 1)[1] for sentence in told}
    assert named["dfdc/p1_small.png"] == "of another size than its partner"
    assert named["dfdc/p2_none.png"] == "cannot be read (No such file or directory)"
    assert named["faces/web/004.jpg"] == "not a readable picture"
    assert named["faces/web/005.png"] == named["pairs/No_Body_0.mp4"] == "no face found"
    assert named["wild/gone.mp4"] == "no such file"
    assert named["wild/cut.mp4"].startswith("it breaks off")
    assert counts["no face found"] == 2
    assert counts.total() == len(told) == 7


def test_what_lies_before_the_damage_is_used(made: tuple[Path, Told]) -> None:
    packs, _ = made
    files = Counter(CropPack(packs / "train" / "clips_fake").file.tolist())
    assert files["wild/cut.mp4"] == 1
    assert files["wild/gan.mp4"] == 2


@pytest.mark.parametrize("name", ["train/pairs", "train/dfdc", "train/ffpp", "train/panels"])
def test_masks_lie_where_the_fake_differs(made: tuple[Path, Told], name: str) -> None:
    pack = CropPack(made[0] / name)
    registered = [number for number in range(len(pack)) if pack.mask[number] >= 0]
    assert registered
    for number in registered:
        mask, changed = pack.mask_of(pack.mask[number]) > 0, green(pack.example(number))
        assert (mask & changed).sum() > 0.75 * changed.sum()
        # The rule blurs, and fills holes: it reaches a few pixels further.
        assert (mask & changed).sum() > 0.6 * mask.sum()


def test_a_finished_pack_is_kept(made: tuple[Path, Told], tmp_path: Path) -> None:
    skips = Skips(pytest.fail, Counter())
    kept = make_packs([real("none.mp4", set_="pairs")], tmp_path, made[0] / "train", skips, lambda *_: None)
    assert list(kept) == [("pairs", None)]


def test_a_set_without_a_face_stops_nobody(tmp_path: Path) -> None:
    write_picture(tmp_path / "face.png", views()[0])
    rows, told = [real("none.png", set_="a"), real("face.png", set_="b")], list[str]()
    out = make_packs(rows, tmp_path, tmp_path / "out", Skips(told.append, Counter()), lambda *_: None)
    assert list(out) == [("a", 0), ("b", 1)]
    assert told[-1] == "a: a set without one usable face"
    assert not (tmp_path / "out" / "a").exists()


def test_pictures_of_modest_size_are_kept_byte_for_byte(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "face.png", views()[0])
    (example,), _, _ = packed(tmp_path, real("face.png"))
    assert example.real == path.read_bytes()
    assert example.fake is None
    assert example.mask is None
    assert example.inside == (0, 0, 200, 200)


def test_large_pictures_are_cut_to_the_face(tmp_path: Path) -> None:
    real_one, fake_one = (
        np.asarray(cv2.resize(each[40:300], None, fx=3, fy=3), np.uint8)
        for each in (portrait(), painted_green(portrait()))
    )
    write_picture(tmp_path / "real.png", real_one)
    write_picture(tmp_path / "fake.png", fake_one)
    (example,), _, _ = packed(tmp_path, fake("fake.png", partner="real.png"))
    assert max(real_one.shape) > KEPT_WHOLE
    side = round(LARGEST_FACE * CONTEXT)
    assert decoded(example.real).shape == (side, side, 3)
    x0, y0, x1, y1 = example.box
    assert max(x1 - x0, y1 - y0) == pytest.approx(LARGEST_FACE, rel=0.02)
    mask = cv2.imdecode(np.frombuffer(example.mask or b"", np.uint8), cv2.IMREAD_GRAYSCALE)
    assert mask is not None
    changed = green(example)
    assert (changed & (mask > 0)).sum() > 0.8 * changed.sum()
    # The face lies near the top: above it the border is repeated.
    assert example.inside[1] > 0


def test_a_rectangle_of_a_picture(tmp_path: Path) -> None:
    both = np.concatenate([views()[0], views()[1]], axis=1)
    write_picture(tmp_path / "both.png", both)
    left, right = (0, 0, 200, 200), (200, 0, 200, 200)
    rows = [real("both.png", left), fake("both.png", right, "both.png", left), fake("both.png", right)]
    (pair, alone, lone), told, _ = packed(tmp_path, rows[1], rows[0], rows[2])
    assert told == []
    assert np.abs(decoded(pair.real).astype(int) - views()[0]).mean() < 2
    assert np.abs(decoded(pair.fake).astype(int) - views()[1]).mean() < 2
    assert alone.real == pair.real
    assert lone.fake == pair.fake


@pytest.mark.parametrize("place", [(400, 0, 320, 240), (0, 100, 320, 240)])
def test_a_rectangle_outside_leaves_the_other_rows(tmp_path: Path, place: Rectangle) -> None:
    pair_clip(tmp_path / "clip.mp4", 0.2)
    write_picture(tmp_path / "face.png", views()[0])
    wrong = [fake("clip.mp4", place), real("face.png", place)]
    examples, told, counts = packed(tmp_path, *wrong, real("clip.mp4", LEFT), real("face.png"))
    assert {each.file for each in examples} == {"clip.mp4", "face.png"}
    assert all(each.real for each in examples)
    words = f"the rectangle {','.join(map(str, place))} reaches outside the picture of "
    assert sorted(told) == [f"clip.mp4: {words}640x240", f"face.png: {words}200x200"]
    assert counts.total() == 2


def test_a_missing_fake_leaves_its_siblings(tmp_path: Path) -> None:
    write_picture(tmp_path / "real.png", views()[0])
    write_picture(tmp_path / "fake.png", views()[1])
    examples, told, _ = packed(
        tmp_path, fake("none.png", partner="real.png"), fake("fake.png", partner="real.png"), real("real.png")
    )
    assert [each.file for each in examples] == ["fake.png", "real.png"]
    assert told == ["none.png: cannot be read (No such file or directory)"]


def test_a_missing_partner_is_named(tmp_path: Path) -> None:
    write_picture(tmp_path / "fake.png", views()[1])
    examples, told, _ = packed(tmp_path, fake("fake.png", partner="none.png"))
    assert examples == []
    assert told == ["none.png: cannot be read (No such file or directory)"]


def test_a_clip_registered_with_another_clip(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        make_video(tmp_path / name, size=(320, 240), pictures=portrait_pictures(0.2))
    examples, told, _ = packed(tmp_path, fake("a.mp4", partner="b.mp4"))
    assert examples == []
    assert told == ["a.mp4: registered with another clip: put both side by side in one"]


def test_a_registered_crop_in_which_no_face_is_found(tmp_path: Path) -> None:
    flat = np.full((100, 80, 3), 120, np.uint8)
    flat[::2] += 9
    changed = flat.copy()
    changed[20:80, 20:60] = (60, 200, 60)
    write_picture(tmp_path / "real.png", flat)
    write_picture(tmp_path / "fake.png", changed)
    (example,), told, _ = packed(tmp_path, fake("fake.png", partner="real.png"))
    assert told == []
    assert example.box == pytest.approx((8, 10, 72, 90))
    assert not np.isfinite(example.landmarks).any()
    assert packed(tmp_path, real("real.png"))[1] == ["real.png: no face found"]


@pytest.mark.parametrize("clip", [True, False])
def test_a_fake_that_hardly_differs_from_its_partner(tmp_path: Path, clip: bool) -> None:
    if clip:
        same = [np.concatenate([each, each], axis=1) for each in portrait_pictures(0.15)]
        make_video(tmp_path / "same.mp4", size=(640, 240), rate=20, pictures=same)
        rows = [fake("same.mp4", RIGHT, "same.mp4", LEFT)]
    else:
        write_picture(tmp_path / "real.png", views()[0])
        write_picture(tmp_path / "fake.png", views()[0])
        rows = [fake("fake.png", partner="real.png")]
    examples, _, counts = packed(tmp_path, *rows)
    assert examples == []
    assert counts == {"hardly changed from its partner: no mask is taken": 1}


def test_strides_and_the_most_of_a_clip(tmp_path: Path) -> None:
    pair_clip(tmp_path / "clip.mp4", 0.6)
    row = real("clip.mp4", LEFT)
    for settings, count in ((PackSettings(stride=4), 3), (PackSettings(stride=1, most=5), 5)):
        assert len(packed(tmp_path, row, settings=settings)[0]) == count
    pair = fake("clip.mp4", RIGHT, "clip.mp4", LEFT)
    # The real tile comes along with its fake, and is not taken once more.
    examples, _, _ = packed(tmp_path, row, pair, settings=PackSettings(pair_stride=4, sent=0))
    assert len(examples) == 3
    assert all(each.real and each.fake and each.mask for each in examples)


def test_packing_is_the_same_each_time(tmp_path: Path) -> None:
    pair_clip(tmp_path / "clip.mp4", 0.3)
    rows = [fake("clip.mp4", RIGHT, "clip.mp4", LEFT)]
    first, again = (packed(tmp_path, *rows)[0] for _ in range(2))
    assert [(each.real, each.fake, each.mask) for each in first] == [
        (each.real, each.fake, each.mask) for each in again
    ]


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    write_picture(tmp_path / "face.png", views()[0])
    (tmp_path / "out").write_text("a file in the place of the folder")
    with pytest.raises(DataError, match="cannot be written"):
        list(make_packs([real("face.png")], tmp_path, tmp_path / "out", Skips(print, Counter()), lambda *_: None))
