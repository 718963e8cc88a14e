"""Messages to systemd (sd_notify(3)): the service is up, lives, reads its file again, ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager


class ServiceManager:
    """Tells whoever started us; silent where nobody listens.

    Args:
        environment: `NOTIFY_SOCKET`, where it listens; `WATCHDOG_USEC` and `WATCHDOG_PID`, how often who has to be
            heard of.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        # An @ stands for the zero that begins an abstract address.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        limit, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
        ours = process in ("", str(os.getpid()))
        self.watchdog_seconds = int(limit) / 1e6 if limit.isdecimal() and ours else 0.0
        """Seconds without a word after which we are taken to hang; 0 for no limit."""

    def tell(self, *words: str) -> None:
        """Send assignments such as `STATUS=...`; never waits, never fails."""
        if not self._address.startswith(("\0", "/")):
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto("\n".join(words).encode(), self._address)

    @asynccontextmanager
    async def running(self, status: str, alive: Callable[[], bool] = lambda: True) -> AsyncGenerator[None, None]:
        """Tell that the service is up, and alive as long as the event loop turns and `alive` says so.

        Args:
            status: one line for people.
            alive: asked twice in `watchdog_seconds`.
        """
        self.tell("READY=1", f"STATUS={status}")
        living = asyncio.create_task(self._live(alive), name="watchdog") if self.watchdog_seconds else None
        try:
            yield
        finally:
            self.tell("STOPPING=1")
            if living is not None:
                living.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await living

    @contextmanager
    def reloading(self) -> Iterator[None]:
        """The configuration is read for as long as the context lasts."""
        self.tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            yield
        finally:
            self.tell("READY=1")

    async def _live(self, alive: Callable[[], bool]) -> None:
        while True:
            if alive():
                self.tell("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / 2)
