"""Progress bars of the commands."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from streamguard.cli.runner import notes

Tell = Callable[[float], None]
"""Takes the share that is made, 0..1; what it raises has to end the making."""

NOTE = TextColumn("{task.fields[note]}")
"""Texts of a task's field `note`."""


class _GivenUp(Exception):
    """The command was stopped."""


def counted_progress(*more: ProgressColumn) -> Progress:
    """Bars of things that are counted: how many are done, the time it took, the time that is left.

    Args:
        more: further columns, such as `NOTE`.
    """
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    return Progress(TextColumn("{task.description}"), *columns, *more, console=notes)


async def with_bar(what: str, work: Callable[[Tell], None]) -> None:
    """Run work in a thread behind a progress bar; cancelled, it ends at its next report of progress.

    Args:
        what: is made, for the bar.
        work: is given what it calls now and then.
    """
    ended = threading.Event()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes, transient=True) as bar:
        task = bar.add_task(what, total=1.0)

        def tell(share: float) -> None:
            if ended.is_set():
                raise _GivenUp
            bar.update(task, completed=share)

        thread = asyncio.create_task(asyncio.to_thread(work, tell), name="making")
        try:
            # A thread cannot be cancelled, and its folder must not be removed below it.
            await asyncio.shield(thread)
        except asyncio.CancelledError:
            ended.set()
            with contextlib.suppress(_GivenUp):
                await thread
            raise
