"""The training loop: it learns, it resumes bit for bit, it refuses what does not fit."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamguard.errors import DataError, OutputError, UnknownModel
from streamguard.models import fresh, load, save
from streamguard.training.config import TrainConfig
from streamguard.training.donor_blend import donor_blend
from streamguard.training.loop import Progress, Trainer, patches_seen
from streamguard.training.sampler import open_packs
from streamguard.training.selfblend import SelfBlend
from streamguard.training.start import decorrelate
from tests.support.training_data import CONFIG, micro_config, write_packs

LEARNING = """
name = "micro"
network = "unet_v1"
[data]
[train]
warmup_steps = 4
learning_rate = 2e-3
validate_every = 100
stages = [{ steps = 24, patch = 64, pairs = 3 }]
"""


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return micro_config(tmp_path)


def nothing(progress: Progress, loss: float) -> None:
    pass


def stop_after(step: int) -> Callable[[Progress, float], None]:
    def advance(progress: Progress, loss: float) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return advance


def test_a_few_steps_make_the_loss_fall(packs: Path, tmp_path: Path) -> None:
    losses: list[float] = []
    trainer = Trainer(micro_config(tmp_path, LEARNING), open_packs(packs), tmp_path / "c.pt")
    trainer.run(lambda progress, loss: losses.append(loss))
    assert len(losses) == 24
    assert np.mean(losses[-6:]) < 0.85 * np.mean(losses[:6])
    assert [step for step, _ in trainer.progress.losses] == [10, 20, 24]
    assert [step for step, _, _ in trainer.progress.validations] == [24]


def test_a_resumed_run_ends_in_the_same_weights(
    packs: Path, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamguard.training.loop.CHECKPOINT_EVERY", 2)
    straight = Trainer(config, open_packs(packs), tmp_path / "a.pt")
    straight.run(nothing)
    broken = Trainer(config, open_packs(packs), tmp_path / "b.pt")
    with pytest.raises(KeyboardInterrupt):
        broken.run(stop_after(2))
    resumed = Trainer(config, open_packs(packs), tmp_path / "b.pt")
    assert resumed.progress.step == 2
    resumed.run(nothing)
    assert resumed.progress == straight.progress
    mine, theirs = resumed.averaged().network.state_dict(), straight.averaged().network.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    assert not list(tmp_path.glob("*.partial"))


def test_a_finished_run_has_nothing_left_to_do(packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    Trainer(config, open_packs(packs), tmp_path / "c.pt").run(nothing)
    again = Trainer(config, open_packs(packs), tmp_path / "c.pt")
    again.run(lambda progress, loss: pytest.fail("a step was taken"))
    assert again.progress.step == again.total_steps == 3


def test_a_checkpoint_of_another_configuration_is_refused(packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    Trainer(config, open_packs(packs), tmp_path / "c.pt").run(nothing)
    other = micro_config(tmp_path, CONFIG + "seed = 2\n")
    with pytest.raises(DataError, match="another configuration"):
        Trainer(other, open_packs(packs), tmp_path / "c.pt")


@pytest.mark.parametrize("damage", ["empty", "text", "half"])
def test_a_damaged_checkpoint_is_refused(packs: Path, config: TrainConfig, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c.pt"
    if damage == "half":
        torch.save({"schema": "x", "weights": torch.zeros(10_000)}, path)
        path.write_bytes(path.read_bytes()[:20_000])
    else:
        path.write_bytes(b"" if damage == "empty" else b"not a checkpoint\n" * 100)
    with pytest.raises(DataError, match="damaged or of another network"):
        Trainer(config, open_packs(packs), path)


def test_a_checkpoint_runs_no_code(packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "owned",))

    torch.save({"schema": Evil()}, tmp_path / "c.pt")
    with pytest.raises(DataError, match="damaged"):
        Trainer(config, open_packs(packs), tmp_path / "c.pt")
    assert not (tmp_path / "owned").exists()


def test_a_full_disk_in_the_middle_of_a_checkpoint_keeps_the_last_one(
    packs: Path, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel itself refuses the bytes: a limit on the file size acts as a full disk does."""
    monkeypatch.setattr("streamguard.training.loop.CHECKPOINT_EVERY", 1)
    trainer = Trainer(config, open_packs(packs), tmp_path / "c.pt")
    with pytest.raises(KeyboardInterrupt):
        trainer.run(stop_after(1))
    before = (tmp_path / "c.pt").stat().st_mtime_ns
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            trainer.run(nothing)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (tmp_path / "c.pt").stat().st_mtime_ns == before
    assert not list(tmp_path.glob("*.partial"))
    assert Trainer(config, open_packs(packs), tmp_path / "c.pt").progress.step == 1


def test_somebody_on_both_sides_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="both sides of the split: ann"):
        open_packs(write_packs(tmp_path, validation="ann"))


def test_no_pack_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no training pack"):
        open_packs(tmp_path)


def test_an_unknown_network_is_refused(packs: Path, tmp_path: Path) -> None:
    other = micro_config(tmp_path, CONFIG.replace('network = "unet_v1"', 'network = "resnet"'))
    with pytest.raises(UnknownModel, match="no network of that name"):
        Trainer(other, open_packs(packs), tmp_path / "c.pt")


@pytest.mark.parametrize("missing", ["pairs", "selfblend"])
def test_one_training_pack_is_enough(packs: Path, config: TrainConfig, tmp_path: Path, missing: str) -> None:
    for name in {"pairs", "selfblend", "validation"} - {missing}:
        (tmp_path / "packs").mkdir(exist_ok=True)
        (tmp_path / "packs" / name).symlink_to(packs / name)
    Trainer(config, open_packs(tmp_path / "packs"), tmp_path / "c.pt").run(nothing)


def test_validation_leaves_training_as_it_was(packs: Path, config: TrainConfig, tmp_path: Path) -> None:
    trainer = Trainer(config, open_packs(packs), tmp_path / "c.pt")
    network = trainer.model.network
    before = {key: value.clone() for key, value in network.state_dict().items()}
    auc, dice = trainer.validate()
    assert 0 <= auc <= 1
    assert 0 <= dice <= 1
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_decorrelation_changes_the_first_layer_alone(config: TrainConfig) -> None:
    from streamguard.models import fresh

    plain, changed = fresh("unet_v1", 3).network.state_dict(), fresh("unet_v1", 3).network
    decorrelate(changed)
    differing = [key for key, value in changed.state_dict().items() if not torch.equal(value, plain[key])]
    assert differing == ["encoders.0.0.weight"]


def test_a_run_starts_from_the_weights_of_another(packs: Path, tmp_path: Path) -> None:
    save(fresh("unet_v1", 5), tmp_path / "first")
    onward = micro_config(tmp_path, CONFIG.replace("[train]", f'[train]\nstart_from = "{tmp_path / "first"}"'))
    trainer = Trainer(onward, open_packs(packs), tmp_path / "c.pt")
    given = load(str(tmp_path / "first")).network.state_dict()
    assert all(torch.equal(value, given[key]) for key, value in trainer.model.network.state_dict().items())


def test_a_start_of_another_network_is_refused(packs: Path, tmp_path: Path) -> None:
    save(fresh("unet_v1", 5), tmp_path / "first")
    text = CONFIG.replace("[train]", f'[train]\nstart_from = "{tmp_path / "first"}"').replace('"unet_v1"', '"unet"')
    with pytest.raises(DataError, match="not a unet"):
        Trainer(micro_config(tmp_path, text), open_packs(packs), tmp_path / "c.pt")


def test_other_peoples_faces_are_put_on_as_often_as_told(
    packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_on: list[float] = []
    for share in (0.0, 1.0):
        text = CONFIG + f"selfblend_share = 1.0\nfresh_share = 1.0\ndonor_share = {share}\n"
        trainer = Trainer(micro_config(tmp_path, text), open_packs(packs), tmp_path / f"{share}.pt")
        calls = 0

        def counted(*arguments: Any) -> SelfBlend:
            nonlocal calls
            calls += 1
            return donor_blend(*arguments)

        monkeypatch.setattr("streamguard.training.sampler.donor_blend", counted)
        trainer.run(nothing)
        put_on.append(calls)
    assert put_on == [0, 3]


def test_patches_seen(config: TrainConfig) -> None:
    assert list(patches_seen(config)) == [(64, 4), (96, 2)]
