"""Interruption of a libav call that blocks in another thread.

libav asks a callback, several times a second, whether to give up. PyAV's callback compares the clock with the
time-out that was fixed when the call began, and there is no other way in from outside. So the clock is where we
enter: PyAV's container module is given one that leaps ahead in the threads whose call is to be broken off.
Without that (a PyAV that reads the clock elsewhere) a blocked call still ends at its own time-out.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import av.container.core

# Far beyond any time-out, and added anew at each reading: a call that starts late must see time pass, too.
_LEAP_SECONDS = 1e9


class _Clock:
    """Stands in for the `time` module inside PyAV's container module."""

    def __init__(self) -> None:
        self.broken_off: dict[int, float] = {}
        self.limits: dict[int, float] = {}

    def monotonic(self) -> float:
        thread, now = threading.get_ident(), time.monotonic()
        if thread not in self.broken_off:
            if now < self.limits.get(thread, now + 1):
                return now
            self.broken_off[thread] = 0.0
        self.broken_off[thread] += _LEAP_SECONDS
        return now + self.broken_off[thread]

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


_CLOCK = _Clock()
if vars(av.container.core).get("time") is time:
    vars(av.container.core)["time"] = _CLOCK


class Interrupt:
    """A stop request that also reaches a thread blocked in libav.

    The blocking side wraps each libav call in `with interrupt:` (one thread at a time); any thread calls `set`.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._thread: int | None = None

    @property
    def is_set(self) -> bool:
        """Return whether a stop was requested."""
        return self._event.is_set()

    def set(self) -> None:
        """Request the stop; the libav call in flight, and any later one, returns within about 0.1 s."""
        with self._lock:
            self._event.set()
            if self._thread is not None:
                _CLOCK.broken_off.setdefault(self._thread, 0.0)

    def wait(self, seconds: float) -> bool:
        """Sleep for `seconds`, or less when the stop comes. Returns `is_set`."""
        return self._event.wait(seconds)

    @contextlib.contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Guard a call as `with interrupt:` does, and break it off after so many seconds.

        libav's own limit is one of silence: packets that nobody asked for begin it anew each time.
        """
        thread = threading.get_ident()
        with self:
            _CLOCK.limits[thread] = time.monotonic() + seconds
            try:
                yield
            finally:
                del _CLOCK.limits[thread]

    def __enter__(self) -> None:
        with self._lock:
            self._thread = threading.get_ident()
            if self._event.is_set():
                _CLOCK.broken_off.setdefault(self._thread, 0.0)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            # Thread numbers are used again: the mark must not outlive the call.
            if self._thread is not None:
                _CLOCK.broken_off.pop(self._thread, None)
            self._thread = None
