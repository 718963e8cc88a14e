"""The course of a run for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from streamguard.errors import ConfigError, OutputError
from streamguard.training.loop import Progress


class TensorBoardLog:
    """Writes the loss of every step, and each validation; a context manager.

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

    def add(self, progress: Progress, loss: float) -> None:
        """Log a step's loss, and the validation if there was one at this step."""
        scalars = {"training/loss": loss}
        if progress.validations and progress.validations[-1][0] == progress.step:
            _, auc, dice = progress.validations[-1]
            scalars |= {"validation/frame AUC": auc, "validation/Dice, both halves": dice}
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, progress.step)
