"""Engines that fail on purpose."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from streamguard.inference import Candidate, Engine
from streamguard.types import UInt8Array


class Breaker:
    """Breaks engines that were wrapped by it."""

    def __init__(self) -> None:
        self._made = self._broken = self._hung = 0
        self._dead = ""
        self._released = threading.Event()
        self.raised = 0
        """Batches that failed on purpose."""
        self.hung = 0
        """Batches that were held on purpose."""

    def wrap(self, engine: Engine) -> BreakableEngine:
        """The engine, made breakable."""
        self._made += 1
        return BreakableEngine(engine, self, self._made)

    def wrap_all(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Candidates whose engines are breakable."""

        def wrapped(candidate: Candidate) -> Candidate:
            def load() -> tuple[Engine, str]:
                engine, label = candidate.load()
                return self.wrap(engine), label

            return Candidate(candidate.name, load)

        return [wrapped(each) for each in candidates]

    def break_present(self) -> None:
        """The engines made until now raise; those loaded from now on do not."""
        self._broken = self._made

    def hang_present(self) -> None:
        """The engines made until now do not return until `release`; those loaded from now on do."""
        self._released.clear()
        self._hung = self._made

    def release(self) -> None:
        """What hangs goes on."""
        self._hung = 0
        self._released.set()

    def kill(self, name: str) -> None:
        """Every engine of that name raises, however often it is loaded; until `revive`."""
        self._dead = name

    def revive(self) -> None:
        """Engines loaded from now on work."""
        self._dead = ""

    def hold(self, number: int) -> None:
        """Block for as long as that engine has to hang."""
        if number <= self._hung:
            self.hung += 1
            self._released.wait()

    def fails(self, name: str, number: int) -> bool:
        """Whether an engine has to fail now."""
        if number <= self._broken or name == self._dead:
            self.raised += 1
            return True
        return False


class BreakableEngine:
    """An engine that raises or hangs when it is told to.

    Args:
        engine: judges.
        breaker: tells.
        number: by which the breaker knows it.
    """

    def __init__(self, engine: Engine, breaker: Breaker, number: int) -> None:
        self._engine, self._breaker, self._number = engine, breaker, number
        self.max_batch = engine.max_batch

    @property
    def name(self) -> str:
        """Of the engine."""
        return self._engine.name

    @property
    def precision(self) -> str:
        """Of the engine."""
        return self._engine.precision

    @property
    def device(self) -> str:
        """Of the engine."""
        return self._engine.device

    def describe(self) -> str:
        """One line for people."""
        return self._engine.describe()

    def infer(self, crops: UInt8Array) -> UInt8Array:
        """Judge, or raise RuntimeError as a library does, or hang as a driver does."""
        self._breaker.hold(self._number)
        if self._breaker.fails(self.name, self._number):
            raise RuntimeError("broken on purpose")
        return self._engine.infer(crops)

    def close(self) -> None:
        """Free the engine."""
        self._engine.close()
