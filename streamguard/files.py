"""Whole files or none: write beside, then rename."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from streamguard.errors import OutputError


def write_bytes(path: Path, data: bytes) -> None:
    """Write, then rename: a reader, a kill at any moment, or a power cut never meets half a file.

    The file is as readable as any other its user makes (the process's umask).

    Raises:
        OutputError: the folder is missing, not writable or full; an older file is left as it was.
    """
    # Named after the file and the process, so that a person knows what a kill left behind; unique, so that two
    # writers of one file do not mix.
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        try:
            with partial.open("xb") as file:
                file.write(data)
            publish(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
    except OSError as error:
        cause = f"cannot be written ({error.strerror})"
        raise OutputError(str(path), cause, "choose a folder that is there and has room") from error


def publish(partial: Path, path: Path) -> None:
    """Give a file that was written under another name of the same folder its own, once its bytes are on the disk.

    Raises:
        OSError: the system refuses; `partial` is left.
    """
    # The name must never outlive a power cut that the bytes did not.
    with partial.open("rb+") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def write_text(path: Path, text: str) -> None:
    """`write_bytes` of UTF-8 text."""
    write_bytes(path, text.encode())
