"""What the detectors of a comparison learn from, and what they are tested on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamguard.errors import DataError
from streamguard.training.comparison.crosssets import SETS, cross_sets
from streamguard.training.comparison.material import Material, TrainedOn, training_config, training_packs
from streamguard.training.comparison.packs import Rows, later, part, without
from streamguard.training.config import TrainConfig
from streamguard.training.pack import Entry, Pack, Triple, write_pack
from streamguard.training.sampler import Packs, Sampler, open_packs
from tests.support.training_data import micro_config, triple, write_packs


def tanned(number: int, person: str) -> Triple:
    """The same face in other colours and mirrored: as good as another person here."""
    plain = triple(number, person, "selfblend")
    darker = np.clip(plain.real[:, ::-1] * np.array([0.8, 0.6, 0.4]), 0, 255).astype(np.uint8)
    marks = plain.landmarks[[1, 0, 2, 4, 3]] * (-1, 1) + (darker.shape[1] - 1, 0)
    return replace(plain, real=np.ascontiguousarray(darker), landmarks=marks.astype(np.float32))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packs in which `ann` of the pairs is among the self-blends, too."""
    place = write_packs(tmp_path_factory.mktemp("packs"))
    write_pack(place / "selfblend", [triple(n, "ann" if n % 2 else "cid", "selfblend") for n in range(4)], 4)
    write_pack(place / "calibration", [triple(0, "dot", "selfblend"), *(tanned(n, "eve") for n in range(1, 4))], 4)
    return place


@pytest.fixture(scope="module")
def packs(folder: Path) -> Packs:
    return open_packs(folder)


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return micro_config(tmp_path)


def kinds(config: TrainConfig, packs: Packs, trained_on: TrainedOn) -> set[str]:
    sampler = Sampler(training_config(config, trained_on, 64, 4), training_packs(packs, trained_on))
    return {sample.kind for step in range(8) for sample in sampler.samples(step)}


def test_rows_are_looked_up_and_not_copied(packs: Packs) -> None:
    assert packs.pairs is not None
    array = np.arange(12).reshape(4, 3)
    rows = Rows(array, [2, 0])
    array[2] += 100
    assert rows.shape == (2, 3)
    assert rows[0].tolist() == [106, 107, 108]
    some = part(packs.pairs, [3, 1])
    assert len(some) == 2
    assert np.array_equal(some.real[1], packs.pairs.real[1])
    assert len(packs.pairs) == 4


def test_persons_are_left_out(packs: Packs) -> None:
    assert packs.selfblend is not None
    left = without(packs.selfblend, {"ann"})
    assert left.persons() == {"cid"}
    assert np.array_equal(left.fake[1], packs.selfblend.fake[2])


def test_later_rows_stay_in_their_clip() -> None:
    entries = [Entry("p", clip, "pair") for clip in "aaabcc"]
    assert later(entries, 0) == [0, 1, 2, 3, 4, 5]
    assert later(entries, 1) == [1, 2, 2, 3, 5, 5]
    assert later(entries, 9) == [2, 2, 2, 3, 5, 5]
    assert later([], 1) == []


def test_each_material_holds_its_own_kinds_of_fakes(config: TrainConfig, packs: Packs) -> None:
    train = config.train.model_copy(update={"donor_share": 0.5, "fresh_share": 1.0})
    config = config.model_copy(update={"train": train})
    assert kinds(config, packs, "pairs") == {"face swap", "part of a face swap"}
    assert kinds(config, packs, "selfblends") == {"self-blend"}
    assert kinds(config, packs, "both") == {"face swap", "part of a face swap", "self-blend", "other face"}


def test_self_blends_are_of_nobody_in_the_pairs(packs: Packs) -> None:
    left = training_packs(packs, "selfblends")
    assert left.pairs is None
    assert left.selfblend is not None
    assert left.selfblend.persons() == {"cid"}


def test_material_that_is_not_there_is_refused(packs: Packs) -> None:
    assert packs.pairs is not None
    with pytest.raises(DataError, match="pack pairs: there is none"):
        training_packs(Packs(None, packs.selfblend, None), "pairs")
    with pytest.raises(DataError, match="pack selfblend: there is none"):
        training_packs(Packs(packs.pairs, None, None), "selfblends")
    with pytest.raises(DataError, match="nobody but the persons of the pairs"):
        training_packs(Packs(packs.pairs, packs.pairs, None), "selfblends")


def test_equal_steps_give_equal_batches(config: TrainConfig, packs: Packs) -> None:
    config = training_config(config, "both", 64, 2)
    one, two = (Material(config, packs).batch(3) for _ in range(2))
    assert one[0].shape == (4, 64, 64, 3)
    assert one[1].shape == (4, 64, 64)
    assert np.array_equal(one[0], two[0])
    assert not np.array_equal(one[0], Material(config, packs).batch(4)[0])
    assert not one[1][::2].any()


def test_a_tracks_frames_are_alike_but_not_the_same(config: TrainConfig, packs: Packs) -> None:
    plain = config.train.model_copy(update={"fresh_share": 0.0, "mix_share": 0.0})
    config = training_config(config.model_copy(update={"train": plain}), "pairs", 64, 2)
    one, two = (Material(config, training_packs(packs, "pairs"), 3).batch(0) for _ in range(2))
    tracks, truth = one
    assert tracks.shape == (4, 3, 64, 64, 3)
    assert truth.shape == (4, 64, 64)
    assert np.array_equal(tracks, two[0])
    assert truth[1].any()
    assert not truth[::2].any()
    for track in tracks.astype(int):
        assert not np.array_equal(track[0], track[1])
        # The same view of the same face: nearer than one track is to the other.
        assert np.abs(track[0] - track[1]).mean() < np.abs(tracks[0, 0].astype(int) - tracks[2, 0]).mean()


def test_the_three_sets(folder: Path, packs: Packs) -> None:
    sets = cross_sets(folder, packs, side=256, most=0, seed=1)
    assert [each.name for each in sets] == list(SETS)
    swaps, blends, others = sets
    validation, calibration = Pack(folder / "validation"), Pack(folder / "calibration")
    real, fake = swaps.views(1)
    assert np.array_equal(real, validation.real[1][32:288, 32:288])
    assert np.array_equal(fake, validation.fake[1][32:288, 32:288])
    assert np.array_equal(blends.views(2)[1], calibration.fake[2][32:288, 32:288])
    real, fake = others.views(0)
    change = np.abs(real.astype(int) - fake).mean(axis=2)
    # Another face in the middle, and the surroundings as they were.
    assert change[96:160, 96:160].mean() > 4 * change[:16].mean()
    assert change[:16].mean() < 1
    again = cross_sets(folder, packs, side=256, most=0, seed=1)[2]
    assert np.array_equal(again.views(0)[1], fake)
    assert not np.array_equal(cross_sets(folder, packs, side=256, most=0, seed=2)[2].views(0)[1], fake)


def test_tracks_of_a_set_are_consecutive_frames(folder: Path, packs: Packs) -> None:
    swaps, _, others = cross_sets(folder, packs, side=64, most=0, seed=1)
    real, fake = swaps.views(0, 3)
    assert real.shape == fake.shape == (3, 64, 64, 3)
    assert np.array_equal(real[0], swaps.views(0)[0])
    assert np.array_equal(real[1], swaps.views(1)[0])
    assert np.array_equal(real[2], real[1])
    assert others.views(1, 2)[1].shape == (2, 64, 64, 3)


def test_a_few_triples_are_spread_over_the_set(folder: Path, packs: Packs) -> None:
    assert [each.chosen for each in cross_sets(folder, packs, side=64, most=2, seed=1)] == [(0, 1), (0, 3), (0, 3)]


@pytest.mark.parametrize("missing", ["validation", "calibration"])
def test_a_missing_set_is_refused(folder: Path, packs: Packs, tmp_path: Path, missing: str) -> None:
    for name in {"validation", "calibration"} - {missing}:
        (tmp_path / name).symlink_to(folder / name)
    with pytest.raises(DataError, match=f"{missing}: no complete pack here"):
        cross_sets(tmp_path, packs, side=64, most=0, seed=1)


def test_nobody_is_trained_on_and_tested(folder: Path) -> None:
    seen = Pack(folder / "calibration")
    with pytest.raises(DataError, match="both sides of the split: dot, eve"):
        cross_sets(folder, Packs(None, seen, None), side=64, most=0, seed=1)
