"""What the tests of a search share."""

from __future__ import annotations

from multiprocessing import resource_tracker
from pathlib import Path

import pytest

from streamguard.training.config import TrainConfig
from tests.support.training_data import micro_config, write_packs


@pytest.fixture(scope="module", autouse=True)
def _tracker() -> None:
    """Python's own process that outlives every pool, once for the life of this one."""
    resource_tracker.ensure_running()


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_packs(tmp_path_factory.mktemp("packs"))


@pytest.fixture
def config(tmp_path: Path) -> TrainConfig:
    return micro_config(tmp_path)
