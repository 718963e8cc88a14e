"""What a soak needs around the server: sources, engine, configuration."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamguard.config import Config
from streamguard.errors import OutputError
from streamguard.inference import EngineCache, FailoverEngine, Recovery, candidates, select
from streamguard.models import load
from streamguard.pipeline.guard import Guard
from streamguard.types import EventKind
from tests.soak.breaker import Breaker
from tests.soak.material import Material, as_json
from tests.soak.receiver import Receiver
from tests.soak.sources import GeneratedSource, GivenSource, Source

_STALL = 5.0
_SMALLER = 0.75
"""The second size, in parts of the first."""
_RETRY_BEST = 60.0
_ANSWER = 2.0
"""Seconds that an engine has to answer at the least, however quickly faults follow each other."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be soaked, and how.

    Attributes:
        streams: how many are generated; none where `urls` are given.
        urls: of streams to watch.
        seconds: how long.
        every: seconds between the begins of two faults.
        faults: their names; empty for all.
        warm_up: seconds before memory and descriptors count.
        settle: seconds at the end that messages may take to be delivered.
        seed: decides order and length of the faults.
        rate: pictures per second of generated streams.
        size: width and height of their pictures, in pixels.
        judged: frames per second and stream that are judged at the most.
        model, engine, threads, cache: as for `Guard.load`.
        loop: seconds after which generated pictures begin anew; the second half is fake.
    """

    streams: int = 6
    urls: tuple[str, ...] = ()
    seconds: float = 1800.0
    every: float = 20.0
    faults: tuple[str, ...] = ()
    warm_up: float = 300.0
    settle: float = 400.0
    seed: int = 1
    rate: float = 25.0
    size: tuple[int, int] = (640, 360)
    judged: float = 5.0
    model: str = "unet_lite0"
    engine: str | None = None
    threads: int = 2
    cache: Path | None = None
    loop: float = 30.0


def material_of(plan: Plan) -> Material:
    """What the generated streams play."""
    smaller = tuple(2 * round(_SMALLER * side / 2) for side in plan.size)
    length = min(600.0, plan.seconds + plan.settle + 60.0)
    return Material(plan.rate, plan.loop, length, (plan.size, (smaller[0], smaller[1])))


async def made(material: Material, folder: Path) -> None:
    """Write the clips, in a process of its own.

    Raises:
        OutputError: they could not be written.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.soak.material", as_json(material), str(folder),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        _, said = await process.communicate()
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        last = said.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise OutputError(str(folder), f"the clips could not be made ({last[0]})", "see that the disk has room")


def sources_of(plan: Plan, folder: Path) -> list[Source]:
    """The streams, not started yet."""
    if plan.urls:
        return [GivenSource(f"given-{number}", url) for number, url in enumerate(plan.urls, 1)]
    material = material_of(plan)
    # Apart in time: alerts of all streams at once would be another test.
    lead = material.pictures / plan.rate / max(1, plan.streams)
    clips = material.clips(folder)
    return [
        GeneratedSource(f"soak-{number}", clips, plan.rate, material.pictures, number * lead)
        for number in range(1, plan.streams + 1)
    ]


def breakable_guard(plan: Plan, breaker: Breaker) -> Guard:
    """As `Guard.load`, with engines that can be broken."""
    model = load(plan.model)
    cache = EngineCache(plan.cache) if plan.cache else None
    selected = select(model, plan.engine, cache=cache)
    ladder = breaker.wrap_all(candidates(model, selected.engine.name, cache=cache))
    usual, half = Recovery(), plan.every / 2
    recovery = Recovery(
        stable=min(usual.stable, half), answer=min(usual.answer, max(_ANSWER, half)), retry_best=_RETRY_BEST
    )
    first = breaker.wrap(selected.engine)
    return Guard(model, FailoverEngine(first, selected.manifest.label, ladder, recovery=recovery), threads=plan.threads)


def config_of(plan: Plan, sources: Sequence[Source], receiver: Receiver, folder: Path) -> Config:
    """The server's configuration: every event goes to the receiver, evidence is kept."""
    return Config.model_validate(
        {
            "server": {"listen": "127.0.0.1:0", "max_streams": len(sources)},
            "engine": {"model": plan.model, "engine": plan.engine, "threads": plan.threads},
            "alerts": {"folder": str(folder / "alerts"), "allow_networks": ["127.0.0.0/8"], "allow_http": True},
            "evidence": {"enabled": True, "clip_seconds": 5.0, "clip_megabytes": 4, "keep_gigabytes": 0.2},
            "streams": [
                {
                    "name": source.name,
                    "source": source.url,
                    "stall_seconds": _STALL,
                    "sampling": {"judged_per_second": plan.judged},
                }
                for source in sources
            ],
            "rules": [
                {
                    "name": "soak",
                    "url": receiver.url,
                    "secret": receiver.secret,
                    "kinds": [kind.value for kind in EventKind],
                    # A face that is fake each half minute is no flapping here.
                    "flap_seconds": 0.0,
                }
            ],
        }
    )
