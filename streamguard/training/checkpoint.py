"""Checkpoints: a whole one or the one before, never half of one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from streamguard.errors import OutputError
from streamguard.files import publish


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write beside the place, then rename.

    Raises:
        OutputError: it cannot be written; the one before is kept.
    """
    partial = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Given a path, torch holds the file for as long as somebody holds its error, and says less of the cause.
        with partial.open("wb") as file:
            torch.save(dict(state), file)
        publish(partial, path)
    except (OSError, RuntimeError) as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        cause = error.__context__ if isinstance(error.__context__, OSError) else error
        raise OutputError(
            str(path), f"the checkpoint cannot be written ({cause})", "free space; the last one is kept"
        ) from error
