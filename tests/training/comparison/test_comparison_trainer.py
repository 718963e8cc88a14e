"""The trainer with a classifier: it learns by the label alone, resumes, and keeps its pace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from streamguard.errors import DataError, UnknownModel
from streamguard.models.comparison import fresh_classifier
from streamguard.training.comparison.compare import _answers
from streamguard.training.evaluation.metrics import auc
from streamguard.training.held_out import HeldOutCrops
from streamguard.training.recipe import Recipe
from streamguard.training.trainer import Reached, Trainer, learning_rate
from tests.support.training_data import held_packs, micro_recipe, train_packs, write_packs

EASY = {
    "sources": [{"kind": "registered", "share": 1, "fakes": ["swaps"], "parts": 0, "mixup": 0}],
    "view": {"blur": 0, "degrade": 0},
    "average": 0.9,
}


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


def nothing(reached: Reached) -> None:
    pass


def easy(folder: Path, steps: int, pairs: int = 4) -> Recipe:
    stages = [{"steps": steps, "patch": 64, "pairs": pairs, "rate": [2e-3, 1e-4]}]
    return micro_recipe(folder, **EASY, stages=stages)


def make(name: str, recipe: Recipe, packs: Path, checkpoint: Path, workers: int = 1) -> Trainer:
    return Trainer(recipe, train_packs(packs), None, checkpoint, "cpu", workers, fresh_classifier(name, 64))


def test_a_classifier_learns_green_faces(packs: Path, tmp_path: Path) -> None:
    held = HeldOutCrops(held_packs(packs), 1.3, sets=("swaps",))
    # One worker, as with several no two runs are the same; of ten seeds of the dropout, one gives no answer so soon.
    torch.manual_seed(1)
    trainer = make("resnet18", easy(tmp_path, 16), packs, tmp_path / "a.pt")
    losses: list[float] = []
    trainer.run(lambda reached: losses.append(reached.loss))
    value = auc(_answers(trainer.averaged(), held), [crop.fake for crop in held.crops])
    assert value is not None
    assert value > 0.95
    assert losses[-1] < losses[0]
    assert (trainer.reached.step, trainer.reached.patches) == (16, 128)


@pytest.mark.parametrize("name", ["meso4", "conv_vit", "efficientnet_b0"])
def test_a_broken_run_goes_on_with_the_same_weights(name: str, packs: Path, tmp_path: Path) -> None:
    recipe = easy(tmp_path, 2, pairs=1)
    first = make(name, recipe, packs, tmp_path / "a.pt")
    first.run(nothing)
    again = make(name, recipe, packs, tmp_path / "a.pt")
    assert again.reached == first.reached
    mine, theirs = (each.averaged().network.state_dict() for each in (again, first))
    assert all(torch.equal(mine[key], theirs[key]) for key in theirs)
    with pytest.raises(DataError, match="damaged or of another network"):
        make("resnet18", recipe, packs, tmp_path / "a.pt")


def test_the_rate_keeps_pace_with_the_time(packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def noted(recipe: Recipe, step: int) -> float:
        asked.append(step)
        return learning_rate(recipe, step)

    monkeypatch.setattr("streamguard.training.trainer.learning_rate", noted)
    recipe = easy(tmp_path, 100_000, pairs=1)
    trainer = make("meso4", recipe, packs, tmp_path / "a.pt")
    trainer.run(nothing, 1.0, paced=True)
    assert trainer.reached.step < 2000
    assert asked == sorted(asked)
    assert asked[-1] > 50_000
    again = make("meso4", recipe, packs, tmp_path / "a.pt")
    asked.clear()
    again.run(nothing, 1.0, paced=True)
    assert 40_000 < asked[0] < 75_000
    asked.clear()
    make("meso4", easy(tmp_path, 3, pairs=1), packs, tmp_path / "b.pt").run(nothing)
    assert asked == [0, 1, 2]


@pytest.mark.parametrize("name", ["meso4", "conv_vit", "resnet18"])
def test_pictures_of_other_sides_are_taken(name: str) -> None:
    network = fresh_classifier(name, 64).network
    with torch.inference_mode():
        for side in (32, 64, 256):
            assert network(torch.zeros(2, 3, side, side)).shape == (2, 1)


def test_a_large_picture_is_brought_down() -> None:
    network = fresh_classifier("resnet18", 64).network
    picture = torch.randn(1, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    small = torch.nn.functional.interpolate(picture, (64, 64), mode="bilinear")
    with torch.inference_mode():
        assert torch.equal(network(picture), network(small))


def test_an_unknown_classifier_is_refused() -> None:
    with pytest.raises(UnknownModel, match="alexnet"):
        fresh_classifier("alexnet", 64)


def test_answers_are_one_probability_a_crop(packs: Path) -> None:
    held = HeldOutCrops(held_packs(packs), 1.3)
    answers = _answers(fresh_classifier("meso4", 64), held)
    assert answers.shape == (len(held.crops),)
    assert np.all((answers >= 0) & (answers <= 1))
