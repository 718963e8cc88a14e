"""What every contestant of `make bench-streams` is told, and what it answers; needs Python alone.

A contestant is a program that reads one JSON object (`Task`) from stdin and, when the time is over, prints one as the
last line of its stdout (see `measured`). One that has an environment of its own puts this module's folder on its path.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START = 90.0
"""Seconds within which every stream must have had its first verdict."""


@dataclass(frozen=True)
class Task:
    """What is asked.

    Attributes:
        urls: one live stream each, MPEG-TS over HTTP.
        source_rate: pictures per second of each.
        rate: pictures per second that are to be judged of each.
        warm_up, seconds: how long it runs before it is measured, and how long it is.
        model, engine: the detector's name, and the engine's (None: the best); for those who load them themselves.
        onnx: file of the same network: uint8 [N, 256, 256, 3] RGB -> probability float32 [N, 256, 256]; may be "".
        threshold, smallest_component: the frame rule.
        margin: the crop's side as a multiple of the face box's longer side.
        detect_every: a contestant without a tracker looks for the face on every so many judged pictures.
    """

    urls: list[str]
    source_rate: float
    rate: float
    warm_up: float
    seconds: float
    model: str
    engine: str | None = None
    onnx: str = ""
    threshold: float = 0.5
    smallest_component: int = 100
    margin: float = 1.4
    detect_every: int = 1

    def document(self) -> str:
        """As JSON, for a contestant's stdin."""
        return json.dumps(dataclasses.asdict(self))


def read_task() -> Task:
    """The task on stdin."""
    return Task(**json.load(sys.stdin))


class Tally:
    """Counts from any thread."""

    def __init__(self, streams: int) -> None:
        self.verdicts: list[list[tuple[float, float]]] = [[] for _ in range(streams)]
        """By stream: media seconds of the picture judged, and `time.monotonic()` of its verdict."""
        self.decoded = [0] * streams
        """By stream: pictures decoded."""
        self._changed = threading.Condition()
        self._ended = False

    def judged(self, stream: int, media: float) -> None:
        """A verdict is there: the picture was taken `media` seconds after the stream's first one."""
        first = not self.verdicts[stream]
        self.verdicts[stream].append((media, time.monotonic()))
        if first:
            with self._changed:
                self._changed.notify_all()

    def end(self) -> None:
        """There will be no more, for a reason that is told elsewhere."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def all_begun(self, seconds: float) -> bool:
        """Wait until every stream has had a verdict; False when they have not within `seconds`."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or all(self.verdicts), seconds)
            return all(self.verdicts)


def measured(task: Task, tally: Tally, stages: Callable[[], dict[str, float]], about: str) -> dict[str, Any]:
    """Wait for the streams and the warm-up, watch for `task.seconds`, and say what came.

    Blocks; the streams run meanwhile.

    Args:
        task, tally: what is measured.
        stages: CPU seconds by stage until now.
        about: one line that names libraries and settings.

    Returns:
        The answer: `began` and `ended` (monotonic seconds), `cpu` seconds of the process between, by `stages` too,
        and for each stream its `verdicts` (media seconds, monotonic seconds; all of its life) and pictures `decoded`;
        `memory`, the most megabytes that it took.
    """
    if tally.all_begun(START):
        threading.Event().wait(task.warm_up)
    before = time.monotonic(), time.process_time(), stages(), list(tally.decoded)
    if all(tally.verdicts):
        threading.Event().wait(task.seconds)
    after = time.monotonic(), time.process_time(), stages(), list(tally.decoded)
    spent: defaultdict[str, float] = defaultdict(float)
    for name, seconds in after[2].items():
        spent[name] = seconds - before[2].get(name, 0.0)
    streams = [
        {"verdicts": list(verdicts), "decoded": end - begin}
        for verdicts, begin, end in zip(tally.verdicts, before[3], after[3], strict=True)
    ]
    return {
        "about": about,
        "began": before[0],
        "ended": after[0],
        "cpu": after[1] - before[1],
        "stages": dict(spent),
        "streams": streams,
        "memory": _peak_memory(),
    }


def _peak_memory() -> float:
    """The most megabytes that this process took; `ru_maxrss` counts what the one that began it took, too."""
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(kilobytes) / 1024


def answer(document: dict[str, Any]) -> None:
    """Print the answer."""
    print(json.dumps(document), flush=True)
