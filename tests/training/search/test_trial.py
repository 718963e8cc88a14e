"""What a trial is worth."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamguard.errors import DataError
from streamguard.training.recipe import Recipe
from streamguard.training.search.trial import Pruned, Stopped, attempt
from tests.training.search.studies import task_of


def test_a_trial_trains_its_steps_and_leaves_nothing(recipe: Recipe, packs: Path, tmp_path: Path) -> None:
    asked = 0

    def stopped() -> bool:
        nonlocal asked
        asked += 1
        return False

    result = attempt(task_of(recipe, packs, tmp_path, 3), None, stopped)
    # After each step and the measurement at the end.
    assert asked == 4
    assert set(result.sets) == {"swaps", "loose"}
    assert result.value == pytest.approx(sum(result.sets.values()) / 2)
    assert all(0 <= value <= 1 for value in result.sets.values())
    assert result.seconds > 0
    assert not list(tmp_path.iterdir())


def test_only_the_named_sets_are_measured(recipe: Recipe, packs: Path, tmp_path: Path) -> None:
    result = attempt(task_of(recipe, packs, tmp_path, 2, sets=("real", "swaps")))
    assert result.sets == {"swaps": result.value}
    with pytest.raises(DataError, match="no real or no fake face"):
        attempt(task_of(recipe, packs, tmp_path, 2, sets=("real",)))


def test_equal_tasks_give_equal_results(recipe: Recipe, packs: Path, tmp_path: Path) -> None:
    one, two = (attempt(task_of(recipe, packs, tmp_path, 3)) for _ in range(2))
    assert one.sets == two.sets


def test_a_trial_may_be_ended_at_its_looks(recipe: Recipe, packs: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, float]] = []

    def look(number: int, worth: float) -> bool:
        seen.append((number, worth))
        return number == 2

    with pytest.raises(Pruned):
        attempt(task_of(recipe, packs, tmp_path, 6, looks=3), look)
    assert [number for number, _ in seen] == [1, 2]
    assert all(0 <= worth <= 1 for _, worth in seen)
    assert not list(tmp_path.iterdir())


def test_the_end_is_not_looked_at(recipe: Recipe, packs: Path, tmp_path: Path) -> None:
    assert attempt(task_of(recipe, packs, tmp_path, 3), lambda *_: True).value >= 0


def test_a_search_that_is_stopped_ends_its_trials(recipe: Recipe, packs: Path, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        attempt(task_of(recipe, packs, tmp_path, 3), None, lambda: True)
