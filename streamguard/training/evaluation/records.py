"""Records of an evaluation run, frame by frame; every figure is computed from these values alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

SCHEMA = "streamguard.evaluation/2"


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame as the detector judged it.

    Attributes:
        index: the frame's number within the clip, from 0.
        time: media seconds within the clip.
        score: calibrated fake probability 0..1; None when the frame was not judged.
        fake: the frame rule's verdict; None exactly when `score` is None.
        unsure: it is not fake, and a face of it is unsure.
        area: points of the 256x256 crop in fake components that count.
        dice: agreement 0..1 of the mask with that of the registered pair; None where there is none.
        ellipse: the same agreement for a fixed ellipse in the face box.
        looks: blur and brightness of the crop; both empty when the frame was not judged.
        shorter_side, sharpness: what the quality gate holds against its limits: the shorter side of the face box
            in frame pixels, and the crop's sharpness (see `faces.gate`); None when the frame was not judged.
        reason: why the frame was not judged; None when it was.
    """

    index: int
    time: float
    score: float | None
    fake: bool | None = None
    unsure: bool = False
    area: int = 0
    dice: float | None = None
    ellipse: float | None = None
    looks: Mapping[str, float] = field(default_factory=dict)
    shorter_side: float | None = None
    sharpness: float | None = None
    reason: str | None = None

    @property
    def judged(self) -> bool:
        """Return whether the detector gave a verdict."""
        return self.score is not None


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """One clip, or one picture: a still of a single frame.

    Attributes:
        name: unique within the evaluation.
        set, program, group: as in the manifest; groups are what is resampled for every interval.
        label: the truth, True when it is fake.
        frames: in the order of time.
        width, height: picture size in pixels.
        codec: name of the video codec; empty for a still.
        bit_rate: bits per second of a clip; None where the container does not tell.
        alerts: media seconds at which the live vote opened a fake, rising.
        partner: name of the real one that a fake is registered with; empty where there is none.
    """

    name: str
    set: str
    program: str
    group: str
    label: bool
    frames: tuple[FrameRecord, ...]
    width: int
    height: int
    codec: str = ""
    bit_rate: int | None = None
    alerts: tuple[float, ...] = ()
    partner: str = ""

    @property
    def still(self) -> bool:
        """Return whether it is a picture."""
        return not self.codec

    @property
    def judged(self) -> tuple[FrameRecord, ...]:
        """Its judged frames."""
        return tuple(frame for frame in self.frames if frame.judged)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """One run of one detector over labelled clips and pictures.

    Attributes:
        model, engine: hash-carrying names of what judged.
        threshold: probability 0..1 above which the frame rule counts a pixel as fake.
        clips: what was judged.
        created: when the run was made, with its time zone.
        whole: pictures in which no face was found, judged by their whole square.
        left_out: how many could not be read, by reason.
        notes: sentences on the data and its limits, shown in every report.
    """

    model: str
    engine: str
    threshold: float
    clips: tuple[ClipRecord, ...]
    created: datetime
    whole: int = 0
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def to_json(evaluation: Evaluation, summary: Mapping[str, Any]) -> str:
    """The figures and the records behind them as a JSON document of schema `streamguard.evaluation/2`."""
    plain = asdict(evaluation) | {"created": evaluation.created.isoformat()}
    document = {"schema": SCHEMA, "summary": dict(summary), "evaluation": plain}
    return json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n"
