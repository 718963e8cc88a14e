"""What the commands share: a stoppable event loop, consoles, atomic files."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from streamguard.errors import OutputError

console = Console()
"""Results for people: stdout."""
notes = Console(stderr=True)
"""Progress and remarks: stderr."""


def run(work: Callable[[], Coroutine[Any, Any, int]]) -> None:
    """Run `work` until it returns its exit code; Ctrl-C and SIGTERM cancel it cleanly (130, 143).

    `work` may catch the cancellation, write what it has, and return: the stop's exit code is used anyway.
    """
    caught: list[signal.Signals] = []

    async def guarded() -> int:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            caught.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        return await work()

    code = 0
    with contextlib.suppress(asyncio.CancelledError):
        code = asyncio.run(guarded())
    if caught:
        code = 128 + caught[0]
    if code:
        raise typer.Exit(code)


def check_writable(path: Path) -> None:
    """Fail before hours of work rather than after.

    Raises:
        OutputError: the folder is missing or not writable.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(str(path), "its folder does not exist", f"create {folder} first")
    if not os.access(folder, os.W_OK):
        raise OutputError(str(path), "its folder is not writable", "choose another one")
