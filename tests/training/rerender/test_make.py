"""The pack of faces rendered again: made once, of the training packs alone."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import pytest

from streamguard.errors import ConfigError, DataError
from streamguard.training.batched.sampler import BatchedSampler
from streamguard.training.config import TrainConfig
from streamguard.training.pack import Pack
from streamguard.training.rerender import Teacher, make_rerendered
from streamguard.training.sampler import Sampler, open_packs
from tests.support.training_data import CONFIG, micro_config, write_packs

TABLE = "[rerender]\nnetworks = [{ steps = 1, channels = 2 }, { steps = 1, upsampling = 'shuffle' }]\ntriples = 6\n"


def config(folder: Path, share: float = 1.0, table: str = TABLE) -> TrainConfig:
    return micro_config(folder, CONFIG + f"rerendered_share = {share}\nmix_share = 0.5\n" + table)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rerendered")
    packs = write_packs(folder / "packs")
    told: list[tuple[str, int, int]] = []
    assert make_rerendered(config(folder), packs, lambda *each: told.append(each)) == 6
    assert told[:2] == [("renderer 1 (nearest)", 1, 1), ("renderer 2 (shuffle)", 1, 1)]
    assert told[-1] == ("pack rerendered", 6, 6)
    return packs


def test_its_faces_are_of_people_that_are_trained_on(made: Path) -> None:
    pack = Pack(made / "rerendered")
    assert len(pack) == 6
    assert pack.persons() <= {"ann", "cid"}
    for index in range(6):
        assert 0 < pack.mask[index].mean() < 0.5
        assert (pack.real[index] != pack.fake[index]).any()


def test_what_is_complete_is_kept(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packs = Path(shutil.copytree(made, tmp_path / "packs"))
    before = (packs / "rerendered" / "fake.npy").read_bytes()
    # Networks that are finished are not taught again.
    monkeypatch.setattr(Teacher, "run", lambda *_: pytest.fail("taught again"))
    assert make_rerendered(config(tmp_path), packs, lambda *_: None) == 0
    shutil.rmtree(packs / "rerendered")
    assert make_rerendered(config(tmp_path), packs, lambda *_: None) == 6
    assert (packs / "rerendered" / "fake.npy").read_bytes() == before


def test_other_settings_are_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="made with other settings"):
        make_rerendered(config(tmp_path, table=TABLE.replace("triples = 6", "triples = 7")), made, lambda *_: None)


def test_a_share_needs_networks_and_a_pack(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="rerender"):
        config(tmp_path, table="")
    with pytest.raises(DataError, match="rerendered: there is no such pack"):
        Sampler(config(tmp_path), open_packs(write_packs(tmp_path / "packs")))


@pytest.mark.parametrize("batched", [False, True])
def test_the_share_decides_how_many_are_drawn(made: Path, tmp_path: Path, batched: bool) -> None:
    import torch

    plain = Sampler(config(tmp_path, 0.5), open_packs(made))
    drawn = BatchedSampler(plain, torch.device("cpu")) if batched else plain
    counts = Counter(sample.kind for step in range(60) for sample in drawn.samples(step))
    rendered = counts["rendered face"], counts["part of a rendered face"]
    assert min(rendered) >= 6
    assert 0.3 < sum(rendered) / counts.total() < 0.7


def test_without_a_share_nothing_else_is_drawn_than_before(made: Path, tmp_path: Path) -> None:
    bare = micro_config(tmp_path, CONFIG + "mix_share = 0.5\n")
    one, two = Sampler(bare, open_packs(made)), Sampler(config(tmp_path, 0.0), open_packs(made))
    for step in range(3):
        assert (one.batch(step)[0] == two.batch(step)[0]).all()
