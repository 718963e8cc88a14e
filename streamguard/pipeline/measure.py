"""Cost of judging on this machine, measured with its own detector and engine."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamguard.pipeline.capacity import Cost, Means
from streamguard.pipeline.cpu_usage import CpuClock, processors
from streamguard.pipeline.extensions import DEFAULT_DETECTOR, make_detector
from streamguard.pipeline.guard import MODEL_INPUT, Guard
from streamguard.pipeline.stream import FrameReport
from streamguard.pipeline.usage import Reading, UsageMeter
from streamguard.types import Crop, Face, Picture

_TIMES = 3
_CROPS = 8
_FIRST_STREAMS, _MOST_STREAMS = 4, 64
_BUSY = 0.5
_SETTLE = 3.0


@dataclass(frozen=True, slots=True)
class Survey:
    """Result of judging as much as the machine can.

    Attributes:
        cost: what judging costs.
        means: what there was for it.
        streams: how many were judged.
        rates: judged frames per second, of each.
        latency: seconds from a frame's arrival to its verdict, 95th percentile.
        contended: share of the time in which a stream waited for its turn; well below 1 the machine could do more.
    """

    cost: Cost
    means: Means
    streams: int
    rates: tuple[float, ...]
    latency: float
    contended: float


async def survey(guard: Guard, clip: Path, seconds: float, progress: Callable[[float], None]) -> Survey:
    """Play a clip as so many live streams that the machine cannot judge them all, and measure.

    Args:
        guard: judges; has nothing else to do.
        clip: played over and over, at its own pace.
        seconds: that are measured, after a few for settling.
        progress: called with the share that is done, 0 to 1.

    Raises:
        SourceError, MediaError: the clip cannot be played.
        EngineFailed, ConfigError, EngineUnavailable: as `first_cost`.
    """
    cost = await first_cost(guard)
    count = _FIRST_STREAMS
    while True:
        async with _played(guard, clip, count) as played:
            await asyncio.sleep(_SETTLE)
            before = guard.turns.contended
            await asyncio.sleep(1.0)
            if guard.turns.contended - before < _BUSY and count < _MOST_STREAMS:
                count *= 2
                continue
            meter, clock, began = UsageMeter(cost.detection, processors(), seconds, 0.0), CpuClock(), time.monotonic()
            played.restart()
            while True:
                busy = {guard.model_label: guard.batcher.stats().busy_seconds}
                meter.add(Reading(clock.read(), guard.turns.done, busy, guard.turns.contended, count))
                passed = time.monotonic() - began
                progress(min(1.0, passed / seconds))
                if passed >= seconds:
                    break
                await asyncio.sleep(min(0.25, seconds))
            rates = tuple(judged / passed for judged in played.judged)
            usage = meter.usage(rates)
            if usage is None:
                # Not even a few frames were judged: only what was measured before is known.
                return Survey(cost, Means(processors()), count, rates, float("inf"), 1.0)
            ranked = sorted(played.latencies)
            latency = ranked[min(len(ranked) - 1, int(0.95 * len(ranked)))]
            return Survey(usage.cost, usage.means, count, rates, latency, usage.contended)


class _Played:
    """Streams that are judged, and how often."""

    def __init__(self, count: int) -> None:
        self.judged = [0] * count
        self.latencies: list[float] = []

    def restart(self) -> None:
        self.judged = [0] * len(self.judged)
        self.latencies.clear()

    async def watch(self, guard: Guard, clip: Path, number: int) -> None:
        async with aclosing(guard.watch(f"loop:{clip}", name=f"survey {number}")) as items:
            async for item in items:
                if isinstance(item, FrameReport):
                    self.judged[number] += 1
                    self.latencies.append(time.monotonic() - item.frame.arrived)


@contextlib.asynccontextmanager
async def _played(guard: Guard, clip: Path, count: int) -> AsyncGenerator[_Played, None]:
    played = _Played(count)
    tasks = [asyncio.create_task(played.watch(guard, clip, number), name=f"survey {number}") for number in range(count)]
    try:
        yield played
        for task in tasks:
            if task.done():
                # Streams without an end have ended with an error.
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def first_cost(guard: Guard, detector: str = DEFAULT_DETECTOR) -> Cost:
    """The cost of a face, before there is a stream: a detection, and a crop's judgement in batches.

    What a stream's decoding, tracking and cropping cost is not in it. Takes a fraction of a second, and a moment longer
    the first time; nothing else should run in the process meanwhile.

    Args:
        guard: judges.
        detector: finds faces.

    Raises:
        EngineFailed: the engine cannot judge.
        ConfigError, EngineUnavailable: there is no such face detector.
    """
    detection = await asyncio.to_thread(_detection, detector)
    random = np.random.default_rng(0)
    face = Face(1, (0.0, 0.0, 1.0, 1.0), 1.0, np.zeros((5, 2), np.float32))
    shape = (MODEL_INPUT, MODEL_INPUT, 3)
    crops = [Crop(face, np.eye(2, 3), random.integers(0, 256, shape, np.uint8)) for _ in range(_CROPS)]
    await guard.batcher.submit("", crops)
    used, busy = time.process_time(), guard.batcher.stats().busy_seconds
    for _ in range(_TIMES):
        await guard.batcher.submit("", crops)
    used, busy = time.process_time() - used, guard.batcher.stats().busy_seconds - busy
    count = _TIMES * _CROPS
    return Cost(stream=0.0, frame=used / count, detection=detection, engine=busy / count)


def _detection(name: str) -> float:
    """CPU seconds of finding faces once."""
    detector = make_detector(name)
    luma = np.random.default_rng(0).integers(0, 256, (720, 1280), np.uint8)
    chroma = np.full((360, 640), 128, np.uint8)
    find: Callable[[Picture], object] = detector.detect
    picture = Picture(luma, chroma, chroma)
    # The first time a network is compiled.
    find(picture)
    used = time.process_time()
    for _ in range(_TIMES):
        find(picture)
    return (time.process_time() - used) / _TIMES
