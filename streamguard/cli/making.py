"""Clips that a command makes before it measures: told how far they are, and given up at once when it is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from streamguard.cli.runner import notes

Tell = Callable[[float], None]
"""Takes the share that is made, 0..1; what it raises has to end the making."""


class _GivenUp(Exception):
    """The command was stopped."""


async def making(what: str, work: Callable[[Tell], None]) -> None:
    """Let work be done in a thread behind a progress bar; cancelled, it ends the next time it tells how far it is.

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
