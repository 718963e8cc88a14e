"""What TensorBoard is told of a run."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from streamguard.errors import ConfigError, OutputError
from streamguard.training.held_out import SetFigures
from streamguard.training.tensorboard_log import TensorBoardLog
from streamguard.training.trainer import Reached


def test_a_resumed_run_replaces_what_was_logged_beyond_its_checkpoint(tmp_path: Path) -> None:
    with TensorBoardLog(tmp_path) as log:
        for step in (1, 2, 3):
            log.add(Reached(step, loss=float(step)))
    figures = {"swaps": asdict(SetFigures(0.75, 1.0, 0.5, 3, 3)), "loose": asdict(SetFigures(0.25, None, None, 2, 2))}
    with TensorBoardLog(tmp_path, 2) as log:
        log.add(Reached(3, loss=30.0, curve=[{"step": 3, "sets": figures}]))
        # A validation is logged at its own step only.
        log.add(Reached(4, loss=40.0, curve=[{"step": 3, "sets": figures}]))
    board = EventAccumulator(str(tmp_path)).Reload()
    points = [(point.step, point.value) for point in board.Scalars("training/loss")]
    assert points == [(1, 1.0), (3, 30.0), (4, 40.0)]
    found = {name: [(point.step, point.value) for point in board.Scalars(name)] for name in board.Tags()["scalars"]}
    assert found == {
        **{"training/loss": points, "auc/swaps": [(3, 0.75)], "auc/loose": [(3, 0.25)]},
        "dice/swaps": [(3, 0.5)],
    }


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        TensorBoardLog(tmp_path / "file")


def test_tensorboard_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"streamguard\[train\]"):
        TensorBoardLog(tmp_path)
