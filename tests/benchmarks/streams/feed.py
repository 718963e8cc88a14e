"""The live sources of `make bench-streams`: a clip sent in real time over local sockets, from its own process.

`python -m tests.benchmarks.streams.feed CLIP SECONDS RATE` prints the port, then a line for each stream fetched:
its name and the monotonic second at which its first picture counts as taken. Ends with its stdin.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

GOLDEN = 0.618034
"""Cameras are not in step: the n-th stream begins at this share of a judging interval, times n, modulo one."""


class Feed:
    """Serves `/NAME.ts` as MPEG-TS over HTTP/1.1 without a length; each connection from the clip's begin, on time.

    A reader that is slow gets what waits when it reads on; the schedule does not wait for it.

    Args:
        units: what is sent, and when (see `media.transport`).
        interval: seconds over which the streams' begins are spread.
    """

    def __init__(self, units: Sequence[tuple[float, bytes]], interval: float) -> None:
        self._units, self._interval = units, interval

    async def serve(self) -> None:
        """Until stdin ends."""
        running: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            running.add(task)
            try:
                await self._send(reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass
            finally:
                running.discard(task)
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.close()
        for task in list(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _send(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await reader.readuntil(b"\r\n\r\n")
        name = request.split(b" ", 2)[1].decode().strip("/").removesuffix(".ts")
        head = "HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        place = int(name) if name.isdecimal() else 0
        zero = time.monotonic() + (place * GOLDEN) % 1.0 * self._interval
        print(json.dumps({"name": name, "zero": zero}), flush=True)
        for moment, unit in self._units:
            if (wait := zero + moment - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            writer.write(unit)
            await writer.drain()


if __name__ == "__main__":
    from tests.support.transport import transport_units

    _units, _ = transport_units(Path(sys.argv[1]), float(sys.argv[2]))
    asyncio.run(Feed(_units, 1.0 / float(sys.argv[3])).serve())
