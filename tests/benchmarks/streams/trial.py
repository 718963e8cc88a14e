"""When so many streams are sustained, and how the largest such number is found. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, slots=True)
class Limits:
    """What every stream must keep.

    Attributes:
        rate: judged pictures per second, of each stream.
        latency: seconds from a picture's capture to its verdict that 95 of 100 verdicts must stay below.
    """

    rate: float = 5.0
    latency: float = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of so many streams.

    Attributes:
        streams: how many.
        judged: judged pictures per second of each stream, in their order.
        p50, p95: seconds from capture to verdict, over the verdicts of all streams; None without any.
        decoded: share of the sources' pictures that were decoded, 0..1.
        cpu: share of all cores' time that the contestant used, 0..1.
        cost: CPU milliseconds of the contestant per judged picture; None without any.
        stages: the same by stage; `rest` is what no stage counts.
        about: libraries and settings.
        reason: why it was not sustained; empty where it was.
        memory: the most megabytes that it took; 0 where it does not tell.
    """

    streams: int
    judged: tuple[float, ...]
    p50: float | None
    p95: float | None
    decoded: float
    cpu: float
    cost: float | None
    stages: Mapping[str, float]
    about: str
    reason: str
    memory: float = 0.0

    @property
    def held(self) -> bool:
        """Whether it was sustained."""
        return not self.reason


def outcome(
    answer: Mapping[str, Any], captured: Sequence[float | None], limits: Limits, source_rate: float, cores: int
) -> Outcome:
    """Judge a contestant's answer (see `worker.measured`).

    Args:
        answer: what it said.
        captured: monotonic seconds at which the first picture of each stream was taken; None: nobody fetched it.
        limits: what must be kept.
        source_rate: pictures per second of each stream.
        cores: that the contestant had.
    """
    began, ended = float(answer["began"]), float(answer["ended"])
    seconds = ended - began
    late: list[float] = []
    counts = []
    for stream, zero in zip(answer["streams"], captured, strict=True):
        within = [(media, at) for media, at in stream["verdicts"] if began <= at < ended]
        counts.append(len(within))
        late += [at - zero - media for media, at in within if zero is not None]
    total = sum(counts)
    p50, p95 = (float(value) for value in np.quantile(late, (0.5, 0.95))) if late else (None, None)
    decoded = sum(stream["decoded"] for stream in answer["streams"])
    expected = source_rate * seconds * len(counts)
    stages = dict(answer["stages"])
    stages["rest"] = answer["cpu"] - sum(stages.values())
    return Outcome(
        streams=len(counts),
        judged=tuple(count / seconds if seconds else 0.0 for count in counts),
        p50=p50,
        p95=p95,
        decoded=decoded / expected if expected else 0.0,
        cpu=answer["cpu"] / (seconds * cores) if seconds else 0.0,
        cost=answer["cpu"] / total * 1e3 if total else None,
        stages={name: spent / total * 1e3 for name, spent in stages.items()} if total else {},
        about=str(answer["about"]),
        reason=_reason(counts, seconds, p95, limits),
        memory=float(answer.get("memory", 0.0)),
    )


def _reason(counts: Sequence[int], seconds: float, p95: float | None, limits: Limits) -> str:
    # A window cuts between two verdicts at either end: one may be missing without the rate being lower.
    least = int(limits.rate * seconds) - 1
    if p95 is None or not seconds:
        return "not all streams were judged"
    if slow := sum(count < least for count in counts):
        return f"{slow} of {len(counts)} below {limits.rate:g} judged/s"
    return f"p95 above {limits.latency * 1e3:.0f} ms" if p95 > limits.latency else ""


class Search:
    """The largest number that holds, where a smaller one holds whenever a larger one does.

    Doubles until one fails, then halves the gap. A number has failed when it failed twice: a busy moment of the
    machine must not decide.

    Args:
        most: no more than this is asked for, at least 1.
    """

    def __init__(self, most: int) -> None:
        self._most, self.held, self._failed = most, 0, most + 1
        self._once: int | None = None

    @property
    def next(self) -> int | None:
        """What is to be tried next; None when `held` is the answer."""
        if self._once is not None:
            return self._once
        if self._failed - self.held <= 1:
            return None
        if self._failed > self._most:
            return min(max(1, 2 * self.held), self._most)
        return (self.held + self._failed) // 2

    def tell(self, held: bool) -> None:
        """What became of `next`."""
        tried = self.next
        if tried is None:
            raise ValueError("the search is over")
        if held:
            self.held, self._once = tried, None
        elif self._once is None:
            self._once = tried
        else:
            self._failed, self._once = tried, None
