"""What the process holds: memory, file descriptors, threads."""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import median

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Held:
    """At one moment: resident bytes, open file descriptors, threads."""

    memory: int
    descriptors: int
    threads: int


def held() -> Held:
    """What this process holds now."""
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    # The listing's own descriptor is one of them.
    return Held(resident, len(os.listdir("/proc/self/fd")) - 1, threading.active_count())


class Growth:
    """Compares calm moments after the warm-up with those at the end.

    Args:
        samples: calm moments of each time that are compared: memory by the median, descriptors and threads by the
            least, as connections that are kept for a while come and go.
    """

    def __init__(self, samples: int = 60) -> None:
        self._samples = samples
        self._first: list[Held] = []
        self._newest: deque[Held] = deque(maxlen=samples)

    def add(self, sample: Held) -> None:
        """A calm moment after the warm-up: no fault, every stream judged."""
        if len(self._first) < self._samples:
            self._first.append(sample)
        self._newest.append(sample)

    def figures(self) -> tuple[Held, Held] | None:
        """After the warm-up, and at the end; None where there was no calm moment."""
        if not self._first:
            return None
        return _typical(self._first), _typical(list(self._newest))


def _typical(samples: list[Held]) -> Held:
    return Held(
        int(median(each.memory for each in samples)),
        min(each.descriptors for each in samples),
        min(each.threads for each in samples),
    )
