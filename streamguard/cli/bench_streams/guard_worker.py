"""streamguard itself as a contestant: many streams on one guard, wired as `watch` wires one."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

from streamguard.cli.bench_streams.worker import Tally, Task, answer, measured, read_task
from streamguard.media import SourceSupervisor
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.stream import FrameReport, StreamPipeline
from streamguard.types import Verdict

STAGES = ("detect", "track", "crop", "rule")
"""Those that a stream's pipeline counts itself."""
_SPARE = 1.03
"""What is asked for above the rate: it is the most that is judged, and the trial counts the least."""


async def work(task: Task) -> dict[str, Any]:
    """Judge the streams and answer."""
    tally = Tally(len(task.urls))
    guard = await asyncio.to_thread(Guard.open, task.model, task.engine)
    async with guard, AsyncExitStack() as stack:
        sources: list[SourceSupervisor] = []
        pipelines: list[StreamPipeline] = []
        options = WatchOptions(judged_per_second=task.rate * _SPARE)
        for place, url in enumerate(task.urls):
            sources.append(await stack.enter_async_context(SourceSupervisor(str(place), url, live=True)))
            pipelines.append(guard.pipeline(sources[-1], str(place), options))

        def stages() -> dict[str, float]:
            found = {name: sum(one.cpu_seconds[name] for one in pipelines) for name in STAGES}
            helpers = _helper_seconds()
            return {
                "decode": sum(source.decode_seconds for source in sources),
                **found,
                "infer": guard.batcher.stats().infer_cpu_seconds,
                **({"library threads": helpers} if helpers else {}),
            }

        running = [asyncio.create_task(_judge(one, place, tally)) for place, one in enumerate(pipelines)]
        try:
            found = await asyncio.to_thread(measured, task, tally, stages, guard.engine.describe())
        finally:
            for one in running:
                one.cancel()
            ended = await asyncio.gather(*running, return_exceptions=True)
        for left in ended:
            # A stream that broke explains more than figures without it.
            if isinstance(left, Exception):
                raise left
        return found


async def _judge(pipeline: StreamPipeline, place: int, tally: Tally) -> None:
    """Until it is cancelled: a live stream has no end."""
    try:
        async with aclosing(pipeline.run()) as items:
            async for item in items:
                if isinstance(item, FrameReport):
                    tally.decoded[place] = item.counts.received
                    if any(face.state is not Verdict.UNKNOWN for face in item.faces):
                        tally.judged(place, item.frame.time)
    finally:
        tally.end()


def _helper_seconds() -> float:
    """CPU seconds of the threads that libraries keep for themselves (OpenVINO's share of a batch, for example)."""
    ours = {thread.native_id for thread in threading.enumerate()}
    spent = 0.0
    for thread in Path("/proc/self/task").iterdir():
        if int(thread.name) not in ours:
            try:
                # Nanoseconds on a processor (the kernel's Documentation/scheduler/sched-stats.rst).
                spent += int((thread / "schedstat").read_text().split()[0]) / 1e9
            except OSError:
                continue
    return spent


if __name__ == "__main__":
    answer(asyncio.run(work(read_task())))
