"""Work that is not broken off in the middle of a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


async def finished(work: Coroutine[Any, Any, T]) -> T:
    """The work's result; who is cancelled meanwhile is so at the work's end.

    SQLite's driver goes on with a statement whose caller was cancelled, and may so keep a lock that nobody owns.
    """
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise
