"""Detectors: their specs and weights. The networks themselves, which need PyTorch, are in `models.networks`."""

from __future__ import annotations

from streamguard.models.spec import ModelSpec, format_spec, parse_spec, read_spec
from streamguard.models.store import (
    CROP_MARGIN,
    DEFAULT_MODEL,
    LoadedModel,
    available,
    engines_folder,
    find,
    load,
)

__all__ = [
    "CROP_MARGIN",
    "DEFAULT_MODEL",
    "LoadedModel",
    "ModelSpec",
    "available",
    "engines_folder",
    "find",
    "format_spec",
    "load",
    "parse_spec",
    "read_spec",
]
