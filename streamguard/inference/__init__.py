"""Engines: load, compile and verify a model for this machine, and batch the crops of all streams into it."""

from __future__ import annotations

from streamguard.inference.batcher import Batcher, BatcherStats
from streamguard.inference.cache import EngineCache, Manifest
from streamguard.inference.engine import (
    MAX_BATCH,
    Calibration,
    Engine,
    EngineFactory,
    EngineOptions,
    Precision,
    Probe,
)
from streamguard.inference.lasting import LastingEngine
from streamguard.inference.parity import INT8_BAR, Parity, ParityBar, check_parity, compare, parity_crops
from streamguard.inference.prepare import Prepared, prepare
from streamguard.inference.recovery import Candidate, EngineHealth, EngineState, Recovery
from streamguard.inference.registry import (
    Outcome,
    Selected,
    Trial,
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
    "Calibration",
    "Candidate",
    "Engine",
    "EngineCache",
    "EngineFactory",
    "EngineHealth",
    "EngineOptions",
    "EngineState",
    "LastingEngine",
    "Manifest",
    "Outcome",
    "Parity",
    "ParityBar",
    "Precision",
    "Prepared",
    "Probe",
    "Recovery",
    "Selected",
    "Trial",
    "candidates",
    "check_parity",
    "compare",
    "factories",
    "find_factory",
    "parity_crops",
    "prepare",
    "select",
]
