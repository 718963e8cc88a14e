"""The course of a run for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from streamguard.errors import ConfigError, OutputError
from streamguard.training.trainer import Reached


class TensorBoardLog:
    """Writes the loss of every step, and each validation by set; a context manager.

    Args:
        folder: where TensorBoard reads; one folder for each run.
        step: the step that the run goes on from. What was logged beyond it, before the run was stopped, is dropped.

    Raises:
        ConfigError: TensorBoard is not installed.
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, step: int = 0) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ConfigError(
                "--tensorboard", "TensorBoard is not installed", "pip install streamguard[train]"
            ) from error
        try:
            self._writer = SummaryWriter(str(folder), purge_step=step)
        except OSError as error:
            raise OutputError(str(folder), f"cannot be written ({error.strerror})", "choose another folder") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._writer.close()

    def add(self, reached: Reached) -> None:
        """Log a step's loss, and the figures of each set if there was a validation at this step."""
        scalars = {"training/loss": reached.loss}
        if reached.curve and reached.curve[-1]["step"] == reached.step:
            for name, figures in reached.curve[-1]["sets"].items():
                scalars |= {f"{kind}/{name}": figures[kind] for kind in ("auc", "dice") if figures[kind] is not None}
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, reached.step)
