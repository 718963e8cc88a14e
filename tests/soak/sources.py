"""The streams of a soak, and what can be done to them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from streamguard.errors import SourceEnded
from tests.soak.proxy import Proxy

_PROGRAM = Path(__file__).with_name("feeder.py")
_PATIENCE = 30.0
_PORTS = {"http": 80, "rtsp": 554, "rtmp": 1935, "tcp": None}


class Source(Protocol):
    """A stream to watch.

    Attributes:
        name: of the stream.
        url: where it is watched.
        proxy: what lies between; None where nothing can.
    """

    name: str
    url: str
    proxy: Proxy | None

    async def __aenter__(self) -> Source:
        """Start it."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """End it."""
        ...

    def age(self, number: int | None, now: float) -> float | None:
        """Seconds since the picture of that number was on air; None where nobody knows.

        Args:
            number: as the picture shows it.
            now: monotonic seconds.
        """
        ...


class GeneratedSource:
    """A broadcast of our own: a process that serves it, behind a proxy.

    Args:
        name: of the stream.
        clips: transport streams of different sizes, with the same pictures.
        rate: pictures per second.
        pictures: after so many their numbers begin anew.
        lead: seconds of the broadcast that have passed at its start.
    """

    def __init__(self, name: str, clips: Sequence[Path], rate: float, pictures: int, lead: float = 0.0) -> None:
        self.name, self.url = name, ""
        self.proxy: Proxy | None = None
        self._clips, self._rate, self._pictures = [str(clip) for clip in clips], rate, pictures
        self._lead, self._began = lead, 0.0
        self._port = self._chosen = 0
        self._process: asyncio.subprocess.Process | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> GeneratedSource:
        self._began = time.monotonic() - self._lead
        self._stack.push_async_callback(self.kill)
        await self.start()
        self.proxy = await self._stack.enter_async_context(Proxy("127.0.0.1", self._port))
        self.url = f"http://127.0.0.1:{self.proxy.port}/{self.name}.ts"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def start(self) -> None:
        """Serve it, at the same place as ever; a no-op while it is served.

        Raises:
            SourceEnded: the process could not be started.
        """
        if self._process is not None:
            return
        job = {"clips": self._clips, "began": self._began, "port": self._port}
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", str(_PROGRAM), json.dumps(job),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(_PATIENCE):
                told = await self._process.stdout.readline()
            self._port = int(told)
        except (TimeoutError, ValueError):
            await self.kill()
            raise SourceEnded(self.name, "its server does not start", "look at what it wrote on stderr") from None
        if self._chosen:
            self._tell(f"clip {self._chosen}")

    async def kill(self) -> None:
        """End the process that serves it on the spot."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(OSError):
                await process.stdin.wait_closed()

    def halve(self, seconds: float) -> None:
        """Send the first half of each coded picture only, for so long."""
        self._tell(f"half {seconds:.3f}")

    def resize(self) -> None:
        """Go over to the next size with the next key frame."""
        self._chosen = (self._chosen + 1) % len(self._clips)
        self._tell(f"clip {self._chosen}")

    def age(self, number: int | None, now: float) -> float | None:
        """See `Source.age`; no more than the time after which the numbers begin anew can be told."""
        if number is None:
            return None
        on_air = (now - self._began) * self._rate
        behind = (on_air - number) % self._pictures
        # A picture is on its way a moment before its own time is over.
        return (behind - self._pictures if behind > self._pictures - self._rate else behind) / self._rate

    def _tell(self, command: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(f"{command}\n".encode())


class GivenSource:
    """Somebody's stream. What goes over TCP unencrypted goes through a proxy.

    Args:
        name: of the stream.
        url: where it is.
    """

    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, url
        self.proxy: Proxy | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> GivenSource:
        parts = urlsplit(self.url)
        port = parts.port or _PORTS.get(parts.scheme)
        if parts.scheme in _PORTS and parts.hostname and port:
            self.proxy = await self._stack.enter_async_context(Proxy(parts.hostname, port))
            user, at, _ = parts.netloc.rpartition("@")
            self.url = parts._replace(netloc=f"{user}{at}127.0.0.1:{self.proxy.port}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def age(self, number: int | None, now: float) -> float | None:
        """Nobody knows."""
        return None
