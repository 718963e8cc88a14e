"""Drawing: balanced, registered through every view, and silent about what was not recorded."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamguard.errors import DataError
from streamguard.training.drawing import COARSE, DrawnBatch, PairDrawer, live_crop, live_mask
from streamguard.training.pack import CropPack, Example, write_crop_pack
from streamguard.training.recipe import Recipe, SourceTable
from streamguard.training.selfblend import SelfBlend, self_blend
from streamguard.types import Float64Array, FloatArray, UInt8Array
from tests.support.training_data import example, micro_recipe, train_packs, write_packs

SIDE, MARGIN = 160, 1.3
CLEAN = {"blur": 0, "degrade": 0}
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


def drawer(folder: Path, recipe: Recipe) -> PairDrawer:
    return PairDrawer(recipe, train_packs(folder), SIDE, MARGIN)


def only(source: dict[str, object], folder: Path, **changes: object) -> Recipe:
    return micro_recipe(folder, sources=[{"share": 1, **source}], **changes)


REGISTERED: dict[str, object] = {"kind": "registered", "fakes": ["swaps"]}
LOOSE: dict[str, object] = {"kind": "loose", "fakes": ["loose"]}
BLENDS: dict[str, object] = {"kind": "selfblend", "reals": ["real"]}
MOUTHS: dict[str, object] = {"kind": "mouth", "reals": ["real"]}


def coded(picture: UInt8Array) -> bytes:
    return bytes(cv2.imencode(".png", picture[..., ::-1] if picture.ndim == 3 else picture)[1])


def card() -> Example:
    """A grey real picture, a fake with a bright ellipse, its mask, and the landmarks on the ellipse."""
    real = np.full((200, 200, 3), 90, np.uint8)
    fake = cv2.ellipse(real.copy(), (100, 100), (45, 55), 0, 0, 360, (240, 240, 240), -1)
    mask = (fake[..., 0] > 200).astype(np.uint8) * 255
    marks = np.array([[80, 80], [120, 80], [100, 100], [85, 125], [115, 125]], np.float32)
    base = replace(example(0), real=coded(real), fake=coded(np.asarray(fake, np.uint8)), mask=coded(mask))
    return replace(base, box=(45.0, 45.0, 155.0, 155.0), landmarks=marks, set="s")


# Balance.


def shares(examples: list[Example]) -> dict[str, float]:
    """By brute force: how likely each example is, by its file."""
    programs = sorted({each.program for each in examples})
    chance = {}
    for program in programs:
        sizes = Counter(each.group for each in examples if each.program == program)
        whole = sum(math.sqrt(size) for size in sizes.values())
        for each in examples:
            if each.program == program:
                size = sizes[each.group]
                chance[each.file] = math.sqrt(size) / whole / size / len(programs)
    return chance


@settings(max_examples=12)
@given(data=st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), min_size=1, max_size=12), seed=seeds)
def test_programs_alike_and_groups_by_the_root_of_their_size(
    tmp_path_factory: pytest.TempPathFactory, data: list[tuple[str, str]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("balance")
    base = replace(example(0, kind="fake", set_="s"), fake=b"never decoded")
    examples = [replace(base, program=program, group=group, file=str(n)) for n, (program, group) in enumerate(data)]
    write_crop_pack(folder / "s", [*examples, example(0, "x", "real", "s")])
    pack = CropPack(folder / "s")
    recipe = only({**LOOSE, "fakes": ["s"]}, folder)
    choice = PairDrawer(recipe, [pack], SIDE, MARGIN)._sources[0].fakes
    random, draws = np.random.default_rng(seed), 4000
    found = Counter(str(pack.file[choice.refs[choice.draw(random)].number]) for _ in range(draws))
    for file, share in shares(examples).items():
        assert abs(found[file] / draws - share) < 5 * math.sqrt(share * (1 - share) / draws) + 1e-9


def test_sources_are_drawn_by_their_shares(folder: Path, tmp_path: Path) -> None:
    recipe = micro_recipe(tmp_path, sources=[{**REGISTERED, "share": 6}, {**LOOSE, "share": 3}, {**BLENDS, "share": 1}])
    made, kinds = drawer(folder, recipe), Counter[str]()
    for name in ("_registered", "_loose", "_blend"):
        setattr(made, name, lambda *_, name=name: kinds.update([name]))
    random = np.random.default_rng(0)
    for _ in range(4000):
        made.pair(64, random)
    assert [kinds[name] / 4000 for name in ("_registered", "_loose", "_blend")] == pytest.approx(
        [0.6, 0.3, 0.1], abs=0.04
    )


def test_the_real_one_of_a_loose_pair_is_of_the_fakes_group_where_there_is_one(tmp_path: Path) -> None:
    fakes = [example(0, group, "fake", "s") for group in ("ann", "bob")]
    reals = [example(n, group, "real", "s") for n, group in enumerate(["ann", "cid", "cid", "cid"])]
    write_crop_pack(tmp_path / "s", [*fakes, *reals])
    made = PairDrawer(only({**LOOSE, "fakes": ["s"]}, tmp_path), [CropPack(tmp_path / "s")], SIDE, MARGIN)
    choice, random = made._sources[0].reals, np.random.default_rng(0)
    assert {choice.groups[choice.draw_of("ann", random)] for _ in range(50)} == {"ann"}
    assert {choice.groups[choice.draw_of("bob", random)] for _ in range(50)} == {"ann", "cid"}


# Batches.


def test_shapes_and_ranges(folder: Path, tmp_path: Path) -> None:
    made = drawer(folder, micro_recipe(tmp_path, stages=[{"steps": 9, "patch": 96, "pairs": 3, "rate": [1e-3, 1e-3]}]))
    for step in range(4):
        batch = made.batch(step)
        assert batch.pixels.shape == (6, 96, 96, 3)
        assert batch.pixels.dtype == np.uint8
        assert batch.truth.shape == batch.taught.shape == (6, 96 // COARSE, 96 // COARSE)
        assert batch.label.shape == (6,)
        assert {batch.truth.dtype, batch.taught.dtype, batch.label.dtype} == {np.dtype(np.float32)}
        assert batch.truth.min() >= 0
        assert batch.truth.max() <= 1
        assert set(np.unique(batch.taught)) <= {0, 1}
        assert (batch.truth[::2] == 0).all()
        assert (batch.label[::2] == 0).all()
        known = batch.label[np.isfinite(batch.label)]
        assert ((known >= 0) & (known <= 1)).all()


def same(one: DrawnBatch, other: DrawnBatch) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name == "label")
        for name in ("pixels", "truth", "taught", "label")
    )


def test_a_steps_batch_is_the_same_whenever_it_is_asked_for(folder: Path, tmp_path: Path) -> None:
    recipe = micro_recipe(tmp_path)
    first, again = drawer(folder, recipe), drawer(folder, recipe)
    there = [first.batch(step) for step in range(3)]
    assert all(same(again.batch(step), there[step]) for step in (2, 0, 1))
    assert not same(there[0], there[1])
    assert not same(drawer(folder, micro_recipe(tmp_path, seed=2)).batch(0), there[0])


def test_a_stage_decides_the_size(folder: Path, tmp_path: Path) -> None:
    made = drawer(folder, micro_recipe(tmp_path))
    assert [made.batch(step).pixels.shape[1] for step in range(3)] == [64, 64, 96]


def test_no_pixel_of_a_loose_fake_is_taught(folder: Path, tmp_path: Path) -> None:
    made, random = drawer(folder, only(LOOSE, tmp_path)), np.random.default_rng(0)
    for _ in range(6):
        pair = made.pair(64, random)
        assert not pair.taught[1].any()
        assert pair.taught[0].any()
        assert pair.label.tolist() == [0, 1]


def test_self_blends_of_real_faces(folder: Path, tmp_path: Path) -> None:
    made, random = drawer(folder, only(BLENDS, tmp_path, view=CLEAN)), np.random.default_rng(3)
    pairs = [made.pair(96, random) for _ in range(8)]
    assert any(pair.truth[1].any() for pair in pairs)
    assert not any(pair.truth[0].any() for pair in pairs)


@pytest.mark.parametrize("mirrored", [False, True])
def test_another_moment_is_brought_to_the_same_place(tmp_path: Path, mirrored: bool) -> None:
    near = card()
    move = np.array([[0.8, 0.1, 30.0], [-0.1, 0.8, 25.0]])
    picture = cv2.imdecode(np.frombuffer(near.fake or b"", np.uint8), cv2.IMREAD_COLOR)
    far = cv2.warpAffine(picture, move, (200, 200), borderMode=cv2.BORDER_REPLICATE)
    marks = (near.landmarks @ move[:, :2].T + move[:, 2]).astype(np.float32)
    alike = [replace(near, real=near.fake, fake=None, mask=None), replace(near, real=coded(far[..., ::-1]), fake=None)]
    write_crop_pack(tmp_path / "s", [alike[0], replace(alike[1], mask=None, landmarks=marks)])
    made = PairDrawer(only({**MOUTHS, "reals": ["s"]}, tmp_path), [CropPack(tmp_path / "s")], SIDE, MARGIN)
    seen = near.landmarks * ([-1, 1] if mirrored else [1, 1]) + [200 if mirrored else 0, 0]
    brought = [made._brought(ref, seen.astype(np.float32), mirrored, 200, False) for ref in made._sources[0].reals.refs]
    assert brought[0] is not None
    assert brought[1] is not None
    inner = slice(40, 160)
    assert np.abs(brought[0][inner, inner].astype(int) - brought[1][inner, inner]).mean() < 4


def test_mouths_of_another_moment(folder: Path, tmp_path: Path) -> None:
    made, random = drawer(folder, only(MOUTHS, tmp_path, view=CLEAN)), np.random.default_rng(3)
    pairs = [made.pair(96, random) for _ in range(8)]
    assert any(pair.truth[1].any() for pair in pairs)
    assert not any(pair.truth[0].any() for pair in pairs)


def test_a_mirrored_face_has_its_left_eye_on_the_left(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[FloatArray] = []

    def watched(real: UInt8Array, marks: FloatArray, random: np.random.Generator) -> SelfBlend:
        seen.append(marks)
        return self_blend(real, marks, random)

    monkeypatch.setattr("streamguard.training.drawing.self_blend", watched)
    made, random = drawer(folder, only(BLENDS, tmp_path)), np.random.default_rng(0)
    for _ in range(12):
        made.pair(160, random)
    assert all(marks[0, 0] < marks[2, 0] < marks[1, 0] and marks[3, 0] < marks[4, 0] for marks in seen)
    # The portrait looks a little to one side: mirrored, its nose lies nearer to the other eye.
    nearer = {bool(marks[2, 0] - marks[0, 0] < marks[1, 0] - marks[2, 0]) for marks in seen}
    assert nearer == {True, False}


@pytest.mark.parametrize("mixup", [0.0, 1.0])
def test_a_mixed_fake_is_taught_as_strong_as_it_is(tmp_path: Path, mixup: float) -> None:
    write_crop_pack(tmp_path / "s", [card()])
    recipe = only({**REGISTERED, "fakes": ["s"], "parts": 0, "mixup": mixup}, tmp_path, view=CLEAN)
    made, random = PairDrawer(recipe, [CropPack(tmp_path / "s")], SIDE, MARGIN), np.random.default_rng(0)
    strengths = [float(made.pair(160, random).label[1]) for _ in range(12)]
    assert all(value == 1 for value in strengths) if mixup == 0 else len(set(strengths)) > 3
    assert min(strengths) >= 0.149


def test_only_a_part_is_left_of_some(tmp_path: Path) -> None:
    write_crop_pack(tmp_path / "s", [card()])
    areas = []
    for parts in (0, 1):
        recipe = only(
            {**REGISTERED, "fakes": ["s"], "parts": parts, "mixup": 0}, tmp_path, view={**CLEAN, "zoom": [1, 1]}
        )
        made, random = PairDrawer(recipe, [CropPack(tmp_path / "s")], SIDE, MARGIN), np.random.default_rng(0)
        areas.append(np.mean([made.pair(160, random).truth[1].mean() for _ in range(12)]))
    assert 0.1 * areas[0] < areas[1] < 0.9 * areas[0]


# Geometry.


class Bare(PairDrawer):
    """Keeps views and mask as they are before light, tint and hidden rectangles: there bright is fake, exactly."""

    def _geometry(self, box: FloatArray, patch: int, table: SourceTable, random: np.random.Generator) -> Float64Array:
        self.matrix = super()._geometry(box, patch, table, random)
        return self.matrix

    def _finished(
        self,
        views: list[UInt8Array],
        mask: UInt8Array | None,
        taught: list[FloatArray],
        strength: float,
        random: np.random.Generator,
    ) -> DrawnBatch:
        assert mask is not None
        self.views, self.mask = [view.copy() for view in views], mask.copy()
        return super()._finished(views, mask, taught, strength, random)


@settings(max_examples=40)
@given(seed=seeds, patch=st.sampled_from([64, 96, 160]))
def test_mask_and_picture_stay_registered(tmp_path_factory: pytest.TempPathFactory, seed: int, patch: int) -> None:
    pack = _card_pack(tmp_path_factory)
    recipe = Recipe.model_validate(
        {
            **{"name": "x", "network": "unet_lite0", "view": CLEAN},
            "sources": [{"kind": "registered", "fakes": ["s"], "share": 1, "parts": 0, "mixup": 0}],
            "stages": [{"steps": 1, "patch": patch, "pairs": 1, "rate": [1, 1]}],
        }
    )
    made = Bare(recipe, [pack], SIDE, MARGIN)
    made.pair(patch, np.random.default_rng(seed))
    (real, fake), mask = made.views, made.mask
    assert np.abs(real.astype(int) - 90).max() <= 1
    bright = fake[..., 0] > 165
    edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    # An edge that passes just outside the patch blends into its outermost pixels.
    edge[[0, -1]] = edge[:, [0, -1]] = True
    assert (bright == (mask > 0))[~edge].all()
    # The same geometry takes the landmarks along: each of them lies on the ellipse.
    for x, y in pack.landmarks[0] @ made.matrix[:, :2].T + made.matrix[:, 2]:
        if 2 <= x < patch - 2 and 2 <= y < patch - 2:
            assert mask[round(y), round(x)]


def _card_pack(factory: pytest.TempPathFactory) -> CropPack:
    folder = factory.getbasetemp() / "card"
    if not (folder / "index.npz").is_file():
        write_crop_pack(folder, [card()])
    return CropPack(folder)


@settings(max_examples=40)
@given(
    seed=seeds,
    patch=st.sampled_from([64, 128]),
    left=st.integers(0, 90),
    top=st.integers(0, 90),
    right=st.integers(110, 200),
    bottom=st.integers(110, 200),
)
def test_what_was_not_recorded_is_not_taught(
    tmp_path_factory: pytest.TempPathFactory, seed: int, patch: int, left: int, top: int, right: int, bottom: int
) -> None:
    from streamguard.training import drawing

    pack = _card_pack(tmp_path_factory)
    recipe = Recipe.model_validate(
        {
            **{"name": "x", "network": "unet_lite0", "sources": [{"kind": "registered", "fakes": ["s"], "share": 1}]},
            "stages": [{"steps": 1, "patch": patch, "pairs": 1, "rate": [1, 1]}],
        }
    )
    made = PairDrawer(recipe, [pack], SIDE, MARGIN)
    matrix = made._geometry(pack.box[0], patch, recipe.sources[0], np.random.default_rng(seed))
    inside = np.array([left, top, right, bottom], np.float32)
    taught = drawing._taught(inside, matrix, patch)
    # Brute force: each pixel of the patch, carried back.
    recorded = np.zeros((patch, patch), bool)
    inverse = cv2.invertAffineTransform(matrix)
    for y in range(patch):
        xs, ys = inverse[:, :2] @ np.stack([np.arange(patch), np.full(patch, y)]) + inverse[:, 2:]
        recorded[y] = (xs > left - 1e-6) & (xs < right - 1 + 1e-6) & (ys > top - 1e-6) & (ys < bottom - 1 + 1e-6)
    whole = recorded.reshape(patch // 2, 2, patch // 2, 2).all(axis=(1, 3))
    assert (taught.astype(bool) & ~whole).sum() == 0
    assert taught.sum() >= whole.sum() - 4


def test_the_live_crop_and_its_mask(tmp_path_factory: pytest.TempPathFactory) -> None:
    pack = _card_pack(tmp_path_factory)
    box = pack.box[0]
    crop = live_crop(pack.picture(pack.fake[0]), box, MARGIN)
    mask = live_mask(pack.mask_of(pack.mask[0]), box, MARGIN)
    assert crop.shape == (256, 256, 3)
    # 110 pixels of the face take 256 / 1.3 of the crop.
    assert mask.sum() == pytest.approx(math.pi * 45 * 55 * (256 / MARGIN / 110) ** 2, rel=0.05)
    edge = cv2.morphologyEx(mask, cv2.MORPH_GRADIENT, np.ones((7, 7), np.uint8)) > 0
    assert ((crop[..., 0] > 165) == (mask > 0))[~edge].all()
    ys, xs = np.nonzero(mask)
    assert (xs.mean(), ys.mean()) == pytest.approx((127.5, 127.5), abs=1.5)


# What is missing.


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({**REGISTERED, "fakes": ["loose"]}, "loose: no example that is registered"),
        ({**LOOSE, "fakes": ["real"]}, "real: no example that is a fake"),
        ({**BLENDS, "reals": ["elsewhere"]}, "elsewhere: no example that is real"),
    ],
)
def test_a_source_without_examples(folder: Path, tmp_path: Path, source: dict[str, object], words: str) -> None:
    with pytest.raises(DataError, match=words):
        drawer(folder, only(source, tmp_path))


def test_faces_without_landmarks_are_not_blended(tmp_path: Path) -> None:
    blind = replace(example(0, "bob", "real", "s"), landmarks=np.full((5, 2), np.nan, np.float32))
    write_crop_pack(tmp_path / "s", [blind, example(1, "ann", "real", "s")])
    made = PairDrawer(only({**BLENDS, "reals": ["s"]}, tmp_path), [CropPack(tmp_path / "s")], SIDE, MARGIN)
    assert made._sources[0].reals.groups == ["ann"]


def test_a_damaged_picture_is_told(tmp_path: Path) -> None:
    write_crop_pack(tmp_path / "s", [replace(card(), fake=b"damaged")])
    made = PairDrawer(only({**REGISTERED, "fakes": ["s"]}, tmp_path), [CropPack(tmp_path / "s")], SIDE, MARGIN)
    with pytest.raises(DataError, match="cannot be decoded"):
        made.batch(0)
