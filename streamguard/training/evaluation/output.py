"""Writing results: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from streamguard.errors import OutputError


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 to a temporary file beside `path` and moves it there: a reader sees the old text or the new.

    Raises:
        OutputError: the folder is missing or closed to us, or the disk is full; nothing is left behind.
    """
    temporary: Path | None = None
    try:
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
        temporary = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # mkstemp makes files private; a report is as readable as any other file its user writes.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        raise OutputError(
            str(path), f"cannot be written ({error.strerror})", "choose another place with --output"
        ) from error
