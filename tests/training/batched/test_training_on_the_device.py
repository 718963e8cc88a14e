"""The training loop with batches made where it trains."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from streamguard.training.loop import Progress, Trainer
from streamguard.training.sampler import open_packs
from tests.support.training_data import CONFIG, micro_config, write_packs

LEARNING = """
name = "micro"
network = "unet_v1"
[data]
[train]
augment_on = "device"
warmup_steps = 4
learning_rate = 2e-3
validate_every = 100
selfblend_share = 0.3
stages = [{ steps = 24, patch = 64, pairs = 4 }]
"""


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


@pytest.mark.slow
def test_a_few_steps_make_the_loss_fall(packs: Path, tmp_path: Path) -> None:
    losses: list[float] = []
    trainer = Trainer(micro_config(tmp_path, LEARNING), open_packs(packs), tmp_path / "c.pt")
    trainer.run(lambda progress, loss: losses.append(loss))
    assert len(losses) == 24
    # A view in which hardly a fake pixel is left costs much by its Dice: the middle tells, not the mean.
    assert np.median(losses[-8:]) < 0.85 * np.median(losses[:6])


@pytest.mark.slow
def test_a_resumed_run_ends_in_the_same_weights(packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamguard.training.loop.CHECKPOINT_EVERY", 2)
    config = micro_config(tmp_path, CONFIG + 'augment_on = "device"\nselfblend_share = 0.8\ndonor_share = 0.5\n')

    def stop(progress: Progress, loss: float) -> None:
        if progress.step == 2:
            raise KeyboardInterrupt

    straight = Trainer(config, open_packs(packs), tmp_path / "a.pt")
    straight.run(lambda progress, loss: None)
    with pytest.raises(KeyboardInterrupt):
        Trainer(config, open_packs(packs), tmp_path / "b.pt").run(stop)
    resumed = Trainer(config, open_packs(packs), tmp_path / "b.pt")
    assert resumed.progress.step == 2
    resumed.run(lambda progress, loss: None)
    mine, theirs = resumed.averaged().network.state_dict(), straight.averaged().network.state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
