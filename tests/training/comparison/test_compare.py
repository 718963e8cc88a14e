"""The whole comparison: rows are made, kept, gone on with and refused; the page shows them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.errors import ConfigError, DataError, OutputError, UnknownModel
from streamguard.models import LoadedModel, networks
from streamguard.training.comparison.compare import STEPS, ComparisonPlan, compare, home_of, only, timed
from streamguard.training.comparison.figures import (
    GRID,
    best_threshold,
    cross_figures,
    mask_levels,
    pair_dices,
    score_levels,
)
from streamguard.training.comparison.page import HOME, render, write_pages
from streamguard.training.held_out import HeldCrop, HeldOutCrops
from streamguard.training.pack import write_crop_pack
from streamguard.training.trainer import Trainer
from streamguard.verdict import raw_score
from tests.support.portraits import green_detector
from tests.support.training_data import example, held_packs, micro_recipe, write_packs


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"), validation=("cid", "dot"))


@pytest.fixture
def plan(packs: Path, tmp_path: Path) -> ComparisonPlan:
    stages = [{"steps": 9, "patch": 64, "pairs": 1, "rate": [1e-3, 1e-4]}]
    recipe = micro_recipe(tmp_path, stages=stages)
    return ComparisonPlan(recipe, packs, ("meso4",), ("all",), ("blur",), seconds=1.0, most=3)


def untrained(name: str, share: float, note: str) -> None:
    pytest.fail(f"{name} was made again")


def test_segmenters_and_classifiers_on_all_and_on_one_set(plan: ComparisonPlan, tmp_path: Path) -> None:
    told: list[tuple[str, float]] = []
    plan = replace(plan, networks=("unet_lite0", "meso4"), trained_on=("all", "swaps"), workers=2)
    rows = compare(plan, tmp_path / "out", lambda name, share, note: told.append((name, share)))
    assert [row.name for row in rows] == [
        "meso4, all",
        "unet_lite0, all",
        "meso4, swaps",
        "unet_lite0, swaps",
        "blur, nothing",
    ]
    unet, meso = rows[1], rows[2]
    assert list(unet.cells) == ["loose", "loose/Diffusion", "loose/Lips", "swaps"]
    assert unet.cells["swaps"].dice.value is not None
    assert meso.cells["swaps"].dice.value is None
    assert all(row.cells["swaps"].auc.value is not None for row in rows)
    assert (meso.home, unet.home) == (("swaps",), ("loose", "real", "swaps"))
    assert unet.patches == 2 * unet.steps
    assert unet.seconds >= 1
    assert meso.weights < unet.weights
    assert ("meso4, swaps", 1.0) in told
    assert not list((tmp_path / "out" / "checkpoints").iterdir())


def test_shipped_detectors_and_baselines_stand_beside(plan: ComparisonPlan, tmp_path: Path) -> None:
    networks.save(green_detector(), tmp_path / "green")
    references = (str(tmp_path / "green"), "blur", "sharpness", "brightness")
    green, blur, bright, sharp = compare(replace(plan, networks=(), references=references), tmp_path / "out")
    assert (green.name, blur.name) == ("green, as shipped", "blur, nothing")
    assert (bright.name, sharp.name) == ("brightness, nothing", "sharpness, nothing")
    assert green.cells["swaps"].auc.value == green.cells["loose/Lips"].auc.value == 1.0
    assert (green.cells["swaps"].dice.value or 0) > 0.8
    # A green face is darker than the same one.
    assert bright.cells["swaps"].auc.value == 0.0
    assert not green.home
    # A shipped detector keeps its own threshold; a baseline has none.
    frames = green.cells["swaps"].frames
    assert green.threshold == green_detector().spec.threshold
    assert frames is not None
    assert (frames.precision.value, frames.recall.value, frames.f1.value) == (1.0, 1.0, 1.0)
    assert blur.threshold is None
    assert blur.cells["swaps"].frames is None


def test_finished_rows_are_kept_and_others_join_them(plan: ComparisonPlan, tmp_path: Path) -> None:
    first = compare(plan, tmp_path)
    assert compare(plan, tmp_path, untrained) == first
    more = compare(replace(plan, networks=("resnet18",), trained_on=("swaps",), references=("brightness",)), tmp_path)
    assert [row.name for row in more] == ["meso4, all", "resnet18, swaps", "blur, nothing", "brightness, nothing"]
    assert (more[0], more[2]) == (first[0], first[1])


def test_a_broken_row_is_gone_on_with(plan: ComparisonPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamguard.training.trainer.SAVED_EVERY", 0.0)
    shares: list[float] = []

    def broken(name: str, share: float, note: str) -> None:
        shares.append(share)
        if len(shares) == 2:
            raise KeyboardInterrupt

    plan = replace(plan, references=(), seconds=3.0)
    with pytest.raises(KeyboardInterrupt):
        compare(plan, tmp_path / "out", broken)
    assert json.loads((tmp_path / "out" / "rows" / "meso4-all.json").read_text())["cells"] == {}
    with pytest.raises(DataError, match=r"`meso4, all` was made with other settings \(seconds\)"):
        compare(replace(plan, seconds=9.0), tmp_path / "out", untrained)
    later: list[float] = []
    (row,) = compare(plan, tmp_path / "out", lambda name, share, note: later.append(share))
    assert later[0] > shares[0]
    assert row.steps > 2
    assert row.cells


def test_a_row_that_only_lacks_its_figures_is_not_trained_again(
    plan: ComparisonPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: object) -> None:
        raise KeyboardInterrupt

    plan = replace(plan, references=(), seconds=3.0)
    with monkeypatch.context() as patch:
        patch.setattr("streamguard.training.comparison.compare.cross_figures", stopped)
        with pytest.raises(KeyboardInterrupt):
            compare(plan, tmp_path)
    monkeypatch.setattr(Trainer, "run", lambda *arguments, **more: pytest.fail("trained again"))
    (row,) = compare(plan, tmp_path)
    assert row.cells
    assert row.steps


@pytest.mark.parametrize(
    ("change", "words"),
    [({"seconds": 2.0}, "seconds"), ({"workers": 2}, "workers"), ({"most": 2}, "most"), ({"recipe": None}, "recipe")],
)
def test_rows_of_other_settings_are_refused_by_name(
    plan: ComparisonPlan, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    plan = replace(plan, references=())
    compare(plan, tmp_path)
    if "recipe" in change:
        change = {"recipe": plan.recipe.model_copy(update={"weight_decay": 0.5})}
    with pytest.raises(DataError, match=rf"meso4-all\.json: the row `meso4, all` was made with other .* \({words}\)"):
        compare(replace(plan, **change, networks=("resnet18",)), tmp_path, untrained)  # type: ignore[arg-type]  # one field


@pytest.mark.parametrize(("side", "words"), [("train", "training packs"), ("validation", "validation packs")])
def test_rows_of_other_packs_are_refused(plan: ComparisonPlan, tmp_path: Path, side: str, words: str) -> None:
    plan = replace(plan, packs=write_packs(tmp_path / "packs"), references=())
    compare(plan, tmp_path)
    write_crop_pack(plan.packs / side / "swaps", [example(n, "eve") for n in range(3)])
    with pytest.raises(DataError, match=rf"other settings \({words}\)"):
        compare(plan, tmp_path, untrained)


def test_another_detector_of_the_same_name_is_refused(plan: ComparisonPlan, tmp_path: Path) -> None:
    plan = replace(plan, networks=(), references=(str(tmp_path / "green"),))
    networks.save(green_detector(), tmp_path / "green")
    compare(plan, tmp_path)
    green = green_detector()
    networks.save(LoadedModel(replace(green.spec, threshold=0.7), green.network), tmp_path / "green")
    with pytest.raises(DataError, match=r"`green, as shipped` .* \(weights\)"):
        compare(plan, tmp_path, untrained)


@pytest.mark.parametrize("damage", ["", "{}", "no json"])
def test_a_damaged_row_is_refused(plan: ComparisonPlan, tmp_path: Path, damage: str) -> None:
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "meso4-all.json").write_text(damage)
    (tmp_path / "rows" / "xception-all.json").write_text(damage)
    with pytest.raises(DataError, match=r"meso4-all\.json, .*xception-all\.json: damaged or of another version"):
        compare(plan, tmp_path, untrained)


@pytest.mark.parametrize("label", ["fake", "real"])
def test_a_class_that_is_not_there_to_test_on_is_told_at_once(plan: ComparisonPlan, tmp_path: Path, label: str) -> None:
    held = replace(example(0, "cid"), **{label: None, "mask": None})  # type: ignore[arg-type]  # one field each
    write_crop_pack(tmp_path / "validation" / "swaps", [held])
    (tmp_path / "train").symlink_to(plan.packs / "train")
    with pytest.raises(DataError, match=f"no {label} face to test on"):
        compare(replace(plan, packs=tmp_path), tmp_path / "out", untrained)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"networks": ("meso4", "alexnet")}, UnknownModel, "alexnet: no network of that name. Choose one of unet"),
        ({"trained_on": ("celeb",)}, ConfigError, "no source of the recipe .* Choose all, loose, real, swaps"),
        ({"references": ("nowhere",)}, UnknownModel, "nowhere"),
        ({"networks": (), "references": ()}, DataError, "nothing to compare"),
        ({"references": ("blur", "blur")}, DataError, "asked for twice: blur, nothing"),
        ({"packs": Path("none")}, DataError, "no pack here"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_trained(
    plan: ComparisonPlan, tmp_path: Path, change: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        compare(replace(plan, **change), tmp_path / "out", untrained)  # type: ignore[arg-type]  # one field each
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written_is_told_at_once(plan: ComparisonPlan, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"rows: cannot be made"):
        compare(plan, tmp_path / "file", untrained)


def test_the_sources_of_one_set(plan: ComparisonPlan) -> None:
    recipe = plan.recipe
    assert only(recipe, "all") is recipe
    (loose,) = only(recipe, "loose").sources
    assert (loose.kind, loose.fakes) == ("loose", ("loose",))
    (blends,) = only(recipe, "real").sources
    assert (blends.kind, blends.reals) == ("selfblend", ("real",))
    mixed = recipe.sources[1].model_copy(update={"fakes": ("loose", "swaps"), "reals": ("real",)})
    (one,) = only(recipe.model_copy(update={"sources": (mixed,)}), "swaps").sources
    assert (one.fakes, one.reals) == (("swaps",), ("real",))
    # Only real faces of `real` are learned from there: its fakes are not at home.
    assert home_of(recipe.model_copy(update={"sources": (mixed,)})) == ("loose", "swaps")
    assert home_of(only(recipe, "real")) == ("real",)


def test_a_start_that_has_seen_other_sets_is_left_out(plan: ComparisonPlan) -> None:
    recipe = plan.recipe.model_copy(update={"network": "unet_lite0", "start_from": "imagenet"})
    assert timed(recipe, "unet_lite0").start_from == "imagenet"
    assert timed(recipe, "unet_v1").start_from == ""
    assert timed(recipe.model_copy(update={"start_from": "unet_lite0"}), "unet_lite0").start_from == ""
    assert timed(recipe, "meso4").steps == STEPS


def crop(group: str, fake: bool, set_: str = "a", program: str = "p", pair: int = -1) -> HeldCrop:
    mask = np.ones((4, 4), np.uint8) if pair >= 0 else None
    return HeldCrop(np.zeros((4, 4, 3), np.uint8), mask, fake, group, set_, program, "file", pair)


def test_figures_by_set_and_program() -> None:
    crops = [crop("ann", False), crop("ann", True), crop("bob", False), crop("bob", True, program="q")]
    cells = cross_figures([*crops, crop("cid", True, "b")], np.array([0.1, 0.2, 0.3, 0.4, 0.25]), np.full(5, np.nan))
    assert list(cells) == ["a", "a/p", "a/q", "b"]
    assert [cell.auc.value for cell in cells.values()] == [0.75, 0.5, 1.0, 0.5]
    # A set without real faces is held against all.
    assert (cells["b"].fakes, cells["b"].reals) == (1, 2)
    assert cells["a"].dice.value is None


def test_dice_counts_both_halves() -> None:
    crops = [crop("ann", False), crop("ann", True, pair=0), crop("bob", False), crop("bob", True, pair=2)]
    empty, full = np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)
    dices = pair_dices(crops, [empty, full, full, full])
    assert np.array_equal(dices, [np.nan, 1.0, np.nan, 0.5], equal_nan=True)
    assert cross_figures(crops, np.arange(4.0), dices)["a"].dice.value == 0.75


def test_frames_and_videos_are_called_fake() -> None:
    crops = [crop("ann", fake=False)] * 4 + [crop("ann", fake=True)] * 4 + [crop("bob", fake=True, program="q")] * 2
    called = np.array([1, 0, 0, 1, 1, 1, 1, 0, 0, 0], dtype=bool)
    cells = cross_figures(crops, np.arange(10.0), np.full(10, np.nan), called)
    frames, videos = cells["a"].frames, cells["a"].videos
    assert frames is not None
    assert videos is not None
    assert (frames.precision.value, frames.recall.value) == (3 / 5, 3 / 6)
    assert frames.f1.value == pytest.approx(2 * 3 / (5 + 6))
    # Half of the real clip is no majority, and two crops are no video.
    assert (videos.precision.value, videos.recall.value, videos.f1.value) == (1.0, 1.0, 1.0)
    assert cells["a/q"].frames is not None
    assert cells["a/q"].frames.precision.value == pytest.approx(0.0)
    assert (videos.fakes, videos.reals) == (1, 1)
    # Fakes alone tell nothing of what is called fake wrongly.
    alone = cross_figures(crops[4:], np.arange(6.0), np.full(6, np.nan), called[4:])["a"]
    assert (alone.frames, alone.videos) == (None, None)


def test_a_real_recording_of_several_fakes_is_one_video() -> None:
    reals = [crop("ann", fake=False, program=program) for program in "pqpq"]
    crops = [*reals, *[crop("ann", fake=True, program=program) for program in "ppqqpq"]]
    videos = cross_figures(crops, np.arange(10.0), np.full(10, np.nan), np.arange(10) > 3)["a"].videos
    assert videos is not None
    assert (videos.fakes, videos.reals) == (2, 1)


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(DataError, match="not finite"):
        cross_figures([crop("ann", False), crop("ann", True)], np.array([0.1, np.nan]), np.full(2, np.nan))


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"), st.floats(0, 1)), max_size=30))
def test_the_threshold_is_the_best_of_the_grid(drawn: list[tuple[bool, str, float]]) -> None:
    crops, scores = [crop("ann", fake, name) for fake, name, _ in drawn], np.array([score for *_, score in drawn])
    place = best_threshold(crops, score_levels(scores), ("a", "b"), ("b", "c"))

    def share(threshold: float, label: bool, names: str) -> float:
        """The mean over the sets of the share that is called what it is."""
        return float(
            np.mean(
                [
                    np.mean(
                        [(score > threshold) == fake for fake, name, score in drawn if (fake, name) == (label, own)]
                    )
                    for own in names
                    if (label, own) in {(fake, name) for fake, name, _ in drawn}
                ]
            )
        )

    kinds = {(fake, name) for fake, name, _ in drawn}
    if not kinds & {(True, "a"), (True, "b")} or not kinds & {(False, "b"), (False, "c")}:
        assert place is None
        return
    right = [share(threshold, True, "ab") + share(threshold, False, "bc") for threshold in GRID]
    if place is None:
        assert max(right) < 1 + 1e-6
    else:
        assert right[place] == pytest.approx(max(right))


def test_the_threshold_lies_in_the_middle_of_those_as_good() -> None:
    crops = [crop("ann", False), crop("ann", True)]
    place = best_threshold(crops, score_levels(np.array([0.22, 0.88])), ("a",), ("a",))
    assert place is not None
    assert GRID[place] == pytest.approx(0.55)
    assert best_threshold(crops, score_levels(np.array([0.5, 0.5])), ("a",), ("a",)) is None


def test_a_map_is_fake_up_to_the_level_of_its_largest_component() -> None:
    probability = np.zeros((64, 64), np.uint8)
    probability[:20, :20] = round(0.5 * 255)
    probability[40:45, 40:45] = 255
    (level,) = mask_levels([probability], smallest=100)
    assert GRID[level - 1] <= 0.5 < GRID[level]
    assert mask_levels([probability], smallest=10)[0] == len(GRID)


def test_figures_are_those_of_the_learning_curve(packs: Path) -> None:
    held, model = HeldOutCrops(held_packs(packs), 1.3), green_detector()
    maps = held.maps(model)
    cells = cross_figures(held.crops, np.array([raw_score(each) for each in maps]), pair_dices(held.crops, maps))
    for name, figures in held.measure(model).items():
        cell = cells[name]
        assert (cell.fakes, cell.reals) == (figures.fakes, figures.reals)
        assert cell.dice.value == pytest.approx(figures.dice)
        assert cell.auc.value == figures.auc


def test_the_page_and_the_json_hold_every_row(plan: ComparisonPlan, tmp_path: Path) -> None:
    rows = compare(plan, tmp_path)
    evil = replace(rows[0], network="<script>alert(1)</script>")
    html = render([*rows, evil])
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "http" not in html.replace("http-equiv", "")
    for words in (
        "trained on all",
        "loose/Lips",
        "swaps (3 + 3)",
        "rgba(",
        HOME,
        "12.6 k",
        "Frames called fake",
        "everything called fake",
    ):
        assert words in html
    assert write_pages(rows, tmp_path).read_text() == render(rows)
    document = json.loads((tmp_path / "comparison.json").read_text())
    assert document["schema"] == "streamguard.comparison/3"
    assert [row["network"] for row in document["rows"]] == ["meso4", "blur"]
    assert document["rows"][0]["cells"]["swaps"]["auc"]["value"] == rows[0].cells["swaps"].auc.value
