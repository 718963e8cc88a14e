"""Processes that do trials, each on cores of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from multiprocessing.synchronize import Event
from typing import Any

import torch

from streamguard.training.search.trial import Result, Task, attempt

Look = Callable[[int, float], bool]
_stop: Event | None = None


class Workers:
    """Does trials: one in this process, several in processes of their own.

    Args:
        count: trials at a time, at least 1.
        threads: CPU threads of all of them together; None takes what this process may use.
    """

    def __init__(self, count: int, threads: int | None = None) -> None:
        cores = sorted(os.sched_getaffinity(0))[:threads]
        # Round robin: with more workers than cores, some share one.
        self._shares = [cores[number::count] or [cores[number % len(cores)]] for number in range(count)]
        self.count = count
        self._pool: ProcessPoolExecutor | None = None
        self._stop: Event | None = None

    def submit(self, task: Task, look: Look | None) -> Future[Result]:
        """The trial's future; with one worker it is done when this returns."""
        if self.count == 1:
            return _here(task, look, len(self._shares[0]))
        if self._pool is not None:
            with contextlib.suppress(BrokenProcessPool):
                return self._pool.submit(_work, task, look)
            # One of its processes was killed, and the pool with it: whatever it was doing has failed.
            self._pool.shutdown()
        context = multiprocessing.get_context("spawn")
        turns, self._stop = context.SimpleQueue(), context.Event()
        for share in self._shares:
            turns.put(share)
        self._pool = ProcessPoolExecutor(
            self.count, mp_context=context, initializer=_begin, initargs=(turns, self._stop)
        )
        return self._pool.submit(_work, task, look)

    def close(self) -> None:
        """End what is being done after its present step, and wait for it."""
        if self._pool is not None and self._stop is not None:
            self._stop.set()
            self._pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def workers(count: int, threads: int | None = None) -> Iterator[Workers]:
    """`Workers`, closed at the end."""
    made = Workers(count, threads)
    try:
        yield made
    finally:
        made.close()


def _here(task: Task, look: Look | None, threads: int) -> Future[Result]:
    future: Future[Result] = Future()
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        future.set_result(attempt(task, look))
    except Exception as error:
        # Its frames would keep the trial's network and packs.
        future.set_exception(error.with_traceback(None))
    finally:
        torch.set_num_threads(before)
    return future


def _begin(turns: Any, stop: Event) -> None:
    """Take a share of the cores; in a new process."""
    global _stop  # noqa: PLW0603  # what a pool's initializer leaves for its tasks
    _stop = stop
    # Ctrl-C reaches every process of the terminal; the parent sees to the end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cores = turns.get()
    os.sched_setaffinity(0, cores)
    torch.set_num_threads(len(cores))
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    # Nobody is left to hear of a result.
    os._exit(1)


def _work(task: Task, look: Look | None) -> Result:
    assert _stop is not None
    return attempt(task, look, _stop.is_set)
