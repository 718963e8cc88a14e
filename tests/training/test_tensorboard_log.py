"""What TensorBoard is told of a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from streamguard.errors import ConfigError, OutputError
from streamguard.training.loop import Progress
from streamguard.training.tensorboard_log import TensorBoardLog


def test_a_resumed_run_replaces_what_was_logged_beyond_its_checkpoint(tmp_path: Path) -> None:
    with TensorBoardLog(tmp_path) as log:
        for step in (1, 2, 3):
            log.add(Progress(step), float(step))
    with TensorBoardLog(tmp_path, 2) as log:
        log.add(Progress(3, validations=[(3, 0.75, 0.5)]), 30.0)
    board = EventAccumulator(str(tmp_path)).Reload()
    assert [(point.step, point.value) for point in board.Scalars("training/loss")] == [(1, 1.0), (3, 30.0)]
    assert board.Scalars("validation/frame AUC")[0].value == 0.75
    assert board.Scalars("validation/Dice, both halves")[0].step == 3


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        TensorBoardLog(tmp_path / "file")


def test_tensorboard_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"streamguard\[train\]"):
        TensorBoardLog(tmp_path)
