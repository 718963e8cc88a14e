"""The networks and their ModelSpec."""

from __future__ import annotations

from streamguard.models.guard import Guard
from streamguard.models.spec import ModelSpec, format_spec, parse_spec, read_spec
from streamguard.models.store import (
    CROP_MARGIN,
    DEFAULT_MODEL,
    LoadedModel,
    available,
    build,
    engines_folder,
    find,
    fresh,
    join,
    load,
    save,
)
from streamguard.models.unet import unet

__all__ = [
    "CROP_MARGIN",
    "DEFAULT_MODEL",
    "Guard",
    "LoadedModel",
    "ModelSpec",
    "available",
    "build",
    "engines_folder",
    "find",
    "format_spec",
    "fresh",
    "join",
    "load",
    "parse_spec",
    "read_spec",
    "save",
    "unet",
]
