"""Whole files or none: write beside, then rename."""

from __future__ import annotations

import os
from pathlib import Path

from streamguard.errors import OutputError


def write_bytes(path: Path, data: bytes) -> None:
    """Write, then rename: a reader, or a kill at any moment, never meets half a file.

    Raises:
        OutputError: the folder is missing, not writable or full; an older file is left as it was.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        cause = f"cannot be written ({error.strerror})"
        raise OutputError(str(path), cause, "choose a folder that is there and has room") from error


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())
