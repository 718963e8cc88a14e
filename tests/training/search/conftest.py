"""What the tests of a search share."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from streamguard.training.recipe import Recipe
from tests.support.training_data import RECIPE, write_packs


@pytest.fixture(scope="module", autouse=True)
def _tracker() -> None:
    """Python's own process that outlives every pool, once for the life of this one."""
    resource_tracker.ensure_running()


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """A trainer and the error that ended it hold each other: its packs are closed by the collector."""
    yield
    gc.collect()


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.model_validate(RECIPE)
