"""Batches made on the device: by seed and step alone, in the shares told, alike to those made one by one."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

from streamguard.training.feed import samples_of
from streamguard.training.preview import preview_sheet
from streamguard.training.sampler import Sample, open_packs
from tests.support.training_data import CONFIG, micro_config, write_packs
from tests.training.batched.material import samplers

EVERY_KIND = "selfblend_share = 0.6\nfresh_share = 0.8\ndonor_share = 0.5\nmix_share = 0.5\n"


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


def test_equal_steps_give_equal_batches_and_others_do_not(packs: Path, tmp_path: Path) -> None:
    (_, mine), (_, theirs) = (samplers(packs, tmp_path, EVERY_KIND) for _ in range(2))
    # In another order, as after a resumption.
    made = {step: mine.make(mine.gather(step)) for step in (0, 1, 2)}
    for step in (2, 0):
        pixels, truth = theirs.make(theirs.gather(step))
        assert torch.equal(pixels, made[step][0])
        assert torch.equal(truth, made[step][1])
    assert not torch.equal(made[0][0], made[1][0])


def test_another_seed_gives_other_batches(packs: Path, tmp_path: Path) -> None:
    one, two = (samplers(packs, tmp_path, f"seed = {seed}\n")[1] for seed in (1, 2))
    assert not torch.equal(one.make(one.gather(0))[0], two.make(two.gather(0))[0])


def test_every_fake_comes_with_its_real(packs: Path, tmp_path: Path) -> None:
    _, batched = samplers(packs, tmp_path, EVERY_KIND)
    pixels, truth = batched.make(batched.gather(0))
    assert pixels.shape == (12, 3, 64, 64)
    assert truth.shape == (12, 64, 64)
    assert not truth[::2].any()
    assert set(truth.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(pixels, pixels.round().clamp(0, 255))
    # Off the mask's reach real and fake are one picture; what was blended lies inside.
    moved = (pixels[1::2] - pixels[::2]).abs().sum(dim=1)
    assert moved[truth[1::2] > 0].mean() > 3 * moved[truth[1::2] == 0].mean()


@pytest.mark.parametrize(
    ("shares", "kinds"),
    [
        ("selfblend_share = 0\nmix_share = 0\n", {"face swap"}),
        ("selfblend_share = 0\nmix_share = 1\n", {"part of a face swap"}),
        ("selfblend_share = 1\nfresh_share = 0\n", {"self-blend"}),
        ("selfblend_share = 1\nfresh_share = 1\ndonor_share = 1\n", {"other face"}),
        (EVERY_KIND, {"face swap", "part of a face swap", "self-blend", "other face"}),
    ],
)
def test_what_is_drawn_is_what_the_other_sampler_draws(
    packs: Path, tmp_path: Path, shares: str, kinds: set[str]
) -> None:
    one, batched = samplers(packs, tmp_path, shares, pairs=8)
    counts: list[Counter[str]] = []
    for gathered in (
        [sample.kind for step in range(8) for sample in one.samples(step)],
        [kind for step in range(8) for kind in batched.gather(step).kinds],
    ):
        counts.append(Counter(gathered))
        assert set(gathered) == kinds
    # The first choice of a step is drawn from the same state.
    assert one.samples(0)[0].example == batched.gather(0).examples[0]


def test_a_plain_stage_is_plain(packs: Path, tmp_path: Path) -> None:
    text = CONFIG.replace("pairs = 1 }, {", "pairs = 4, plain_share = 1.0 }, {") + 'augment_on = "device"\n'
    made = samples_of(micro_config(tmp_path, text), open_packs(packs))
    assert {sample.kind for step in range(2) for sample in made.samples(step)} == {"plain swap"}


@pytest.mark.parametrize("missing", ["pairs", "selfblend"])
def test_one_training_pack_is_enough(packs: Path, tmp_path: Path, missing: str) -> None:
    (tmp_path / "packs").mkdir()
    for name in {"pairs", "selfblend"} - {missing}:
        (tmp_path / "packs" / name).symlink_to(packs / name)
    _, batched = samplers(tmp_path / "packs", tmp_path, EVERY_KIND)
    assert len(batched.samples(0)) == 6


def figures(samples: list[Sample]) -> np.ndarray:
    """Brightness, contrast, detail, share of fake pixels, and how much they differ from the real ones."""
    rows = []
    for sample in samples:
        real, fake, marked = (
            sample.patches.real.astype(float),
            sample.patches.fake.astype(float),
            sample.patches.mask > 0,
        )
        changed = np.abs(fake - real).mean(axis=2)[marked].mean() if marked.any() else 0.0
        rows.append((real.mean(), real.std(), np.abs(np.diff(real, axis=1)).mean(), marked.mean() * 100, changed))
    return np.mean(rows, axis=0)


@pytest.mark.slow
@pytest.mark.parametrize("donors", [0, 1])
def test_statistics_are_those_of_the_fakes_made_one_by_one(packs: Path, tmp_path: Path, donors: int) -> None:
    shares = f"selfblend_share = 1\nfresh_share = 1\ndonor_share = {donors}\n"
    one, batched = samplers(packs, tmp_path, shares, pairs=20)
    mine, theirs = (figures([sample for step in range(5) for sample in made.samples(step)]) for made in (batched, one))
    assert mine[:4] == pytest.approx(theirs[:4], rel=0.15)
    assert mine[4] == pytest.approx(theirs[4], rel=0.35, abs=1.0)


def test_the_preview_shows_what_the_device_makes(packs: Path, tmp_path: Path) -> None:
    made = samples_of(micro_config(tmp_path, CONFIG + 'augment_on = "device"\n'), open_packs(packs))
    sheet = matplotlib.image.imread(BytesIO(preview_sheet(made, [0, 2])))
    cyan = (sheet[..., 0] < 0.1) & (abs(sheet[..., 1] - 230 / 255) < 0.1) & (sheet[..., 2] > 0.9)
    assert cyan.sum() > 200
