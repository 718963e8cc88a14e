"""The wall clock, given to whoever needs it so that tests can turn it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""UTC epoch seconds."""


def wall_clock() -> float:
    """UTC epoch seconds of this machine."""
    return datetime.now(UTC).timestamp()


def utc(seconds: float) -> datetime:
    """The aware datetime of UTC epoch seconds."""
    return datetime.fromtimestamp(seconds, UTC)
