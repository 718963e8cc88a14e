"""An engine that outlives its own failures: loaded again, and where that does not help the next best one is taken."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np

from streamguard.errors import EngineFailed, EngineUnavailable, StreamguardError
from streamguard.inference.engine import Engine, foreign_errors
from streamguard.types import UInt8Array

log = logging.getLogger(__name__)

EngineState: TypeAlias = Literal["ok", "recovering", "failed"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """An engine that may be taken.

    Attributes:
        name: as registered.
        load: makes it, verified against the reference, and its label for events; blocks. Raises EngineError.
    """

    name: str
    load: Callable[[], tuple[Engine, str]]


@dataclass(frozen=True, slots=True)
class Recovery:
    """How hard is tried; all in seconds but `reloads`.

    Attributes:
        reloads: times that an engine is loaded again before the next one is taken, each time it fails anew.
        pause: before the second reload, doubled for each further one.
        stable: an engine that judged for so long has recovered; its failures are counted anew.
        rest: before all engines are tried again where none works, doubled up to `longest`.
        retry_best: how long a lesser engine judges until the best one is given another chance, doubled each time up
            to `longest_retry`. The lesser one goes on judging meanwhile.
    """

    reloads: int = 2
    pause: float = 1.0
    stable: float = 60.0
    rest: float = 15.0
    longest: float = 300.0
    retry_best: float = 300.0
    longest_retry: float = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """How the engine does.

    Attributes:
        state: `recovering` while it is being loaded again; `failed` while none works, until the next round of tries.
        engine: the name of the one that judges, or judged last.
        detail: why it is not well, or why it is not the best one; empty where all is well.
        failures: batches in which each engine raised, by name.
        loads: engines loaded since the start, by (name, whether it succeeded).
    """

    state: EngineState
    engine: str
    detail: str = ""
    failures: Mapping[str, int] = field(default_factory=dict)
    loads: Mapping[tuple[str, bool], int] = field(default_factory=dict)


class LastingEngine:
    """Judges with the best engine that works. `infer` fails at once while there is none, so that no queue grows.

    Loading happens on a thread of its own, which lives only while something is amiss.

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
        self._engine, self._label, self._candidates = first, label, tuple(candidates)
        self._plan, self._patience = recovery or Recovery(), patience
        self._place, self._strikes, self._taken = 0, 0, time.monotonic()
        self._rest, self._retry = self._plan.rest, self._plan.retry_best
        self._state: EngineState = "ok"
        self._detail = ""
        self._failures: Counter[str] = Counter()
        self._loads: Counter[tuple[str, bool]] = Counter()
        self._closing = False
        # Held while a batch is judged: an engine is not exchanged under it.
        self._using = threading.Lock()
        self._changed = threading.Condition()
        self._mender: threading.Thread | None = None

    @property
    def name(self) -> str:
        """Of the engine that judges."""
        return self._engine.name

    @property
    def precision(self) -> str:
        """Of the engine that judges."""
        return self._engine.precision

    @property
    def device(self) -> str:
        """Of the engine that judges."""
        return self._engine.device

    @property
    def label(self) -> str:
        """The name in events of the engine that judges."""
        return self._label

    def describe(self) -> str:
        """One line for people."""
        return self._engine.describe()

    def health(self) -> EngineHealth:
        """How it does now."""
        with self._changed:
            return EngineHealth(self._state, self.name, self._detail, dict(self._failures), dict(self._loads))

    def infer(self, crops: UInt8Array) -> UInt8Array:
        """Judge crops; see `Engine.infer`.

        Raises:
            EngineFailed: the engine raised, or there is none at the moment.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._state == "ok" or self._closing, self._patience)
            if self._closing:
                raise EngineFailed(self.name, "the engine is closed", "build it again")
            if self._state != "ok":
                raise EngineFailed(self.name, f"it is being loaded again ({self._detail})", "wait, or see the log")
        with self._using:
            try:
                return self._judged(crops)
            except EngineFailed as error:
                self._failed(error.cause)
                raise

    def close(self) -> None:
        """Free the device's memory; waits for an engine that is being loaded."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            mender = self._mender
        if mender is not None:
            mender.join()
        self._engine.close()

    def _judged(self, crops: UInt8Array) -> UInt8Array:
        try:
            with foreign_errors(self.name, f"judging {len(crops)} crops"):
                answer = self._engine.infer(crops)
        except EngineFailed:
            raise
        except StreamguardError as error:
            raise EngineFailed(self.name, error.cause, error.remedy) from error
        except BaseException as error:
            cause = f"raised {type(error).__name__}"
            raise EngineFailed(self.name, cause, "report it to the engine's author") from error
        if answer.dtype != np.uint8 or answer.shape != crops.shape[:3]:
            cause = f"answered {answer.dtype} {list(answer.shape)} to {len(crops)} crops"
            raise EngineFailed(self.name, cause, "report it to the engine's author")
        return answer

    def _failed(self, detail: str) -> None:
        with self._changed:
            if self._closing:
                return
            self._failures[self.name] += 1
            if time.monotonic() - self._taken >= self._plan.stable:
                self._strikes, self._rest = 0, self._plan.rest
                if self._place == 0:
                    self._retry = self._plan.retry_best
            self._strikes += 1
            self._state, self._detail = "recovering", detail
            log.error("engine %s failed (%s): it is loaded again", self.name, detail)
            if self._mender is None:
                self._mender = threading.Thread(target=self._mend, name="streamguard-engine-recovery", daemon=True)
                self._mender.start()
            self._changed.notify_all()

    def _mend(self) -> None:
        """Bring a working engine, then the best one; ends when that judges, or at `close`."""
        while True:
            with self._changed:
                if self._closing or (self._state == "ok" and self._place == 0):
                    self._mender = None
                    return
                lesser = self._state == "ok"
            if lesser:
                self._give_best_a_chance()
            else:
                self._recover()

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
        log.error("no engine works; all are tried again in %g s", self._rest)
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
        self._retry = min(2 * self._retry, self._plan.longest_retry)
        if not self._load(0):
            self._taken = time.monotonic()

    def _load(self, place: int) -> bool:
        """Load a candidate and let it judge; False where it cannot be loaded."""
        candidate = self._candidates[place]
        try:
            with foreign_errors(candidate.name, "loading it again"):
                engine, label = candidate.load()
                if engine.max_batch < self.max_batch:
                    engine.close()
                    cause = f"it takes {engine.max_batch} crops at a time, not {self.max_batch}"
                    raise EngineUnavailable(candidate.name, cause)
        except StreamguardError as error:
            log.error("engine %s cannot be loaded: %s", candidate.name, error)
            with self._changed:
                self._loads[candidate.name, False] += 1
            return False
        with self._using, self._changed:
            old, self._engine, self._label = self._engine, engine, label
            if place != self._place:
                self._strikes = 0
            self._place, self._taken, self._state = place, time.monotonic(), "ok"
            if place == 0:
                self._detail = ""
            self._loads[candidate.name, True] += 1
            self._changed.notify_all()
        try:
            old.close()
        except Exception:
            log.exception("engine %s could not be closed", old.name)
        log.warning("engine %s judges now (%s)", engine.name, label)
        return True

    def _wait(self, seconds: float) -> bool:
        """Whether it is closed meanwhile."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closing, seconds)
