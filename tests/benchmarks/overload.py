"""Three times as many streams as fit: how evenly they are judged, how late, and who is refused.

    python -m tests.benchmarks.overload --seconds 30

Measures what the machine can judge, starts a server of its own, and gives it looped clips of a small face over the API.
Each asks for so many judged frames a second that three times as many streams as fit still get one a second each, and
four times as many do not.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from streamguard.cli.capacity import write_faces_clip
from streamguard.pipeline.capacity import ADMITTED_RATE, LEAST_RATE, most_streams
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.measure import Survey, survey
from tests.support.figures import jain, percentile

SIZE, RATE = (320, 240), 25.0
TIMES = 3
SETTLE = 20.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it.

    Attributes:
        fit, streams: how many fit at the rate asked for; how many were judged.
        asked: judged frames per second that each asked for.
        rates: judged frames per second that each got.
        latencies: milliseconds, 95th percentile of each stream.
        health: what `/health/ready` said.
        refused_at: which stream was refused, 1 for the first; None for none.
        refusal: what it was told, with its `Retry-After`.
    """

    fit: int
    streams: int
    asked: float
    rates: list[float]
    latencies: list[float]
    health: dict[str, Any]
    refused_at: int | None
    refusal: str

    @property
    def fairness(self) -> float:
        """Jain's index of `rates`."""
        return jain(self.rates)


def asked_rate(found: Survey) -> float:
    """Judged frames per second at which 3.5 times as many streams as fit would still be admitted."""
    low, high = LEAST_RATE, RATE
    wanted = most_streams(found.cost, found.means, ADMITTED_RATE) / (TIMES + 0.5)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if most_streams(found.cost, found.means, middle) > wanted else (low, middle)
    return round(high, 2)


async def overload(model: str, engine: str | None, seconds: float) -> Outcome:
    """Run it."""
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "face.mp4"
        write_faces_clip(clip, *SIZE, RATE, 1)
        async with Guard.open(model, engine) as guard:
            found = await survey(guard, clip, 10.0, lambda share: None)
        asked = asked_rate(found)
        fit = max(1, most_streams(found.cost, found.means, asked))
        async with _server(Path(folder), model, engine) as url, aiohttp.ClientSession(url) as http:
            count = 0
            while count < TIMES * fit:
                status, told = await _add(http, clip, count, asked)
                if status != 201:
                    raise SystemExit(f"stream {count + 1} of {TIMES * fit} was refused: {told}")
                count += 1
            await asyncio.sleep(SETTLE)
            before = await _judged(http)
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(seconds)
            after = await _judged(http)
            passed = asyncio.get_running_loop().time() - began
            streams = (await (await http.get("/api/v1/streams")).json())["streams"]
            health = await (await http.get("/health/ready")).json()
            refused_at, refusal = None, ""
            # One after the other, as each is measured before the next one.
            for number in range(count, 3 * TIMES * fit + 10):
                status, told = await _add(http, clip, number, asked)
                if status != 201:
                    refused_at, refusal = number + 1, told
                    break
                await asyncio.sleep(3.0)
        rates = [(after[name] - before[name]) / passed for name in before]
        latencies = [each["latency_ms"]["p95"] for each in streams if each["latency_ms"] is not None]
        return Outcome(fit, count, asked, rates, latencies, health, refused_at, refusal)


async def _add(http: aiohttp.ClientSession, clip: Path, number: int, asked: float) -> tuple[int, str]:
    new = {"source": str(clip), "name": f"s{number}", "judged_per_second": asked}
    async with http.post("/api/v1/streams", json=new) as response:
        told = await response.json()
        wait = response.headers.get("Retry-After", "")
        return response.status, f"{told.get('detail', '')} {told.get('remedy', '')} (Retry-After: {wait})"


async def _judged(http: aiohttp.ClientSession) -> dict[str, int]:
    streams = (await (await http.get("/api/v1/streams")).json())["streams"]
    return {each["name"]: each["totals"]["judged"] for each in streams}


@contextlib.asynccontextmanager
async def _server(folder: Path, model: str, engine: str | None) -> AsyncIterator[str]:
    """A server in a process of its own, with nothing but its defaults; its URL."""
    config = folder / "guard.toml"
    config.write_text("[server]\nmax_streams = 1000\nlog_level = 'warning'\n[alerts]\nenabled = false\n")
    line = [sys.executable, "-m", "streamguard", "serve", "--config", str(config), "--port", "0", "--model", model]
    process = await asyncio.create_subprocess_exec(
        *line, *(["--engine", engine] if engine else []), stderr=asyncio.subprocess.PIPE, env=dict(os.environ)
    )
    assert process.stderr is not None
    reading = None
    try:
        while not (found := re.search(r"https?://[\w.]+:\d+", (said := await process.stderr.readline()).decode())):
            if not said:
                raise SystemExit("the server did not start")
        reading = asyncio.create_task(_drain(process.stderr))
        yield found[0]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        if reading is not None:
            await reading


async def _drain(pipe: asyncio.StreamReader) -> None:
    while await pipe.readline():
        pass


def show(found: Outcome) -> None:
    """Print it."""
    load = found.health["load"]
    print(f"{SIZE[0]}x{SIZE[1]} at {RATE:g} frames/s, one face, {found.asked:g} judged frames/s asked for")
    print(f"fit: {found.fit}; judged at once: {found.streams}")
    ranked = sorted(found.rates)
    print("judged frames/s of each: " + " ".join(f"{rate:.2f}" for rate in ranked))
    print(f"all together: {sum(ranked):.1f}; Jain's fairness index: {found.fairness:.4f}")
    worst, middle = max(found.latencies), percentile(found.latencies, 0.5)
    print(f"latency, 95th percentile of each stream: {middle:.0f} ms in the middle, {worst:.0f} ms at the most")
    print(f"/health/ready: {found.health['status']}, load {load}")
    print(f"refused: stream {found.refused_at}: {found.refusal}")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    options.add_argument("--model", default="unet_lite0")
    options.add_argument("--engine")
    options.add_argument("--seconds", type=float, default=30.0)
    given = options.parse_args()
    show(asyncio.run(overload(given.model, given.engine, given.seconds)))
