"""streamguard: real-time deepfake detection for live video.

Importing this package loads neither torch nor av nor aiohttp: the names below are resolved on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_LAZY = {
    "Event": "streamguard.types",
    "EventKind": "streamguard.types",
    "FaceVerdict": "streamguard.types",
    "FileScan": "streamguard.pipeline.scan",
    "FileVerdict": "streamguard.verdict",
    "Frame": "streamguard.types",
    "FrameReport": "streamguard.pipeline.stream",
    "Guard": "streamguard.pipeline.guard",
    "GuardedTrack": "streamguard.server.guarded_track",
    "OverlayRecorder": "streamguard.pipeline.recorder",
    "SourceOptions": "streamguard.media",
    "StreamguardError": "streamguard.errors",
    "Verdict": "streamguard.types",
    "VoteSettings": "streamguard.verdict",
    "WatchOptions": "streamguard.pipeline.guard",
}

__all__ = [  # noqa: PLE0604 - the lazy names are resolved by __getattr__
    "__version__",
    *_LAZY,
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
