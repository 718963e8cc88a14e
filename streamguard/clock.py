"""The wall clock, given to whoever needs it so that tests can turn it; one for the whole process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""UTC epoch seconds."""


_kept: list[Clock] = []


def wall_clock() -> float:
    """UTC epoch seconds of this machine; within `time_kept_by`, of that clock."""
    return _kept[-1]() if _kept else datetime.now(UTC).timestamp()


@contextmanager
def time_kept_by(clock: Clock) -> Iterator[None]:
    """Let the whole process go by another clock than this machine's: machines that share a database have one time."""
    _kept.append(clock)
    try:
        yield
    finally:
        _kept.remove(clock)


def wall_time() -> datetime:
    """`wall_clock` as an aware datetime."""
    return utc(wall_clock())


def utc(seconds: float) -> datetime:
    """The aware datetime of UTC epoch seconds."""
    return datetime.fromtimestamp(seconds, UTC)
