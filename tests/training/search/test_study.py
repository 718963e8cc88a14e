"""A study that goes on where it stopped."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from streamguard.errors import ConfigError, DataError, OutputError
from streamguard.training.config import TrainConfig
from streamguard.training.search import Budget, Standing, search
from streamguard.training.search.report import facts, page
from streamguard.training.search.trial import Pruned, Result, Task
from tests.support.training_data import CONFIG, micro_config
from tests.training.search.studies import KilledOnce, fast, plan_of, pretended, quietly


def test_three_trials_then_one_more(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    plan = plan_of(config, packs, tmp_path / "out")
    told: list[int] = []
    found = search(plan, lambda study, standing: told.append(standing.done))
    assert told == [0, 1, 2, 3]
    assert found.new == 3
    assert [trial.state for trial in found.study.trials] == [TrialState.COMPLETE] * 3
    more = search(replace(plan, trials=4, sampler="tpe"), quietly)
    assert more.new == 1
    assert [trial.number for trial in more.study.trials] == [0, 1, 2, 3]
    # Going on draws anew.
    drawn = [trial.params["picture_loss"] for trial in more.study.trials]
    assert len(set(drawn)) == 4
    assert search(replace(plan, trials=2), quietly).new == 0


@pytest.mark.slow
def test_two_workers_in_processes_of_their_own(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    plan = replace(plan_of(config, packs, tmp_path / "out", trials=2), workers=2, prune=True)
    found = search(plan, quietly)
    assert [trial.state for trial in found.study.trials] == [TrialState.COMPLETE] * 2
    assert not multiprocessing.active_children()
    assert all(trial.user_attrs["steps"] == 2 for trial in found.study.trials)


@pytest.mark.slow
def test_a_killed_worker_is_a_failed_trial(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system ends a process that is out of memory; the other trials are done all the same."""
    killer = KilledOnce(tmp_path / "killed")
    monkeypatch.setattr("streamguard.training.search.study._watch", lambda *_: killer)
    plan = replace(plan_of(config, packs, tmp_path / "out", trials=4), workers=2)
    found = search(plan, quietly)
    assert killer.marker.exists()
    states = [trial.state for trial in found.study.trials]
    assert len(states) == 4
    failures = [trial.user_attrs["failure"] for trial in found.study.get_trials(states=(TrialState.FAIL,))]
    assert 1 <= len(failures) <= 2, failures
    assert all("BrokenProcessPool" in failure for failure in failures)
    assert states.count(TrialState.COMPLETE) == 4 - len(failures)


def test_a_trial_that_raises_is_named_and_the_study_goes_on(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0

    def second_fails(task: Task, *_: object) -> Result:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("out of memory\nand more")
        return pretended(task)

    monkeypatch.setattr("streamguard.training.search.workers.attempt", second_fails)
    last: list[Standing] = []
    found = search(plan_of(config, packs, tmp_path / "out"), lambda study, standing: last.append(standing))
    assert (last[-1].done, last[-1].failed) == (3, 1)
    assert found.study.trials[1].user_attrs["failure"] == "RuntimeError: out of memory\\nand more"
    told = facts(found.study)
    assert [trial["state"] for trial in told["trials"]] == ["complete", "fail", "complete"]
    assert "out of memory" in page(found.study)


def test_what_was_interrupted_is_done_again(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(task: Task, *_: object) -> Result:
        raise KeyboardInterrupt

    monkeypatch.setattr("streamguard.training.search.workers.attempt", interrupted)
    plan = plan_of(config, packs, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        search(plan, quietly)
    found = fast(plan, monkeypatch)
    first, again, *rest = found.study.trials
    assert (first.state, again.state, len(rest)) == (TrialState.FAIL, TrialState.COMPLETE, 2)
    assert first.params == again.params
    told = facts(found.study)
    assert (told["done"], told["failed"]) == (3, 0)
    assert told["trials"][0]["state"] == "interrupted"


def test_pruned_trials_are_counted(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ever worse trials a pruner ends those that come after its start."""
    worth = iter([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])

    def worse(task: Task, look: object, *_: object) -> Result:
        value = next(worth)
        assert callable(look)
        if look(1, value):
            raise Pruned
        return Result(value, value, None, 2, 2, 0.1)

    monkeypatch.setattr("streamguard.training.search.workers.attempt", worse)
    found = search(replace(plan_of(config, packs, tmp_path / "out", trials=6), prune=True), quietly)
    told = facts(found.study)
    assert (told["done"], told["pruned"], told["best"]) == (6, 2, 0)
    assert [trial["value"] for trial in told["trials"]] == [0.9, 0.8, 0.7, 0.6, None, None]


# What is refused


def test_another_configuration_in_the_same_folder(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(config, packs, tmp_path / "out")
    fast(plan, monkeypatch)
    other = micro_config(tmp_path, CONFIG + "seed = 2\n")
    for changed, named in (
        (replace(plan, space=replace(plan.space, config=other)), "configuration.train.seed"),
        (replace(plan, budget=Budget(steps=5)), "budget.steps"),
        (replace(plan, objective="validation"), "objective"),
        (replace(plan, space=replace(plan.space, vary=("data",))), "varied"),
    ):
        with pytest.raises(DataError, match=f"begun with another {named}"):
            search(changed, quietly)
    named_otherwise = config.model_copy(update={"name": "other"})
    with pytest.raises(DataError, match="another study: micro"):
        search(replace(plan, space=replace(plan.space, config=named_otherwise)), quietly)


def test_a_folder_that_is_no_study(config: TrainConfig, packs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "study.db").write_text("no database at all, but text that is long enough" * 100)
    with pytest.raises(DataError, match="no study can be read"):
        search(plan_of(config, packs, out), quietly)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        search(plan_of(config, packs, tmp_path / "file" / "out"), quietly)


def test_two_searches_in_one_folder(
    config: TrainConfig, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(config, packs, tmp_path / "out")

    def meanwhile(study: optuna.Study, standing: Standing) -> None:
        with pytest.raises(DataError, match="another search is at work"):
            search(plan, quietly)

    monkeypatch.setattr("streamguard.training.search.workers.attempt", pretended)
    search(plan, meanwhile)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sampler": "grid"}, "choose random or tpe"),
        ({"objective": "test"}, "choose calibration or validation"),
        ({"trials": 0}, "at least 1"),
    ],
)
def test_wrong_plans(config: TrainConfig, packs: Path, tmp_path: Path, wrong: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(plan_of(config, packs, tmp_path), **wrong)  # type: ignore[arg-type]  # wrong on purpose
    assert words in f"{caught.value.cause} {caught.value.remedy}"


@pytest.mark.parametrize("nothing", [{}, {"seconds": 0.0}, {"steps": 0}])
def test_nothing_to_spend(nothing: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="nothing to spend"):
        Budget(**nothing)
