"""Parts that the commands share: a stoppable event loop, consoles, atomic files."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from streamguard.errors import ConfigError, OutputError
from streamguard.files import write_text
from streamguard.types import Verdict

console = Console()
STYLES = {
    Verdict.FAKE: "bold dark_orange3",
    Verdict.UNSURE: "gold3",
    Verdict.REAL: "dodger_blue2",
    Verdict.UNKNOWN: "grey58",
}
"""Results for people: stdout."""
notes = Console(stderr=True)
"""Progress and remarks: stderr."""
_AT_ONCE = 3
"""Signals that end a service at once."""
STDOUT = Path("-")
"""Path that means standard output, in place of the tables."""


def run(work: Callable[[], Coroutine[Any, Any, int]]) -> None:
    """Run `work` until it returns its exit code; Ctrl-C and SIGTERM cancel it cleanly (130, 143).

    `work` may catch the cancellation, write what it has, and return: the stop's exit code is used anyway. A second
    Ctrl-C or SIGTERM ends the process on the spot. A reader of our output that leaves (`| head`) is no fault.
    """
    caught: list[signal.Signals] = []

    async def guarded() -> int:
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            if caught:
                os._exit(128 + number)
            caught.append(number)
            task.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        return await work()

    code = 0
    try:
        with contextlib.suppress(asyncio.CancelledError), _compiling_told():
            code = asyncio.run(guarded())
    except BrokenPipeError:
        # Python flushes standard output once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if caught:
        code = 128 + caught[0]
    if code:
        raise typer.Exit(code)


@contextlib.contextmanager
def _compiling_told() -> Iterator[None]:
    """Print a line where a detector is compiled first: a command that is silent for long seems to hang."""

    class NotesHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            notes.print(f"streamguard: {record.getMessage()}", highlight=False, soft_wrap=True)

    logger, told = logging.getLogger("streamguard.inference.compilation"), NotesHandler(logging.INFO)
    before = logger.level
    logger.addHandler(told)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(told)


def stop_asked() -> asyncio.Event:
    """An event that Ctrl-C or SIGTERM sets from now on, as the work's good end; a third one ends all at once."""
    stop, asked = asyncio.Event(), 0

    def ask(number: signal.Signals) -> None:
        nonlocal asked
        asked += 1
        if asked == _AT_ONCE:
            os._exit(128 + number)
        if stop.is_set():
            # Whoever is impatient must not be left with half-written files.
            notes.print("It is ending in good order; once more ends it at once.")
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask, number)
    return stop


def write_report(path: Path, text: str) -> None:
    """Write a report to its file, or to standard output where the path is `-`.

    Raises:
        OutputError: the file cannot be written; an older one is left as it was.
    """
    if path == STDOUT:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_text(path, text)


def check_writable(path: Path, *inputs: str) -> None:
    """Fail before hours of work rather than after.

    Args:
        path: what will be written.
        inputs: files that will be read, and must not be overwritten.

    Raises:
        OutputError: it is a folder or an input, or its folder is missing or not writable.
    """
    if path.is_dir():
        raise OutputError(str(path), "this is a folder", "give the name of a file")
    if path.exists() and any(os.path.exists(name) and path.samefile(name) for name in inputs):
        raise OutputError(str(path), "this is the video to judge", "give another name")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise OutputError(str(path), "its folder does not exist", f"create {folder} first")
    if not os.access(folder, os.W_OK):
        raise OutputError(str(path), "its folder is not writable", "choose another one")


def check_device(device: str) -> None:
    """Check that the device to train on is there.

    Raises:
        ConfigError: it is neither `cpu` nor `cuda`, or has no such hardware here.
    """
    import torch

    if device not in {"cpu", "cuda"} or (device == "cuda" and not torch.cuda.is_available()):
        raise ConfigError(f"--device {device}", "there is no such device here", "use `cpu`")
