"""What a trial is worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from streamguard.errors import DataError
from streamguard.models import fresh
from streamguard.training.config import TrainConfig
from streamguard.training.loop import Progress
from streamguard.training.pack import Pack
from streamguard.training.search import Budget
from streamguard.training.search import trial as trial_module
from streamguard.training.search.trial import Pruned, attempt, frame_auc
from tests.training.search.studies import task_of


def test_a_trial_trains_its_steps_and_leaves_nothing(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    result = attempt(task_of(config, packs, tmp_path / "scratch", Budget(steps=3)))
    assert (result.steps, result.planned) == (3, 3)
    assert result.value == result.blends_auc
    assert 0 <= result.value <= 1
    assert result.pairs_auc is None
    assert result.seconds > 0
    assert not list((tmp_path / "scratch").iterdir())


def test_validation_pairs_count_only_where_asked_for(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    few = tmp_path / "packs"
    few.mkdir()
    for name in ("pairs", "selfblend", "calibration"):
        (few / name).symlink_to(packs / name)
    attempt(task_of(config, few, tmp_path, Budget(steps=2)))
    with pytest.raises(DataError, match="no complete pack"):
        attempt(task_of(config, few, tmp_path, Budget(steps=2), "validation"))
    result = attempt(task_of(config, packs, tmp_path, Budget(steps=2), "validation"))
    assert result.pairs_auc is not None
    assert result.value == (result.blends_auc + result.pairs_auc) / 2


def test_seconds_become_steps_and_are_kept(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trial_module, "_pace", lambda *_: 0.5)
    result = attempt(task_of(config, packs, tmp_path, Budget(seconds=1e-3, steps=9)))
    assert (result.steps, result.planned) == (1, 2)
    result = attempt(task_of(config, packs, tmp_path, Budget(seconds=600, steps=3)))
    assert (result.steps, result.planned) == (3, 3)


def test_the_pace_weighs_the_stages(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two stages of 0.1 s and 0.4 s a step, twice as many of the first: 0.2 s. Their first steps do not count."""
    times = iter([0.0, 9.0, 9.1, 9.2, 20.0, 20.4, 20.8])
    monkeypatch.setattr(trial_module.time, "monotonic", lambda: next(times))

    class Stepping:
        def run(self, advance: object) -> None:
            assert callable(advance)
            for step in range(1, 7):
                advance(Progress(step), 0.0)

    assert trial_module._pace(Stepping(), config, lambda *_: None) == pytest.approx(0.2)  # type: ignore[arg-type]  # a trainer that only steps


def test_a_trial_may_be_ended_at_its_looks(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []

    def look(number: int, worth: float) -> bool:
        seen.append((number, worth))
        return number == 2

    with pytest.raises(Pruned):
        attempt(task_of(config, packs, tmp_path, Budget(steps=6)), look)
    assert [number for number, _ in seen] == [1, 2]
    assert all(0 <= worth <= 1 for _, worth in seen)


def test_the_objective_knows_the_halves(packs: Path) -> None:
    """A network that answers with how green a pixel is: the fakes of the pack are painted green."""

    class Greenness(torch.nn.Module):
        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            return picture[:, 1:2] - picture[:, :1]

    pack = Pack(packs / "calibration")
    model = fresh("unet_v1")
    assert frame_auc(replace(model, network=Greenness()), pack, 99) == 1.0

    class Nothing(Greenness):
        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            return super().forward(picture) * torch.nan

    with pytest.raises(DataError, match="not finite"):
        frame_auc(replace(model, network=Nothing()), pack, 99)
