"""The values that travel between the floors: frozen, small, with shapes and units in their docstrings."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

UInt8Array: TypeAlias = NDArray[np.uint8]
FloatArray: TypeAlias = NDArray[np.float32]
BoolArray: TypeAlias = NDArray[np.bool_]
Float64Array: TypeAlias = NDArray[np.float64]
Box: TypeAlias = tuple[float, float, float, float]
"""x0, y0, x1, y1 in frame pixels; x1 and y1 are exclusive."""


class Verdict(enum.StrEnum):
    """Verdict on a face, a stream or a file.

    REAL: no sign of manipulation was found. UNSURE: there are signs, too weak to call it fake. FAKE: it looks
    manipulated. UNKNOWN: it was not judged.
    """

    REAL = "REAL"
    UNSURE = "UNSURE"
    FAKE = "FAKE"
    UNKNOWN = "UNKNOWN"

    @property
    def words(self) -> str:
        """Words that people read; nobody is told that a face is real."""
        return {"REAL": "no sign of manipulation found", "UNSURE": "unsure", "UNKNOWN": "NOT JUDGED"}.get(self, "FAKE")

    @property
    def label(self) -> str:
        """The words where space is tight."""
        return "no sign found" if self is Verdict.REAL else self.words


class Reason(enum.StrEnum):
    """Reason why a face is UNKNOWN."""

    TOO_SMALL = "too small"
    TOO_BLURRED = "too blurred"
    CUT_OFF = "cut off"
    JUST_APPEARED = "just appeared"
    ENGINE_FAILED = "engine failed"


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture in planar YUV 4:2:0, 8 bit. The planes are views: never written to.

    Attributes:
        y: luma, uint8 [height, width].
        u, v: chroma, uint8 [ceil(height / 2), ceil(width / 2)].
        matrix: the colour matrix (ITU-R BT.601 or BT.709).
        full_range: True for 0-255 samples ("JPEG range"), False for 16-235.
    """

    y: UInt8Array
    u: UInt8Array
    v: UInt8Array
    matrix: Literal["bt601", "bt709"] = "bt601"
    full_range: bool = False

    @property
    def width(self) -> int:
        """Width in pixels."""
        return int(self.y.shape[1])

    @property
    def height(self) -> int:
        """Height in pixels."""
        return int(self.y.shape[0])


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame of a stream.

    Attributes:
        stream: the stream's name.
        epoch: rises by one at each reconnect, from 0.
        index: the frame's number within its epoch, from 0 (frames dropped by a live reader leave gaps).
        time: media time in seconds since the epoch's first frame; strictly rising within an epoch.
        arrived: `time.monotonic()` seconds when the decoder handed it over.
        image: the upright picture (rotation metadata already applied).
    """

    stream: str
    epoch: int
    index: int
    time: float
    arrived: float
    image: Picture


@dataclass(frozen=True, slots=True)
class Face:
    """One face in one frame.

    Attributes:
        track: stable id of the person's track within the stream, from 1.
        box: tight face box in frame pixels.
        score: detector confidence, 0..1.
        landmarks: float32 [5, 2] x, y in frame pixels: right eye, left eye, nose, right and left mouth corner
            (as seen by the viewer: left to right).
        unjudged: why the face is not judged; None when it is good enough.
    """

    track: int
    box: Box
    score: float
    landmarks: FloatArray
    unjudged: Reason | None = None


@dataclass(frozen=True, slots=True)
class Crop:
    """A face cut out for the model.

    Attributes:
        face: the face.
        affine: float64 [2, 3], maps crop pixel (x, y, 1) to frame pixel (x, y).
        pixels: uint8 [256, 256, 3] RGB.
    """

    face: Face
    affine: Float64Array
    pixels: UInt8Array


@dataclass(frozen=True, slots=True)
class Mask:
    """The model's answer for one crop.

    Attributes:
        crop: the crop judged.
        probability: uint8 [256, 256], 0..255 for a fake probability of 0..1.
    """

    crop: Crop
    probability: UInt8Array


@dataclass(frozen=True, slots=True)
class FaceVerdict:
    """Verdict of one frame on one face.

    Attributes:
        face: the face.
        state: REAL, UNSURE, FAKE, or UNKNOWN when it was not judged.
        reason: why UNKNOWN; None otherwise.
        score: calibrated fake probability 0..1; None when UNKNOWN.
        area: pixels (of the 256x256 crop) in fake components larger than the smallest one that counts; 0 unless FAKE.
        mask: the mask; None when UNKNOWN.
    """

    face: Face
    state: Verdict
    reason: Reason | None = None
    score: float | None = None
    area: int = 0
    mask: Mask | None = None


class EventKind(enum.StrEnum):
    """Kind of what happened to a stream or to a face in it."""

    FAKE_OPENED = "fake.opened"
    FAKE_UPDATED = "fake.updated"
    FAKE_CLOSED = "fake.closed"
    STREAM_UP = "stream.up"
    STREAM_DOWN = "stream.down"
    STREAM_DEGRADED = "stream.degraded"


class Closing(enum.StrEnum):
    """Reason why a face is no longer called fake. Only CLEARED is an all-clear: it was judged and is not fake now.

    LOST: out of sight for too long. STREAM_BROKE: the source, the judging or the server broke off. STREAM_ENDED: the
    source ended, or the stream was closed. SUPERSEDED: the stream shows another source from now on.
    """

    CLEARED = "cleared"
    LOST = "lost"
    STREAM_BROKE = "stream_broke"
    STREAM_ENDED = "stream_ended"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Event:
    """Something worth telling. Immutable and complete in itself.

    Attributes:
        id: ULID, sortable by creation.
        kind: what happened.
        stream: the stream's name; `epoch` its connection number.
        track: the face concerned; None for stream events.
        at: UTC wall-clock time.
        time: media seconds within the epoch; None where no frame is concerned.
        score: mean calibrated fake probability over the window 0..1.
        share: share of fake frames among the judged ones of the window, 0..1.
        model, engine: hash-carrying names of what judged.
        detail: one sentence for people (why a stream is down, for example).
        evidence: links.
        cause: of `fake.closed`, why; None of all others.
        incident: ULID of the incident a face's events belong to: one person called fake in one stream, over lost
            tracks, interruptions and restarts; None of stream events.
        box: where the face was when last seen, x0, y0, x1, y1 as shares of the picture's width and height, 0..1.
    """

    id: str
    kind: EventKind
    stream: str
    epoch: int
    at: datetime
    track: int | None = None
    time: float | None = None
    score: float | None = None
    share: float | None = None
    model: str = ""
    engine: str = ""
    detail: str = ""
    evidence: tuple[str, ...] = field(default=())
    cause: Closing | None = None
    incident: str | None = None
    box: Box | None = None
