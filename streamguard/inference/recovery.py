"""Candidates, limits and health of an engine that may fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from streamguard.inference.engine import Engine

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
    """Limits of recovery; all in seconds but `reloads` and `hanging`.

    Attributes:
        reloads: times that an engine is loaded again before the next one is taken, each time it fails anew.
        pause: before the second reload, doubled for each further one.
        stable: an engine that judged for so long has recovered; its failures are counted anew.
        rest: before all engines are tried again where none works, doubled up to `longest`.
        retry_best: how long a lesser engine judges until the best one is given another chance, doubled each time up
            to `longest_retry`. The lesser one goes on judging meanwhile.
        answer: an engine that has not answered a batch for so long has failed.
        load: an engine that has not been loaded for so long will not be.
        hanging: calls that do not return, with which no further engine is loaded: each keeps a thread and its engine.
    """

    reloads: int = 2
    pause: float = 1.0
    stable: float = 60.0
    rest: float = 15.0
    longest: float = 300.0
    retry_best: float = 300.0
    longest_retry: float = 6 * 3600.0
    answer: float = 10.0
    load: float = 900.0
    hanging: int = 3


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """State of the engine.

    Attributes:
        state: `recovering` while it is being loaded again; `failed` while none works, until the next round of tries.
        engine: the name of the one that judges, or judged last.
        detail: why it is not well, or why it is not the best one; empty where all is well.
        failures: batches in which each engine failed, by name.
        loads: engines loaded since the start, by (name, whether it succeeded).
        stuck: none judges, and calls do not return: only a new process helps.
    """

    state: EngineState
    engine: str
    detail: str = ""
    failures: Mapping[str, int] = field(default_factory=dict)
    loads: Mapping[tuple[str, bool], int] = field(default_factory=dict)
    stuck: bool = False
