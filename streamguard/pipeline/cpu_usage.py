"""Processor time used by this process and left by all, read from the kernel's counters."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")
_QUOTA = Path("/sys/fs/cgroup/cpu.max")
DECODING = ("decode ", "video-decoder")
"""How the names of threads begin that decode: those of `media`, and aiortc's."""
SHOWING = ("overlay",)
"""And of those that paint and encode for viewers."""


@dataclass(frozen=True, slots=True)
class CpuReading:
    """Counters, all in seconds since some moment; differences of two readings count.

    Attributes:
        at: monotonic clock.
        used: CPU time of all threads of this process.
        decoding, showing: of these, threads that decode video, and those that paint and encode for viewers.
        idle: of the processors that this process may use, summed over them.
    """

    at: float
    used: float
    decoding: float
    showing: float
    idle: float


class CpuClock:
    """Reads the counters. Where the kernel does not tell, threads count 0 and what is not used counts as idle."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._threads: dict[int, float] = {}
        self._groups = {DECODING: 0.0, SHOWING: 0.0}

    def read(self) -> CpuReading:
        """The counters now."""
        now, used = time.monotonic(), time.process_time()
        idle = _idle_seconds()
        if idle is None:
            idle = len(os.sched_getaffinity(0)) * (now - self._began) - used
        self._count_threads()
        return CpuReading(now, used, self._groups[DECODING], self._groups[SHOWING], idle)

    def _count_threads(self) -> None:
        before, self._threads = self._threads, {}
        for thread in threading.enumerate():
            number = thread.native_id
            group = next((names for names in self._groups if thread.name.startswith(names)), None)
            if number is None or group is None:
                continue
            spent = _thread_seconds(number)
            # One that has ended meanwhile takes its last fraction of a second with it.
            if spent is not None:
                self._threads[number] = spent
                self._groups[group] += max(0.0, spent - before.get(number, 0.0))


class Busy:
    """Whether hardly anything is left of the processors, as of half a second ago or so: `busy()`, from one thread.

    Args:
        read: monotonic seconds, and seconds that the processors were idle, summed over them, since some moment.
        share: of the processors' time that must be left for them not to be busy, 0..1.
        every: seconds between two looks.
    """

    def __init__(
        self, read: Callable[[], tuple[float, float]] | None = None, share: float = 0.3, every: float = 0.5
    ) -> None:
        self._read, self._share, self._every = read or idle_until_now, share, every
        self._last = self._read()
        self._busy = False

    def __call__(self) -> bool:
        """Return the newest reading."""
        if time.monotonic() - self._last[0] >= self._every:
            now = self._read()
            left = (now[1] - self._last[1]) / (now[0] - self._last[0])
            self._busy, self._last = left < self._share * processors(), now
        return self._busy


def idle_until_now() -> tuple[float, float]:
    """Monotonic seconds, and seconds that the processors of this process were idle, summed over them."""
    now, idle = time.monotonic(), _idle_seconds()
    if idle is None:
        # Where the kernel does not tell, what this process leaves counts as idle.
        idle = len(os.sched_getaffinity(0)) * now - time.process_time()
    return now, idle


def processors() -> float:
    """Processors that this process may use at a time, by its affinity and its control group."""
    ours = float(len(os.sched_getaffinity(0)))
    try:
        most, period = _QUOTA.read_text().split()
        return min(ours, int(most) / int(period))
    except (OSError, ValueError):
        # No control group, or no limit in it.
        return ours


def _thread_seconds(number: int) -> float | None:
    try:
        text = (_PROC / "self" / "task" / str(number) / "stat").read_text()
    except OSError:
        return None
    # The name, in brackets, may hold anything; user and system time are the 14th and 15th field.
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _idle_seconds() -> float | None:
    ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    try:
        lines = [line.split() for line in (_PROC / "stat").read_text().splitlines()]
        return sum(int(line[4]) + int(line[5]) for line in lines if line[0] in ours) / _TICKS
    except (OSError, ValueError, IndexError):
        return None
