"""streamguard: real-time deepfake detection for live video.

Importing this package loads neither torch nor av nor aiohttp: the names below are resolved on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streamguard.errors import StreamguardError
    from streamguard.media import SourceOptions
    from streamguard.pipeline.guard import Guard, WatchOptions
    from streamguard.pipeline.guarded_track import GuardedTrack
    from streamguard.pipeline.recorder import OverlayRecorder
    from streamguard.pipeline.scan import FileScan
    from streamguard.pipeline.stream import FrameReport
    from streamguard.types import Event, EventKind, FaceVerdict, Frame, Verdict
    from streamguard.verdict import FileVerdict, VoteSettings

    __version__: str

__all__ = [
    "Event",
    "EventKind",
    "FaceVerdict",
    "FileScan",
    "FileVerdict",
    "Frame",
    "FrameReport",
    "Guard",
    "GuardedTrack",
    "OverlayRecorder",
    "SourceOptions",
    "StreamguardError",
    "Verdict",
    "VoteSettings",
    "WatchOptions",
    "__version__",
]

_MODULES = {
    "Event": "streamguard.types",
    "EventKind": "streamguard.types",
    "FaceVerdict": "streamguard.types",
    "FileScan": "streamguard.pipeline.scan",
    "FileVerdict": "streamguard.verdict",
    "Frame": "streamguard.types",
    "FrameReport": "streamguard.pipeline.stream",
    "Guard": "streamguard.pipeline.guard",
    "GuardedTrack": "streamguard.pipeline.guarded_track",
    "OverlayRecorder": "streamguard.pipeline.recorder",
    "SourceOptions": "streamguard.media",
    "StreamguardError": "streamguard.errors",
    "Verdict": "streamguard.types",
    "VoteSettings": "streamguard.verdict",
    "WatchOptions": "streamguard.pipeline.guard",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("streamguard")
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
