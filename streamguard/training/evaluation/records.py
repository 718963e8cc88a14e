"""What an evaluation run writes down, frame by frame; every figure is computed from these values alone."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from streamguard.errors import DataError

SCHEMA = "streamguard.evaluation/1"
_SHARES = ("score", "dice", "iou", "ellipse_dice", "ellipse_iou")
_NUMBERS = ("time", "raw", "face_size", "shorter_side", "sharpness")


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame as the detector judged it.

    Attributes:
        index: the frame's number within the clip, from 0.
        time: media seconds within the clip.
        label: the truth, True when the frame is fake; None where it is not known.
        score: calibrated fake probability 0..1; None when the frame was not judged.
        raw: the score before calibration, any real number; None when it was not kept.
        fake: the frame rule's verdict; None exactly when `score` is None.
        area: points of the 256x256 crop in fake components that count.
        dice, iou: agreement of the mask with the true mask, 0..1; None where there is no true mask.
        baselines: know-nothing scores by name, higher meaning more fake.
        ellipse_dice, ellipse_iou: the same agreement for a fixed ellipse in the face box.
        face_size: longer side of the face box in frame pixels; None when no face was found.
        shorter_side, sharpness: what the quality gate holds against its limits: the shorter side of the face box
            in frame pixels, and the crop's sharpness (see `faces.gate`); None when the frame was not judged.
        reason: why the frame was not judged; None when it was.

    Raises:
        DataError: a value is out of its range or not finite, or score, verdict and reason contradict one
        another.
    """

    index: int
    time: float
    label: bool | None
    score: float | None
    raw: float | None = None
    fake: bool | None = None
    area: int = 0
    dice: float | None = None
    iou: float | None = None
    baselines: Mapping[str, float] = field(default_factory=dict)
    ellipse_dice: float | None = None
    ellipse_iou: float | None = None
    face_size: float | None = None
    shorter_side: float | None = None
    sharpness: float | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        name = f"frame {self.index}"
        for key in _SHARES:
            value = getattr(self, key)
            if value is not None and not 0.0 <= value <= 1.0:
                raise DataError(name, f"{key} is {value}, outside 0..1")
        for key, value in [(key, getattr(self, key)) for key in _NUMBERS] + [*self.baselines.items()]:
            if value is not None and not math.isfinite(value):
                raise DataError(name, f"{key} is {value}, not a finite number")
        if (self.score is None) != (self.fake is None):
            raise DataError(name, "score and verdict must both be there or both be missing")
        if self.score is not None and self.reason is not None:
            raise DataError(name, f"is judged and yet has a reason for not being judged ({self.reason})")

    @property
    def judged(self) -> bool:
        """Whether the detector gave a verdict."""
        return self.score is not None


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """One clip: the unit that is resampled for every interval.

    Attributes:
        name: unique within the evaluation.
        group: what figures are broken down by, such as a generator or a person.
        label: the truth, True when the clip is fake.
        frames: in the order of time.
        width, height: picture size in pixels.
        codec: name of the video codec.
        bit_rate: bits per second; None where the container does not tell.
        alerts: media seconds at which the live vote opened a fake, rising.
    """

    name: str
    group: str
    label: bool
    frames: tuple[FrameRecord, ...]
    width: int
    height: int
    codec: str
    bit_rate: int | None = None
    alerts: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One run of one detector over labelled clips.

    Attributes:
        model, engine: hash-carrying names of what judged.
        threshold: probability 0..1 above which the frame rule counts a pixel as fake.
        clips: the clips judged.
        created: when the run was made, with its time zone.
        notes: sentences on the data and its limits, shown in every report.

    Raises:
        DataError: two clips bear the same name, the threshold is outside 0..1, or `created` has no time zone.
    """

    model: str
    engine: str
    threshold: float
    clips: tuple[ClipRecord, ...]
    created: datetime
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise DataError("evaluation", f"threshold is {self.threshold}, outside 0..1")
        if self.created.tzinfo is None:
            raise DataError("evaluation", "the time of creation has no time zone")
        seen: set[str] = set()
        for clip in self.clips:
            if clip.name in seen:
                raise DataError(clip.name, "two clips bear this name", "give every clip a name of its own")
            seen.add(clip.name)


_ADAPTER = TypeAdapter(Evaluation)


def to_json(evaluation: Evaluation, summary: Mapping[str, Any] | None = None) -> str:
    """The evaluation as a JSON document of schema `streamguard.evaluation/1`.

    Args:
        evaluation: what to write.
        summary: figures to carry along for readers; ignored when the document is read back.
    """
    document: dict[str, Any] = {"schema": SCHEMA}
    if summary is not None:
        document["summary"] = dict(summary)
    document["evaluation"] = _ADAPTER.dump_python(evaluation, mode="json")
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"


def from_json(text: str | bytes, *, name: str = "evaluation") -> Evaluation:
    """Reads back what `to_json` wrote.

    Raises:
        DataError: no JSON, another schema or version, or a value missing, of the wrong kind or out of range.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise DataError(name, f"is no JSON document ({error})") from error
    schema = document.get("schema") if isinstance(document, dict) else None
    if schema != SCHEMA:
        raise DataError(name, f"has the schema {schema!r}, not {SCHEMA!r}", "write it again with this version")
    try:
        # Strict types only exist on the JSON side of pydantic: tuples and dates are not JSON types.
        return _ADAPTER.validate_json(json.dumps(document.get("evaluation")), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(name, f"{where}: {first['msg']}") from error


def read_json(path: Path) -> Evaluation:
    """The evaluation in a file.

    Raises:
        DataError: the file cannot be read or holds no evaluation.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise DataError(str(path), f"cannot be read ({error.strerror})") from error
    return from_json(text, name=str(path))
