"""streamguard as a contestant: a server with its streams in the configuration, as `streamguard serve` runs it."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from functools import partial
from pathlib import Path
from typing import Any

from streamguard.pipeline.cpu_usage import CpuClock
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.stream import FrameReport
from streamguard.server.app import Server, serving
from streamguard.types import Verdict
from tests.benchmarks.streams.worker import Tally, Task, answer, measured, read_task
from tests.support.settings import config_of

STAGES = ("detect", "track", "crop", "rule")
"""Those that a stream's pipeline counts itself."""
_SPARE = 1.03
"""What is asked for above the rate: it is the most that is judged, and the trial counts the least."""


async def work(task: Task) -> dict[str, Any]:
    """Judge the streams and answer."""
    tally, clock = Tally(len(task.urls)), CpuClock()
    with tempfile.TemporaryDirectory(prefix="streamguard-bench-") as folder:
        config = config_of(
            port=0,
            admission="off",
            max_streams=max(1, len(task.urls)),
            alerts={"folder": folder},
            streams=[
                {"name": f"s{place}", "source": url, "sampling": {"judged_per_second": task.rate * _SPARE}}
                for place, url in enumerate(task.urls)
            ],
        )
        async with Guard.open(task.model, task.engine) as guard, serving(config, guard) as server:
            for place, stream in enumerate(server.hub.streams()):
                stream.reports.listen(partial(_count, tally, place))
                stream.when_over(tally.end)
            return await asyncio.to_thread(
                measured, task, tally, partial(_stages, server, guard, clock), guard.engine.describe()
            )


def _count(tally: Tally, place: int, report: FrameReport) -> None:
    tally.decoded[place] = report.counts.received
    if any(face.state is not Verdict.UNKNOWN for face in report.faces):
        tally.judged(place, report.frame.time)


def _stages(server: Server, guard: Guard, clock: CpuClock) -> dict[str, float]:
    """CPU seconds by stage until now; what the network's runtime does on threads of its own counts as `infer`."""
    streams = [stream.stage_seconds for stream in server.hub.streams()]
    return {
        "decode": clock.read().decoding,
        **{name: sum(one.get(name, 0.0) for one in streams) for name in STAGES},
        "infer": guard.batcher.stats().infer_cpu_seconds + _library_seconds(),
        "loop": _thread_seconds(threading.main_thread().native_id),
    }


def _library_seconds() -> float:
    """CPU seconds of the threads that Python knows nothing of."""
    ours = {thread.native_id for thread in threading.enumerate()}
    numbers = [int(thread.name) for thread in Path("/proc/self/task").iterdir()]
    return sum(_thread_seconds(number) for number in numbers if number not in ours)


def _thread_seconds(number: int | None) -> float:
    try:
        # Nanoseconds on a processor (the kernel's Documentation/scheduler/sched-stats.rst).
        return int(Path(f"/proc/self/task/{number}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


if __name__ == "__main__":
    answer(asyncio.run(work(read_task())))
