"""The whole comparison: easy fakes are learned, finished rows are kept, what does not fit is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamguard import models
from streamguard.errors import DataError, UnknownModel
from streamguard.training.comparison.compare import AS_SHIPPED, Plan, Row, Watcher, compare
from streamguard.training.comparison.crosssets import SETS
from streamguard.training.comparison.figures import Judged, set_figures
from streamguard.training.comparison.page import CURVES, auc_picture, loss_picture, render, write_json
from streamguard.training.comparison.trainer import Budget, Reached
from streamguard.training.config import TrainConfig
from streamguard.training.evaluation.pictures import LIGHT
from streamguard.training.pack import write_pack
from tests.support.portraits import green_detector
from tests.support.training_data import micro_config, triple, write_packs

PLAN = Plan(("meso4",), ("both",), ("blur",), Budget(crops=16), side=64, pairs=2, most=2)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return micro_config(tmp_path)


def untrained(row: str, share: float, reached: Reached, loss: float) -> None:
    pytest.fail(f"{row} was trained again")


def unjudged(row: str, share: float) -> None:
    pytest.fail(f"{row} was judged again")


@pytest.mark.parametrize("name", ["resnet18", "unet_v1"])
def test_easy_fakes_are_learned(name: str, packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    plan = replace(PLAN, detectors=(name,), trained_on=("pairs",), references=(), budget=Budget(crops=160), pairs=4)
    (row,) = compare(config, packs, plan, tmp_path / "out")
    assert row.sets["pairs"].frames.value is not None
    assert row.sets["pairs"].frames.value > 0.9
    assert row.sets["selfblends"].frames.value == 1.0
    assert row.crops == 160
    assert np.mean([loss for _, loss in row.losses[-3:]]) < np.mean([loss for _, loss in row.losses[:3]])


def test_a_shipped_detector_is_judged_as_it_is(packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    models.save(green_detector(), tmp_path / "green")
    plan = replace(PLAN, detectors=(), references=(str(tmp_path / "green"), "blur"))
    green, blur = compare(config, packs, plan, tmp_path / "out")
    assert (green.detector, green.trained_on, green.crops) == ("green", AS_SHIPPED, 0)
    for name in ("pairs", "selfblends"):
        assert green.sets[name].frames.value == 1.0
        assert green.sets[name].accuracy.value == 1.0
    assert green.sets["pairs"].by_person == {"bob": 1.0}
    # Blends of a real face hold nothing green.
    assert green.sets["otherfaces"].accuracy.value == 0.5
    assert blur.sets["pairs"].accuracy.value is None


def test_finished_rows_are_kept_and_others_join_them(packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = compare(config, packs, PLAN, out)
    assert [row.name for row in first] == ["meso4, both", "blur, nothing"]
    assert compare(config, packs, PLAN, out, Watcher(untrained, unjudged)) == first
    more = compare(config, packs, replace(PLAN, detectors=("conv_vit",), trained_on=("pairs",)), out)
    assert [row.name for row in more] == ["conv_vit, pairs", "meso4, both", "blur, nothing"]
    assert more[1:] == first


def test_other_crops_are_judged_without_training_again(packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    out = tmp_path / "out"
    before = {row.name: row for row in compare(config, packs, PLAN, out)}
    after = {row.name: row for row in compare(config, packs, replace(PLAN, most=1), out, Watcher(untrained))}
    assert after["meso4, both"].sets["pairs"].crops == 2
    assert after["meso4, both"].losses == before["meso4, both"].losses


def test_a_broken_comparison_goes_on_where_it_stopped(
    packs: Path, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamguard.training.comparison.trainer.SAVE_EVERY", 0.0)

    def stop(row: str, share: float, reached: Reached, loss: float) -> None:
        if share >= 0.5:
            raise KeyboardInterrupt

    plan = replace(PLAN, references=())
    (straight,) = compare(config, packs, plan, tmp_path / "a")
    with pytest.raises(KeyboardInterrupt):
        compare(config, packs, plan, tmp_path / "b", Watcher(stop))
    shares: list[float] = []
    (resumed,) = compare(
        config, packs, plan, tmp_path / "b", Watcher(lambda row, share, reached, loss: shares.append(share))
    )
    assert shares == [0.75, 1.0]
    assert resumed.sets == straight.sets
    assert resumed.losses == straight.losses


@pytest.mark.parametrize(
    "change", [{"budget": Budget(crops=20)}, {"side": 96}, {"pairs": 3}], ids=["budget", "side", "pairs"]
)
def test_rows_that_cannot_be_compared_are_refused(
    packs: Path, config: TrainConfig, tmp_path: Path, change: dict[str, object]
) -> None:
    compare(config, packs, PLAN, tmp_path / "out")
    with pytest.raises(DataError, match=rf"other settings \({next(iter(change))}"):
        compare(config, packs, replace(PLAN, **change), tmp_path / "out")  # type: ignore[arg-type]  # one field each


def test_rows_of_other_packs_are_refused(packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    place = write_packs(tmp_path / "packs")
    compare(config, place, PLAN, tmp_path / "out")
    write_pack(place / "pairs", [triple(n, "ann") for n in range(3)], 3)
    with pytest.raises(DataError, match=r"other settings \(packs"):
        compare(config, place, PLAN, tmp_path / "out")


@pytest.mark.parametrize("damage", ["", "{}", "no json"])
def test_a_damaged_row_is_refused(packs: Path, config: TrainConfig, tmp_path: Path, damage: str) -> None:
    compare(config, packs, PLAN, tmp_path / "out")
    (tmp_path / "out" / "meso4-both" / "row.json").write_text(damage)
    with pytest.raises(DataError, match=r"row\.json: damaged or of another version"):
        compare(config, packs, PLAN, tmp_path / "out")


def test_what_is_wrong_is_told_before_anything_is_trained(packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    watcher, out = Watcher(untrained, unjudged), tmp_path / "out"
    for change, error, words in (
        ({"detectors": ("meso4", "alexnet")}, UnknownModel, "alexnet"),
        ({"references": ("nowhere",)}, UnknownModel, "nowhere"),
        ({"detectors": (), "references": ()}, DataError, "nothing to compare"),
    ):
        with pytest.raises(error, match=words):
            compare(config, packs, replace(PLAN, **change), out, watcher)
    with pytest.raises(DataError, match="no training pack here"):
        compare(config, tmp_path / "none", PLAN, out, watcher)
    assert not out.exists()


@pytest.mark.parametrize(("missing", "words"), [("calibration", "no complete pack"), ("pairs", "pack pairs")])
def test_a_missing_pack_is_told_before_anything_is_trained(
    packs: Path, config: TrainConfig, tmp_path: Path, missing: str, words: str
) -> None:
    (tmp_path / "packs").mkdir()
    for name in {"pairs", "selfblend", "validation", "calibration"} - {missing}:
        (tmp_path / "packs" / name).symlink_to(packs / name)
    plan = replace(PLAN, trained_on=("both", "pairs"))
    with pytest.raises(DataError, match=words):
        compare(config, tmp_path / "packs", plan, tmp_path / "out", Watcher(untrained, unjudged))


def test_references_of_one_name_are_refused(packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    for place in ("a", "b"):
        models.save(green_detector(), tmp_path / place / "green")
    plan = replace(PLAN, references=(str(tmp_path / "a" / "green"), str(tmp_path / "b" / "green")))
    with pytest.raises(DataError, match="two references are called green"):
        compare(config, packs, plan, tmp_path / "out", Watcher(untrained, unjudged))


def judged(*rows: tuple[str, str, bool, float]) -> list[Judged]:
    return [Judged(*row) for row in rows]


def test_the_figures_of_a_set() -> None:
    figures = set_figures(
        judged(
            ("ann", "a1", False, 0.1),
            ("ann", "a1", True, 0.2),
            ("ann", "a2", False, 0.3),
            ("ann", "a2", True, 0.4),
            ("bob", "b1", False, 0.8),
            ("bob", "b1", True, 0.9),
        )
    )
    # Of nine pairs of a fake and a real one, 0.2 > 0.1, 0.4 > 0.1, 0.3, and 0.9 > all three.
    assert figures.frames.value == figures.videos.value == pytest.approx(6 / 9)
    assert figures.by_person == {"ann": 0.75, "bob": 1.0}
    assert figures.persons.value == pytest.approx(0.875)
    assert figures.accuracy.value == pytest.approx(3 / 6)
    assert figures.crops == 6
    assert figures.frames.clips == 6


def test_a_videos_score_is_the_mean_of_its_crops() -> None:
    scores = [("real", False, 0.6), ("real", False, 0.0), ("fake", True, 0.5), ("fake", True, 0.5)]
    figures = set_figures(judged(*(("ann", "clip", label, score) for _, label, score in scores)))
    assert figures.videos.value == 1.0
    assert figures.frames.value == 0.5
    assert figures.videos.reason == "no interval: a class holds one clip only"


def test_a_set_of_one_class_has_no_auc() -> None:
    figures = set_figures(judged(("ann", "a", True, 0.7), ("bob", "b", True, 0.2)))
    assert figures.frames.value is None
    assert figures.persons.value is None
    assert figures.accuracy.value == 0.5


def test_the_page_and_the_json_hold_every_row(packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    rows = compare(config, packs, PLAN, tmp_path / "out")
    evil = replace(rows[0], detector="<script>alert(1)</script>")
    html = render([*rows, evil])
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "http://" not in html.replace("http://www.w3.org", "")
    assert all(title in html for title in SETS.values())
    assert html.count("data:image/png") == 2 * (len(SETS) + 1)
    write_json(rows, tmp_path / "compare.json")
    document = json.loads((tmp_path / "compare.json").read_text())
    assert document["schema"] == "streamguard.compare/1"
    assert [row["detector"] for row in document["rows"]] == ["meso4", "blur"]
    assert document["rows"][0]["sets"]["pairs"]["frames"]["value"] == rows[0].sets["pairs"].frames.value


def test_nothing_is_drawn_of_nothing() -> None:
    empty = Row("a", "both", 1, {name: set_figures([]) for name in SETS}, {})
    assert auc_picture([empty], "pairs", LIGHT) is None
    assert loss_picture([empty], LIGHT) is None
    known = replace(empty, losses=[(1, 1.0), (2, 0.5)])
    assert (loss_picture([known] * (CURVES + 5), LIGHT) or b"").startswith(b"\x89PNG")
