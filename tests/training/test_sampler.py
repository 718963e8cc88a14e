"""What a step learns from: deterministic, in the shares told, and worth looking at."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest

from streamguard.errors import DataError
from streamguard.training.donor_blend import donor_blend, similarity
from streamguard.training.preview import preview_sheet
from streamguard.training.sampler import Sampler, open_packs
from streamguard.training.selfblend import SelfBlend
from tests.support.training_data import CONFIG, micro_config, write_packs


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


def sampler(packs: Path, folder: Path, extra: str = "") -> Sampler:
    return Sampler(micro_config(folder, CONFIG + extra), open_packs(packs))


def test_equal_steps_give_equal_batches_and_others_do_not(packs: Path, tmp_path: Path) -> None:
    mine, theirs = sampler(packs, tmp_path), sampler(packs, tmp_path)
    for step in range(3):
        (pixels, truth), (again, truth_again) = mine.batch(step), theirs.batch(step)
        assert (pixels == again).all()
        assert (truth == truth_again).all()
    assert (mine.batch(0)[0] != mine.batch(1)[0]).any()


def test_every_fake_comes_with_its_real(packs: Path, tmp_path: Path) -> None:
    pixels, truth = sampler(packs, tmp_path).batch(0)
    assert pixels.shape == (2, 64, 64, 3)
    assert truth.shape == (2, 64, 64)
    assert not truth[0].any()
    assert set(np.unique(truth)) <= {0.0, 1.0}


def test_stages_follow_each_other_and_the_last_one_stays(packs: Path, tmp_path: Path) -> None:
    made = sampler(packs, tmp_path)
    assert [made.stage(step).patch for step in range(5)] == [64, 64, 96, 96, 96]


@pytest.mark.parametrize(
    ("shares", "kinds"),
    [
        ({"selfblend_share": 0, "mix_share": 0}, {"face swap"}),
        ({"selfblend_share": 0, "mix_share": 1}, {"part of a face swap"}),
        ({"selfblend_share": 1, "fresh_share": 0}, {"self-blend"}),
        ({"selfblend_share": 1, "fresh_share": 1, "donor_share": 1}, {"other face"}),
        ({"selfblend_share": 1, "fresh_share": 1, "donor_share": 0.5}, {"self-blend", "other face"}),
        ({"selfblend_share": 0.5, "mix_share": 0.5}, {"face swap", "part of a face swap", "self-blend"}),
    ],
)
def test_the_shares_decide_what_is_drawn(
    packs: Path, tmp_path: Path, shares: dict[str, float], kinds: set[str]
) -> None:
    made = sampler(packs, tmp_path, "".join(f"{key} = {value}\n" for key, value in shares.items()))
    counts = Counter(sample.kind for step in range(40) for sample in made.samples(step))
    assert set(counts) == kinds
    assert min(counts.values()) >= 5


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_donor_may_be_a_face_swap(packs: Path, tmp_path: Path, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_packs(packs)
    assert opened.pairs is not None
    swaps = {np.array(fake).tobytes() for fake in opened.pairs.fake[: len(opened.pairs)]}
    donors: list[bool] = []

    def watched(*arguments: Any) -> SelfBlend:
        donors.append(arguments[2].tobytes() in swaps)
        return donor_blend(*arguments)

    monkeypatch.setattr("streamguard.training.sampler.donor_blend", watched)
    text = f"{CONFIG}selfblend_share = 1\nfresh_share = 1\ndonor_share = 1\nswapped_donor_share = {share}\n"
    made = Sampler(micro_config(tmp_path, text), opened)
    for step in range(3):
        made.samples(step)
    assert donors == [share == 1.0] * 3


def test_the_donor_is_the_most_alike_of_a_few(packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = open_packs(packs)
    chosen: list[float] = []

    def watched(*arguments: Any) -> SelfBlend:
        chosen.append(similarity(arguments[3], arguments[1])[1])
        return donor_blend(*arguments)

    monkeypatch.setattr("streamguard.training.sampler.donor_blend", watched)
    text = f"{CONFIG}selfblend_share = 1\nfresh_share = 1\ndonor_share = 1\n"
    means = []
    for few in (1, 16):
        monkeypatch.setattr("streamguard.training.sampler.DONORS", few)
        monkeypatch.setattr("streamguard.training.sampler.TONE_WEIGHT", 0.0)
        made = Sampler(micro_config(tmp_path, text), opened)
        for step in range(20):
            made.samples(step)
        means.append(np.mean(chosen))
        chosen.clear()
    assert means[1] < means[0]


def test_a_plain_stage_is_plain(packs: Path, tmp_path: Path) -> None:
    text = CONFIG.replace("pairs = 1 }, {", "pairs = 1, plain_share = 1.0 }, {")
    made = Sampler(micro_config(tmp_path, text), open_packs(packs))
    assert {sample.kind for step in range(2) for sample in made.samples(step)} == {"plain swap"}


def test_a_pack_of_an_earlier_version_is_refused(packs: Path, tmp_path: Path) -> None:
    write_packs(tmp_path / "old")
    (tmp_path / "old" / "pairs" / "landmarks.npy").unlink()
    with pytest.raises(DataError, match="no complete pack"):
        open_packs(tmp_path / "old")


def test_the_preview_shows_real_fake_and_truth_of_every_stage(packs: Path, tmp_path: Path) -> None:
    made = sampler(packs, tmp_path)
    one, both = (matplotlib.image.imread(BytesIO(preview_sheet(made, starts))) for starts in ([0], [0, 2]))
    assert both.shape[0] == pytest.approx(2 * one.shape[0], abs=2)
    assert both.shape[1] == one.shape[1]
    # The outline of the truth is drawn in a colour of its own.
    cyan = (both[..., 0] < 0.1) & (abs(both[..., 1] - 230 / 255) < 0.1) & (both[..., 2] > 0.9)
    assert cyan.sum() > 200
