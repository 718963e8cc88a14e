"""Failover of engines: a failed engine is loaded again, and where that does not help the next best one is taken."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from streamguard.errors import EngineFailed, EngineUnavailable, StreamguardError
from streamguard.inference.engine import Engine, foreign_errors, judged
from streamguard.inference.recovery import Candidate, EngineHealth, EngineState, Recovery
from streamguard.logs import get_logger
from streamguard.types import UInt8Array

log = get_logger(__name__)

_LEAVE = 5.0
"""Seconds that `close` waits for an engine that is being loaded."""
_HANG = 2
"""Failures that a call which does not answer counts for: few of them can be afforded."""


@dataclass(slots=True, eq=False)
class _Judge:
    """An engine that judges, or did.

    Attributes:
        engine, label: itself, and its name in events.
        began: when the call under way began, monotonic; None where there is none.
        given_up: nobody waits for that call any more.
        replaced: another one judges. It is closed as soon as no call is under way.
    """

    engine: Engine
    label: str
    began: float | None = None
    given_up: bool = False
    replaced: bool = False


class FailoverEngine:
    """Judges with the best engine that works. `infer` fails at once while there is none, so that no queue grows.

    Loading happens on a thread of its own, which lives only while something is amiss. A call that does not return is
    given up with `overdue`, which whoever calls `infer` asks from another thread; where too many hang, no engine is
    loaded any more, and `EngineHealth.stuck` tells it.

    Args:
        first: the engine to begin with.
        label: its name in events.
        candidates: what may be taken, best first; `first` is of the first one.
        recovery: how hard is tried.
        patience: seconds that `infer` waits for a recovery. For files, which can wait; a live picture grows old.
    """

    def __init__(
        self,
        first: Engine,
        label: str,
        candidates: Sequence[Candidate],
        *,
        recovery: Recovery | None = None,
        patience: float = 0.0,
    ) -> None:
        self.max_batch = first.max_batch
        self._judge, self._candidates = _Judge(first, label), tuple(candidates)
        self._plan, self._patience = recovery or Recovery(), patience
        self._place, self._strikes, self._taken = 0, 0, time.monotonic()
        self._rest, self._retry = self._plan.rest, self._plan.retry_best
        self._state: EngineState = "ok"
        self._detail = ""
        self._failures: Counter[str] = Counter()
        self._loads: Counter[tuple[str, bool]] = Counter()
        self._closing = False
        self._under_way: _Judge | None = None
        self._hanging = 0
        self._loading: float | None = None
        self._changed = threading.Condition()
        self._mender: threading.Thread | None = None

    @property
    def name(self) -> str:
        """Name of the engine that judges."""
        return self._judge.engine.name

    @property
    def precision(self) -> str:
        """Precision of the engine that judges."""
        return self._judge.engine.precision

    @property
    def device(self) -> str:
        """Device of the engine that judges."""
        return self._judge.engine.device

    @property
    def label(self) -> str:
        """Name in events of the engine that judges."""
        return self._judge.label

    def describe(self) -> str:
        """One line for people."""
        return self._judge.engine.describe()

    def health(self) -> EngineHealth:
        """State of the engine now."""
        with self._changed:
            state, detail = self._state, self._detail
            if stuck := self._stuck():
                state, detail = "failed", f"{detail}; only a restart of the process helps"
            return EngineHealth(state, self.name, detail, dict(self._failures), dict(self._loads), stuck)

    def infer(self, crops: UInt8Array) -> UInt8Array:
        """Judge crops; see `Engine.infer`.

        Raises:
            EngineFailed: the engine raised, or there is none at the moment.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._state == "ok" or self._closing or self._stuck(), self._patience)
            if self._closing:
                raise EngineFailed(self.name, "the engine is closed", "build it again")
            if self._stuck():
                raise EngineFailed(self.name, f"calls of it do not return ({self._detail})", "restart the process")
            if self._state != "ok":
                raise EngineFailed(self.name, f"it is being loaded again ({self._detail})", "wait, or see the log")
            judge = self._under_way = self._judge
            judge.began = time.monotonic()
        try:
            return judged(judge.engine, crops)
        except EngineFailed as error:
            self._failed(judge, error.cause)
            raise
        finally:
            self._returned(judge)

    def overdue(self) -> EngineFailed | None:
        """Give up the call of `infer` under way where it has not answered for too long; None where it is well.

        The engine has then failed, and is replaced as one that raised. `infer` may be called again, from another
        thread; the engine that hangs is closed if it returns after all, and never under its call.
        """
        with self._changed:
            judge, limit = self._under_way, self._plan.answer
            if judge is None or judge.began is None or time.monotonic() - judge.began < limit:
                return None
            cause = f"has not answered for {limit:g} s"
            self._failed(judge, cause, _HANG)
            self._under_way, judge.given_up = None, True
            self._hanging += 1
            return EngineFailed(judge.engine.name, cause, "restart the process if that goes on")

    def close(self) -> None:
        """Free the device's memory. An engine that is being loaded is waited for a few seconds, one that hangs is not.

        Both are closed when they are done.
        """
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            mender = self._mender
        if mender is not None:
            mender.join(_LEAVE)
        with self._changed:
            last = self._judge
            last.replaced, idle = True, last.began is None
        if idle:
            _close(last.engine)

    def _stuck(self) -> bool:
        """Return whether no engine judges and none will: calls hang, or loading does."""
        loading = 0.0 if self._loading is None else time.monotonic() - self._loading
        return self._state != "ok" and (self._hanging >= self._plan.hanging or loading > self._plan.load)

    def _returned(self, judge: _Judge) -> None:
        with self._changed:
            judge.began = None
            if judge.given_up:
                judge.given_up = False
                self._hanging -= 1
                self._changed.notify_all()
                log.warning("a call that was given up has returned", engine=judge.engine.name)
            else:
                self._under_way = None
            close = judge.replaced
        if close:
            _close(judge.engine)

    def _failed(self, judge: _Judge, detail: str, strikes: int = 1) -> None:
        with self._changed:
            # What comes of a call that was given up is counted already.
            if self._closing or judge.given_up:
                return
            self._failures[judge.engine.name] += 1
            if judge is not self._judge:
                return
            if time.monotonic() - self._taken >= self._plan.stable:
                self._strikes, self._rest = 0, self._plan.rest
                if self._place == 0:
                    self._retry = self._plan.retry_best
            self._strikes += strikes
            self._state, self._detail = "recovering", detail
            log.error("engine failed and is loaded again", engine=self.name, detail=detail)
            if self._mender is None:
                self._mender = threading.Thread(target=self._mend, name="streamguard-engine-recovery", daemon=True)
                self._mender.start()
            self._changed.notify_all()

    def _mend(self) -> None:
        """Load a working engine, then the best one; ends when that judges, or at `close`."""
        while True:
            with self._changed:
                if self._closing or (self._state == "ok" and self._place == 0):
                    self._mender = None
                    return
                lesser = self._state == "ok"
            if lesser:
                self._give_best_a_chance()
            elif not self._held_back():
                self._recover()

    def _held_back(self) -> bool:
        """Wait while calls that hang keep an engine from loading; whether there were any."""
        with self._changed:
            if self._hanging < self._plan.hanging:
                return False
            self._state = "failed"
            self._changed.notify_all()
            log.error("calls of engines do not return: only a restart of the process helps", calls=self._hanging)
            self._changed.wait_for(lambda: self._closing or self._hanging < self._plan.hanging)
            self._state = "recovering"
            return True

    def _recover(self) -> None:
        plan = self._plan
        for place in range(self._place, len(self._candidates)):
            if place > self._place:
                self._place, self._strikes = place, 0
            while self._strikes <= plan.reloads:
                if self._strikes > 1 and self._wait(plan.pause * 2.0 ** (self._strikes - 2)):
                    return
                if self._closing or self._load(place):
                    return
                self._strikes += 1
        with self._changed:
            self._state = "failed"
        log.error("no engine works; all are tried again", seconds=self._rest)
        if not self._wait(self._rest):
            self._rest = min(2 * self._rest, plan.longest)
            self._place, self._strikes = 0, 0
            with self._changed:
                self._state = "recovering"

    def _give_best_a_chance(self) -> None:
        with self._changed:
            left = self._taken + self._retry - time.monotonic()
            if self._changed.wait_for(lambda: self._closing or self._state != "ok", max(0.0, left)):
                return
            # What hung may hang again, and take with it what judges now.
            self._changed.wait_for(lambda: self._closing or self._state != "ok" or not self._hanging)
            if self._closing or self._state != "ok":
                return
        self._retry = min(2 * self._retry, self._plan.longest_retry)
        if not self._load(0):
            self._taken = time.monotonic()

    def _load(self, place: int) -> bool:
        """Load a candidate and let it judge; False where it cannot be loaded."""
        candidate = self._candidates[place]
        with self._changed:
            self._loading = time.monotonic()
        try:
            with foreign_errors(candidate.name, "loading it again"):
                engine, label = candidate.load()
                if engine.max_batch < self.max_batch:
                    engine.close()
                    cause = f"it takes {engine.max_batch} crops at a time, not {self.max_batch}"
                    raise EngineUnavailable(candidate.name, cause)
        except StreamguardError as error:
            log.error("engine cannot be loaded", engine=candidate.name, detail=str(error))
            with self._changed:
                self._loads[candidate.name, False] += 1
            return False
        finally:
            with self._changed:
                self._loading = None
        with self._changed:
            if self._closing:
                # It comes too late to be taken.
                done = _Judge(engine, label)
            else:
                done, self._judge = self._judge, _Judge(engine, label)
                if place != self._place:
                    self._strikes = 0
                self._place, self._taken, self._state = place, time.monotonic(), "ok"
                if place == 0:
                    self._detail = ""
                self._loads[candidate.name, True] += 1
                self._changed.notify_all()
                log.warning("another engine judges now", engine=engine.name, label=label)
            done.replaced, idle = True, done.began is None
        if idle:
            _close(done.engine)
        return True

    def _wait(self, seconds: float) -> bool:
        """Return whether it is closed meanwhile."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closing, seconds)


def _close(engine: Engine) -> None:
    try:
        engine.close()
    except Exception:
        log.exception("engine could not be closed", engine=engine.name)
