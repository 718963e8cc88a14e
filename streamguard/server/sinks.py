"""Sinks of events besides the API, from installed packages, each with a bounded queue of its own.

In the `pyproject.toml` of a plugin::

    [project.entry-points."streamguard.sinks"]
    mysink = "my_package:MySink"            # settings: sinks = ["mysink"]
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Protocol

from streamguard.channel import Latest, cancel_and_wait
from streamguard.errors import ConfigError
from streamguard.logs import get_logger
from streamguard.plugins import collect
from streamguard.types import Event

GROUP = "streamguard.sinks"
log = get_logger("streamguard.sink")
_WAITING = 1000


class Sink(Protocol):
    """Takes events, one at a time and in order. An error is logged, and the event is lost to this sink."""

    async def put(self, event: Event) -> None:
        """Take an event."""
        ...

    async def aclose(self) -> None:
        """Take the end of events."""
        ...


@cache
def sink_plugins() -> Mapping[str, Callable[[], Sink]]:
    """Return the factories of sinks by name.

    Raises:
        ConfigError: a plugin cannot be loaded, or two have one name.
    """
    return collect(GROUP, {}, _callable)


def make_sinks(names: Iterable[str]) -> dict[str, Sink]:
    """The named sinks.

    Raises:
        ConfigError: there is none of that name, or a plugin cannot be loaded.
    """
    return {name: find_sink(name)() for name in names}


def find_sink(name: str) -> Callable[[], Sink]:
    """Return the factory of the sink of that name.

    Raises:
        ConfigError: as `make_sinks`.
    """
    known = sink_plugins()
    if name not in known:
        raise ConfigError(name, "no sink of that name is installed", "install the package that brings it")
    return known[name]


class SinkRunner:
    """Feeds one sink; a slow one loses the oldest events that wait, counted.

    Args:
        name: for the log.
        sink: where the events go.
    """

    def __init__(self, name: str, sink: Sink) -> None:
        self._name, self._sink = name, sink
        self._waiting: Latest[Event] = Latest(_WAITING)
        self._failed = 0
        self._task = asyncio.create_task(self._run(), name=f"sink {name}")

    @property
    def dropped(self) -> int:
        """Events lost, by waiting too long or by an error of the sink."""
        return self._waiting.dropped + self._failed

    def put(self, event: Event) -> None:
        """Add an event; never waits."""
        self._waiting.put(event)

    async def aclose(self, limit: float = 5.0) -> None:
        """Hand over what waits, for `limit` seconds at the most, and close the sink."""
        self._waiting.close()
        await asyncio.wait([self._task], timeout=limit)
        await cancel_and_wait(self._task)
        try:
            await self._sink.aclose()
        except Exception:
            log.exception("sink failed to close", sink=self._name)

    async def _run(self) -> None:
        async for event in self._waiting:
            try:
                await self._sink.put(event)
            except Exception:
                self._failed += 1
                log.exception("sink failed", sink=self._name, id=event.id)


def _callable(loaded: object) -> Any:
    if not callable(loaded):
        raise TypeError("it cannot be called")
    return loaded
