"""From the camera to the annotated picture and back, and what viewers cost: `make bench-webrtc`.

python -m tests.benchmarks.webrtc --seconds 10 --engine openvino
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Annotated

import aiohttp
import numpy as np
import typer
from aiortc import RTCPeerConnection
from rich.table import Table

from streamguard.cli.runner import console, notes, run
from streamguard.errors import OutputError
from streamguard.media.aiortc_hooks import close_connection
from streamguard.types import Picture
from tests.benchmarks.webrtc_peers import TimeCodeTrack, Viewer, connect, connection, still_picture
from tests.support.command import run_command

_PATIENCE = 60.0
_WARM_UP = 3.0
_VIEWERS = (1, 10)
_GLASS = (1280, 720)
_FANOUT = (640, 360)
_RATE = 30.0


def main(
    model: Annotated[str | None, typer.Option(help="Detector, as named by `streamguard doctor`.")] = None,
    engine: Annotated[str | None, typer.Option(help="Inference engine; default: the best one here.")] = None,
    seconds: Annotated[float, typer.Option(min=1.0, help="Seconds of each measurement.")] = 6.0,
) -> None:
    """Measure glass to glass beside a plain echo, and ten viewers beside one."""
    run(lambda: bench_webrtc(model, engine, seconds))


async def bench_webrtc(model: str | None, engine: str | None, seconds: float, codec: str = "h264") -> int:
    """Measure and print both tables.

    Args:
        model, engine: as for `streamguard serve`.
        seconds: of each measurement, after a warm-up.
        codec: sent and played, "h264" or "vp8".
    """
    serve = ["-m", "streamguard", "serve", "--port", "0"]
    serve += ["--model", model] if model else []
    serve += ["--engine", engine] if engine else []
    echo = ["-m", "tests.benchmarks.webrtc_peers"]
    table = Table(title=f"Glass to glass, {_GLASS[0]}x{_GLASS[1]} at {_RATE:g}/s, {codec}, ms", title_justify="left")
    for column in ("path", "p50", "p95", "most", "frames/s"):
        table.add_column(column, justify="left" if column == "path" else "right")
    for name, command, sent, played in (
        ("aiortc echo", echo, "/echo", None),
        ("streamguard, live overlay", serve, "/whip/bench", "/whep/bench?overlay=live"),
        ("streamguard, exact overlay", serve, "/whip/bench", "/whep/bench?overlay=exact"),
    ):
        notes.print(f"measuring {name}")
        late = await _glass_to_glass(command, sent, played, codec, seconds)
        if len(late) == 0:
            raise OutputError("bench-webrtc", f"nothing came back from {name}", "see that UDP on this host works")
        p50, p95 = np.percentile(late, (50, 95)) * 1e3
        table.add_row(name, f"{p50:.0f}", f"{p95:.0f}", f"{late.max() * 1e3:.0f}", f"{len(late) / seconds:.1f}")
    console.print(table)
    title = f"CPU of the server, {_FANOUT[0]}x{_FANOUT[1]} at {_RATE:g}/s, {codec}, ms per second"
    fan = Table(title=title, title_justify="left")
    for column in ("server", *(f"{count} viewer(s)" for count in _VIEWERS), "ratio"):
        fan.add_column(column, justify="left" if column == "server" else "right")
    rows: dict[str, list[float]] = {}
    for count in _VIEWERS:
        notes.print(f"measuring {count} viewer(s)")
        whole, encoding = await _viewers(serve, "/whip/bench", "/whep/bench?overlay=live", codec, seconds, count)
        rows.setdefault("streamguard, encoding", []).append(encoding)
        rows.setdefault("streamguard, whole process", []).append(whole)
        whole, _ = await _viewers(echo, "/publish", "/view", codec, seconds, count)
        rows.setdefault("aiortc MediaRelay, whole process", []).append(whole)
    for name, spent in rows.items():
        fan.add_row(name, *(f"{value * 1e3:.0f}" for value in spent), f"{spent[-1] / spent[0]:.2f}x")
    console.print(fan)
    return 0


async def _glass_to_glass(
    command: Sequence[str], sent: str, played: str | None, codec: str, seconds: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    camera = TimeCodeTrack(_picture(*_GLASS), _RATE)
    viewer = Viewer(camera)
    async with _started(command) as (http, _), AsyncExitStack() as stack:
        stack.push_async_callback(viewer.aclose)
        first = connection(codec, camera, both=played is None)
        stack.push_async_callback(close_connection, first)
        if played is None:
            first.on("track", viewer.watch)
        await connect(http, sent, first)
        if played is not None:
            second = connection(codec)
            stack.push_async_callback(close_connection, second)
            second.on("track", viewer.watch)
            await connect(http, played, second)
        await asyncio.sleep(_WARM_UP)
        # A crowded machine starts late.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while not viewer.late:  # noqa: ASYNC110 - pictures come by themselves
                    await asyncio.sleep(0.1)
        viewer.late.clear()
        await asyncio.sleep(seconds)
        return np.array(viewer.late)


async def _viewers(
    command: Sequence[str], sent: str, played: str, codec: str, seconds: float, count: int
) -> tuple[float, float]:
    """CPU seconds per second of the server's process, and of encoding where it tells."""
    async with _started(command) as (http, process), AsyncExitStack() as stack:
        made: list[RTCPeerConnection] = [connection(codec, TimeCodeTrack(_picture(*_FANOUT), _RATE))]
        await connect(http, sent, made[0])
        for _ in range(count):
            made.append(connection(codec))
            await connect(http, played, made[-1])
            # Decoding ten pictures here would take the server's processor time.
            made[-1].getReceivers()[0]._enabled = False
        for pc in made:
            stack.push_async_callback(close_connection, pc)
        await asyncio.sleep(_WARM_UP)
        before = _cpu_seconds(process), await _encode_seconds(http)
        await asyncio.sleep(seconds)
        after = _cpu_seconds(process), await _encode_seconds(http)
        return (after[0] - before[0]) / seconds, (after[1] - before[1]) / seconds


@asynccontextmanager
async def _started(command: Sequence[str]) -> AsyncIterator[tuple[aiohttp.ClientSession, int]]:
    """A server in a process of its own, and a client for it."""
    pipe = asyncio.subprocess.PIPE
    environment = {**os.environ, "STREAMGUARD_SERVER__LOG_LEVEL": "warning"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=pipe, stderr=pipe, stdout=asyncio.subprocess.DEVNULL, env=environment
    )
    assert process.stderr is not None
    assert process.stdin is not None
    draining: asyncio.Task[bytes] | None = None
    try:
        url, said = None, ""
        while url is None:
            line = (await process.stderr.readline()).decode()
            said += line
            if not line:
                raise OutputError("bench-webrtc", f"the server did not start ({said.strip()})", "run it by hand")
            match = re.search(r"open (http\S+)", line)
            url = match[1] if match else None
        draining = asyncio.create_task(process.stderr.read(), name="server's log")
        async with aiohttp.ClientSession(url) as http:
            yield http, process.pid
    finally:
        process.stdin.close()
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        if draining is not None:
            await draining


async def _encode_seconds(http: aiohttp.ClientSession) -> float:
    async with http.get("/metrics") as response:
        text = await response.text() if response.status == 200 else ""
    found = re.findall(r'streamguard_stage_seconds_total\{[^}]*stage="encode"[^}]*\} (\S+)', text)
    return sum(map(float, found))


def _cpu_seconds(process: int) -> float:
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _picture(width: int, height: int) -> Picture:
    from skimage import data

    portrait = np.asarray(data.astronaut(), np.uint8)[:288]
    return still_picture(portrait, width, height)


if __name__ == "__main__":
    run_command(main)
