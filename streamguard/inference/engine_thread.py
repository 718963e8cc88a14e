"""A thread for calls that may never return."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")


class EngineThread:
    """Runs one call after the other; begun with the first one.

    A daemon, unlike the threads of an executor: the interpreter's end waits for no call that hangs.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def call(self, work: Callable[[], T]) -> Future[T]:
        """Return or raise what `work` does, if it does so in time."""
        answer: Future[T] = Future()

        def run() -> None:
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(work())
                except BaseException as error:
                    answer.set_exception(error)

        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="streamguard-engine", daemon=True)
            self._thread.start()
        self._calls.put(run)
        return answer

    def leave(self) -> None:
        """Let the thread end by itself once the call under way returns."""
        self._calls.put(None)

    def close(self) -> None:
        """End it, after the call under way."""
        self.leave()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (run := self._calls.get()) is not None:
            run()
            # It holds the crops of the last batch.
            del run
