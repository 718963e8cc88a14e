"""Items that a source yields: `Up`, its frames, and `Down` where it breaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from streamguard.errors import StreamguardError
from streamguard.types import Frame


@dataclass(frozen=True, slots=True)
class Up:
    """Pictures flow; the first frame follows.

    Attributes:
        epoch: connection number, from 0; that of the frames that follow.
        width, height: of the upright pictures.
        rate: frames per second; None where the source does not tell.
        codec: libav's name of the decoder.
        live: whether it plays in real time, its newest frame only.
        duration, frame_count: seconds and frames in all; None when live or unknown.
    """

    epoch: int
    width: int
    height: int
    rate: float | None
    codec: str
    live: bool
    duration: float | None
    frame_count: int | None


@dataclass(frozen=True, slots=True)
class Down:
    """The source is not there; another attempt follows.

    Attributes:
        epoch: that of the connection which broke (or was never made).
        error: why.
        retry_in: seconds until the next attempt.
        attempt: 1 when the connection breaks, then one more for each attempt that fails.
    """

    epoch: int
    error: StreamguardError
    retry_in: float
    attempt: int


SourceItem: TypeAlias = Up | Frame | Down
