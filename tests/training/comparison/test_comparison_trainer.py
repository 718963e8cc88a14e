"""Training one network of a comparison: it learns, it keeps its budget, it resumes bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from streamguard.errors import DataError, OutputError, UnknownModel
from streamguard.models.store import SHAPES
from streamguard.training.comparison import trainer as module
from streamguard.training.comparison.learner import Learner, entropy, highest_sixteenth, learner, names, squared_error
from streamguard.training.comparison.material import Material, training_config
from streamguard.training.comparison.trainer import Budget, ComparisonTrainer, Reached
from streamguard.training.config import TrainConfig
from streamguard.training.sampler import Packs, open_packs
from tests.support.training_data import micro_config, write_packs


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Packs:
    return open_packs(write_packs(tmp_path_factory.mktemp("packs")))


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return micro_config(tmp_path)


SHORT = Budget(crops=24)


def make(name: str, config: TrainConfig, packs: Packs, checkpoint: Path, budget: Budget = SHORT) -> ComparisonTrainer:
    new = learner(name, config, 64)
    material = Material(training_config(config, "both", 64, 2), packs, new.frames)
    return ComparisonTrainer(new, material, budget, {"detector": name}, checkpoint, seed=1)


def nothing(reached: Reached, loss: float) -> None:
    pass


def stop_after(step: int) -> Callable[[Reached, float], None]:
    def advance(reached: Reached, loss: float) -> None:
        if reached.step == step:
            raise KeyboardInterrupt

    return advance


@pytest.mark.parametrize("name", ["meso4", "conv_vit", "unet_v1", "cnn_lstm"])
def test_a_resumed_run_ends_in_the_same_weights(
    name: str, packs: Packs, config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SAVE_EVERY", 0.0)
    budget = Budget(crops=128 if name == "cnn_lstm" else 16)
    straight = make(name, config, packs, tmp_path / "a.pt", budget)
    straight.run(nothing)
    broken = make(name, config, packs, tmp_path / "b.pt", budget)
    with pytest.raises(KeyboardInterrupt):
        broken.run(stop_after(2))
    resumed = make(name, config, packs, tmp_path / "b.pt", budget)
    assert resumed.reached.step == 2
    resumed.run(nothing)
    assert resumed.reached.step == straight.reached.step == 4
    assert resumed.reached.losses == straight.reached.losses
    mine, theirs = resumed.network.state_dict(), straight.network.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    assert not list(tmp_path.glob("*.partial"))


def test_training_draws_nothing_from_the_processs_own_chance(packs: Packs, config: TrainConfig, tmp_path: Path) -> None:
    state = torch.get_rng_state()
    make("meso4", config, packs, tmp_path / "a.pt").run(nothing)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_budget_of_crops_is_kept(packs: Packs, config: TrainConfig, tmp_path: Path) -> None:
    trainer = make("meso4", config, packs, tmp_path / "a.pt", Budget(crops=10))
    trainer.run(nothing)
    assert (trainer.reached.step, trainer.reached.crops) == (3, 12)
    again = make("meso4", config, packs, tmp_path / "a.pt", Budget(crops=10))
    again.run(lambda reached, loss: pytest.fail("a step was taken"))
    assert again.reached == trainer.reached


def test_a_budget_of_seconds_counts_over_interruptions(packs: Packs, config: TrainConfig, tmp_path: Path) -> None:
    trainer = make("meso4", config, packs, tmp_path / "a.pt", Budget(seconds=0.3))
    trainer.run(nothing)
    assert trainer.reached.seconds >= 0.3
    assert trainer.reached.share(Budget(seconds=0.3)) == 1
    again = make("meso4", config, packs, tmp_path / "a.pt", Budget(seconds=0.3))
    again.run(lambda reached, loss: pytest.fail("a step was taken"))


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [module._schedule(share) for share in np.linspace(0, 1, 101)]
    peak = int(np.argmax(rates))
    assert peak == 3
    assert rates[:4] == sorted(rates[:4])
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert math.isclose(rates[-1], 0.01)


def test_a_checkpoint_of_another_network_or_setting_is_refused(
    packs: Packs, config: TrainConfig, tmp_path: Path
) -> None:
    make("meso4", config, packs, tmp_path / "a.pt").run(nothing)
    with pytest.raises(DataError, match="made with other settings"):
        make("unet_v1", config, packs, tmp_path / "a.pt")
    # Even where the settings claim to be the same.
    state = torch.load(tmp_path / "a.pt", weights_only=True)
    torch.save({**state, "identity": {"detector": "conv_vit"}}, tmp_path / "a.pt")
    with pytest.raises(DataError, match="damaged or of another network"):
        make("conv_vit", config, packs, tmp_path / "a.pt")


@pytest.mark.parametrize("damage", ["empty", "text", "half", "list"])
def test_a_damaged_checkpoint_is_refused(packs: Packs, config: TrainConfig, tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.pt"
    if damage == "half":
        make("meso4", config, packs, path).run(nothing)
        path.write_bytes(path.read_bytes()[:20_000])
    elif damage == "list":
        torch.save([], path)
    else:
        path.write_bytes(b"" if damage == "empty" else b"not a checkpoint\n" * 100)
    with pytest.raises(DataError, match="damaged or of another network"):
        make("meso4", config, packs, path)


def test_a_checkpoint_that_cannot_be_written_is_told(packs: Packs, config: TrainConfig, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        make("meso4", config, packs, tmp_path / "file" / "a.pt").run(nothing)


def test_a_loss_without_end_is_told(packs: Packs, config: TrainConfig, tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64 * 64, 1), nn.Flatten(0))
    nn.init.constant_(network[1].bias, math.nan)  # type: ignore[arg-type]  # a layer's bias is no submodule
    broken = Learner(network, 1, entropy, lambda output: output, 1e-3)
    material = Material(training_config(config, "both", 64, 2), packs)
    trainer = ComparisonTrainer(broken, material, Budget(crops=8), {}, tmp_path / "nan" / "a.pt")
    with pytest.raises(DataError, match="nan: the loss is no finite number"):
        trainer.run(nothing)


def test_what_is_learned_is_whether_anything_is_fake() -> None:
    truth = torch.zeros(2, 8, 8)
    truth[1, 3, 3] = 1
    right, wrong = torch.tensor([-9.0, 9.0]), torch.tensor([9.0, -9.0])
    for loss in (entropy, squared_error):
        assert loss(right, truth) < 0.001
        assert loss(wrong, truth) > 0.9


def test_a_maps_logit_is_the_mean_of_its_highest_sixteenth() -> None:
    output = torch.arange(64.0).view(1, 1, 8, 8)
    assert highest_sixteenth(output).tolist() == [(60 + 61 + 62 + 63) / 4]


def test_all_that_can_be_trained_has_a_name(config: TrainConfig) -> None:
    assert set(SHAPES) < set(names())
    with pytest.raises(UnknownModel, match="meso4, resnet18"):
        learner("alexnet", config, 64)
