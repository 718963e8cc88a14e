"""A study that goes on where it stopped."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from streamguard.errors import ConfigError, DataError, OutputError, UnknownModel
from streamguard.training.recipe import Recipe
from streamguard.training.search import Standing, search
from streamguard.training.search.report import facts, page
from streamguard.training.search.trial import Pruned, Result, Task
from tests.training.search.studies import KilledOnce, fast, plan_of, pretended, quietly


def test_three_trials_then_one_more(recipe: Recipe, packs: Path, tmp_path: Path) -> None:
    plan = plan_of(recipe, packs, tmp_path / "out")
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
def test_two_workers_in_processes_of_their_own(recipe: Recipe, packs: Path, tmp_path: Path) -> None:
    plan = replace(plan_of(recipe, packs, tmp_path / "out", trials=2), workers=2, prune=True)
    found = search(plan, quietly)
    assert [trial.state for trial in found.study.trials] == [TrialState.COMPLETE] * 2
    assert not multiprocessing.active_children()
    assert all(set(trial.user_attrs["sets"]) == {"swaps", "loose"} for trial in found.study.trials)


@pytest.mark.slow
def test_a_killed_worker_is_a_failed_trial(
    recipe: Recipe, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system ends a process that is out of memory; the other trials are done all the same."""
    killer = KilledOnce(tmp_path / "killed")
    monkeypatch.setattr("streamguard.training.search.study._watch", lambda *_: killer)
    plan = replace(plan_of(recipe, packs, tmp_path / "out", trials=4), workers=2, prune=True)
    found = search(plan, quietly)
    assert killer.marker.exists()
    states = [trial.state for trial in found.study.trials]
    assert len(states) == 4
    failures = [trial.user_attrs["failure"] for trial in found.study.get_trials(states=(TrialState.FAIL,))]
    assert 1 <= len(failures) <= 2, failures
    assert all("BrokenProcessPool" in failure for failure in failures)
    assert states.count(TrialState.COMPLETE) == 4 - len(failures)


def test_a_trial_that_raises_is_named_and_the_study_goes_on(
    recipe: Recipe, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
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
    found = search(plan_of(recipe, packs, tmp_path / "out"), lambda study, standing: last.append(standing))
    assert (last[-1].done, last[-1].failed) == (3, 1)
    assert found.study.trials[1].user_attrs["failure"] == "RuntimeError: out of memory\\nand more"
    told = facts(found.study)
    assert [trial["state"] for trial in told["trials"]] == ["complete", "fail", "complete"]
    assert "out of memory" in page(found.study)


def test_what_was_interrupted_is_done_again(
    recipe: Recipe, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(task: Task, *_: object) -> Result:
        raise KeyboardInterrupt

    monkeypatch.setattr("streamguard.training.search.workers.attempt", interrupted)
    plan = plan_of(recipe, packs, tmp_path / "out")
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
    recipe: Recipe, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of ever worse trials a pruner ends those that come after its start."""
    worth = iter([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])

    def worse(task: Task, look: object, *_: object) -> Result:
        value = next(worth)
        assert callable(look)
        if look(1, value):
            raise Pruned
        return Result(value, {"swaps": value}, 0.1)

    monkeypatch.setattr("streamguard.training.search.workers.attempt", worse)
    found = search(replace(plan_of(recipe, packs, tmp_path / "out", trials=6), prune=True), quietly)
    told = facts(found.study)
    assert (told["done"], told["pruned"], told["best"]) == (6, 2, 0)
    assert [trial["value"] for trial in told["trials"]] == [0.9, 0.8, 0.7, 0.6, None, None]


# What is refused


def test_another_search_in_the_same_folder(
    recipe: Recipe, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(recipe, packs, tmp_path / "out")
    fast(plan, monkeypatch)
    space = plan.space
    for changed, named in (
        (replace(plan, space=replace(space, recipe=recipe.model_copy(update={"seed": 2}))), "recipe.seed"),
        (replace(plan, space=replace(space, recipe=recipe.model_copy(update={"name": "other"}))), "recipe.name"),
        (replace(plan, space=replace(space, vary=("pairs",))), "varied"),
        (replace(plan, steps=5), "steps"),
        (replace(plan, sets=("swaps",)), "held_out"),
    ):
        with pytest.raises(DataError, match=f"begun with another {named}"):
            search(changed, quietly)


@pytest.mark.parametrize(
    ("sets", "words"), [(("swaps", "none"), "no pack of none"), (("real",), "no fake face in the sets")]
)
def test_sets_that_cannot_be_measured(
    recipe: Recipe, packs: Path, tmp_path: Path, sets: tuple[str, ...], words: str
) -> None:
    with pytest.raises(DataError, match=words):
        search(replace(plan_of(recipe, packs, tmp_path / "out"), sets=sets), quietly)
    assert not (tmp_path / "out").exists()


def test_packs_and_networks_that_are_not_there(recipe: Recipe, packs: Path, tmp_path: Path) -> None:
    source = recipe.sources[0].model_copy(update={"fakes": ("swaps", "others")})
    sources = (source, *recipe.sources[1:])
    with pytest.raises(DataError, match="no pack of others"):
        search(plan_of(recipe.model_copy(update={"sources": sources}), packs, tmp_path / "out"), quietly)
    with pytest.raises(UnknownModel):
        search(plan_of(recipe.model_copy(update={"network": "resnet"}), packs, tmp_path / "out"), quietly)


def test_a_folder_that_is_no_study(recipe: Recipe, packs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "study.db").write_text("no database at all, but text that is long enough" * 100)
    with pytest.raises(DataError, match="no study can be read"):
        search(plan_of(recipe, packs, out), quietly)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        search(plan_of(recipe, packs, tmp_path / "file" / "out"), quietly)


def test_two_searches_in_one_folder(
    recipe: Recipe, packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(recipe, packs, tmp_path / "out")

    def meanwhile(study: optuna.Study, standing: Standing) -> None:
        with pytest.raises(DataError, match="another search is at work"):
            search(plan, quietly)

    monkeypatch.setattr("streamguard.training.search.workers.attempt", pretended)
    search(plan, meanwhile)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"sampler": "grid"}, "choose random or tpe"),
        ({"trials": 0}, "at least 1"),
        ({"steps": 0}, "at least 1"),
    ],
)
def test_wrong_plans(recipe: Recipe, packs: Path, tmp_path: Path, wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        replace(plan_of(recipe, packs, tmp_path), **wrong)
    assert words in f"{caught.value.cause} {caught.value.remedy}"
