"""Engines: load, compile and verify a model for this machine, and batch the crops of all streams into it."""

from __future__ import annotations

from streamguard.inference.batcher import Batcher, BatcherStats
from streamguard.inference.cache import EngineCache, Manifest
from streamguard.inference.compilation import Prepared, prepare
from streamguard.inference.engine import (
    MAX_BATCH,
    CalibrationSet,
    Engine,
    EngineFactory,
    EngineOptions,
    Precision,
    Probe,
)
from streamguard.inference.failover import FailoverEngine
from streamguard.inference.parity import INT8_BAR, Parity, ParityBar, check_parity, compare, parity_crops
from streamguard.inference.recovery import Candidate, EngineHealth, EngineState, Recovery
from streamguard.inference.registry import (
    Selected,
    Trial,
    TrialOutcome,
    candidates,
    factories,
    find_factory,
    select,
)

__all__ = [
    "INT8_BAR",
    "MAX_BATCH",
    "Batcher",
    "BatcherStats",
    "CalibrationSet",
    "Candidate",
    "Engine",
    "EngineCache",
    "EngineFactory",
    "EngineHealth",
    "EngineOptions",
    "EngineState",
    "FailoverEngine",
    "Manifest",
    "Parity",
    "ParityBar",
    "Precision",
    "Prepared",
    "Probe",
    "Recovery",
    "Selected",
    "Trial",
    "TrialOutcome",
    "candidates",
    "check_parity",
    "compare",
    "factories",
    "find_factory",
    "parity_crops",
    "prepare",
    "select",
]
