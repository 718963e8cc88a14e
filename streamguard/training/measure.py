"""Run the guard over labelled clips and write down what it says, frame by frame.

The pipeline is the live one: detector, tracker, gate, engine and rule are those that judge a stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np

from streamguard.errors import DataError, StreamguardError
from streamguard.faces import crop_square
from streamguard.faces.region import square
from streamguard.media import DecodedFrame, SourceItem, VideoSource, open_source
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.stream import FrameReport
from streamguard.training.evaluation.ellipse import blur, ellipse_mask, picture_size
from streamguard.training.evaluation.metrics import mask_agreement
from streamguard.training.evaluation.records import ClipRecord, Evaluation, FrameRecord
from streamguard.training.prepare import halves
from streamguard.training.split import VIDEOS, person_of
from streamguard.training.truth import BoolArray, pair_truth
from streamguard.types import Box, Crop, Frame, Picture, UInt8Array, Verdict
from streamguard.verdict import FrameRule, raw_score
from streamguard.verdict.rule import level_above


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled clip to judge.

    Attributes:
        path: the file.
        label: True when fake.
        group: what figures are broken down by.
        half: 0 or 1 for the left (real) or right (fake) half of a side-by-side pair; None for the whole picture.
    """

    path: Path
    label: bool
    group: str
    half: int | None = None

    @property
    def name(self) -> str:
        """Unique name: the file, with its half or its side (a real and a fake folder often hold the same names)."""
        side = "fake" if self.label else "real"
        return f"{side}/{self.path.name}" if self.half is None else f"{self.path.name}:{side}"


def pair_clips(folder: Path, persons: Sequence[str] = ()) -> list[Clip]:
    """Both halves of every side-by-side clip of `folder` (of these persons only, if any are named).

    Raises:
        DataError: no such folder, no clip in it, or a person without one.
    """
    paths = _videos(folder)
    if missing := set(persons) - {person_of(path) for path in paths}:
        raise DataError(str(folder), f"no clip of {', '.join(sorted(missing))}", "check the names")
    chosen = [path for path in paths if not persons or person_of(path) in persons]
    return [Clip(path, bool(half), person_of(path), half) for path in chosen for half in (0, 1)]


def labelled_clips(real: Path, fake: Path, names: Sequence[str] = ()) -> list[Clip]:
    """Every video of two folders; groups are the part of the name before the first `_` or digit.

    Args:
        real, fake: folders.
        names: keep only the real clips of these stems, if any are named.

    Raises:
        DataError: a folder is missing or empty, or a name without a clip.
    """
    paths = _videos(real)
    if missing := set(names) - {path.stem for path in paths}:
        raise DataError(str(real), f"no clip named {', '.join(sorted(missing))}", "check the names")
    reals = [path for path in paths if not names or path.stem in names]
    both = [(path, False) for path in reals] + [(path, True) for path in _videos(fake)]
    return [Clip(path, label, f"{'fake' if label else 'real'} {_family(path)}") for path, label in both]


def _family(path: Path) -> str:
    head = path.stem.split("_")[0]
    return head.rstrip("0123456789") or head


def _videos(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise DataError(str(folder), "no such folder", "give the folder of the clips")
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in VIDEOS)
    if not paths:
        raise DataError(str(folder), "no video in it", "give the folder of the clips")
    return paths


async def measure(
    guard: Guard,
    clips: Sequence[Clip],
    *,
    every: int = 1,
    notes: Sequence[str] = (),
    advance: Callable[[Clip, int], None] = lambda clip, frames: None,
    skipped: Callable[[Clip, StreamguardError], None] = lambda clip, error: None,
) -> Evaluation:
    """Judge all clips.

    Args:
        guard: judges.
        clips: what to judge; at least one.
        every: judge every n-th frame.
        notes: sentences on data and limits for the report.
        advance: called after each frame with the clip and its number of frames so far.
        skipped: called for a clip that cannot be read; the others go on.

    Raises:
        DataError: not one clip could be judged.
    """
    records = []
    for clip in clips:
        try:
            records.append(await _measure_clip(guard, clip, every, advance))
        except StreamguardError as error:
            skipped(clip, error)
    if not records:
        raise DataError("evaluation", "not one clip could be judged", "check the folders")
    return Evaluation(
        model=guard.model_label,
        engine=guard.engine_label,
        threshold=guard.spec.threshold,
        clips=tuple(records),
        created=datetime.now(UTC),
        notes=tuple(notes),
    )


async def _measure_clip(guard: Guard, clip: Clip, every: int, advance: Callable[[Clip, int], None]) -> ClipRecord:
    with open_source(str(clip.path)) as source:
        # The other half of a pair, by frame number, waiting for its verdict: a handful at a time.
        others: dict[int, Picture] = {}
        width, height, codec = source.width, source.height, source.codec
        bit_rate = round(clip.path.stat().st_size * 8 / source.duration) if source.duration else None
        frames: list[FrameRecord] = []
        pipeline = guard.pipeline(_frames(source, clip, every, others), clip.name, WatchOptions(detect_every=5))
        async with aclosing(pipeline.run()) as items:
            async for item in items:
                if isinstance(item, FrameReport):
                    other = others.pop(item.frame.index, None)
                    frames.append(_record(item, clip, other, guard))
                    advance(clip, len(frames))
    if clip.half is not None:
        width //= 2
    return ClipRecord(clip.name, clip.group, clip.label, tuple(frames), width, height, codec, bit_rate)


async def _frames(source: VideoSource, clip: Clip, every: int, others: dict[int, Picture]) -> AsyncIterator[SourceItem]:
    decoded: Iterator[DecodedFrame] = iter(source)
    while (item := await asyncio.to_thread(next, decoded, None)) is not None:
        if item.index % every:
            continue
        picture = item.picture
        if clip.half is not None:
            parts = halves(picture)
            picture = parts[clip.half]
            if clip.half == 1:
                others[item.index] = parts[0]
        yield Frame(clip.name, 0, item.index, item.time, time.monotonic(), picture)


def _record(report: FrameReport, clip: Clip, real: Picture | None, guard: Guard) -> FrameRecord:
    frame, label = report.frame, clip.label
    baselines = {"picture size": picture_size(frame.image.width, frame.image.height)}
    judged = [face for face in report.faces if face.mask is not None and face.score is not None]
    if not judged:
        reason = next((face.reason.value for face in report.faces if face.reason), "no face found")
        return FrameRecord(frame.index, frame.time, label, None, baselines=baselines, reason=reason)
    worst = max(judged, key=lambda face: face.score or 0.0)
    mask = worst.mask
    assert mask is not None
    baselines["blur"] = blur(mask.crop.pixels)
    predicted = _marked(mask.probability, guard.rule)
    dice = iou = ellipse_dice = ellipse_iou = None
    # Without the real half of its fakes a set has no true masks: agreement on its real clips alone says nothing.
    if clip.half is not None:
        empty = np.zeros(mask.probability.shape, dtype=np.bool_)
        truth = _truth(mask.crop, real, guard.spec.margin) if real is not None else empty
        dice, iou = mask_agreement(predicted, truth)
        ellipse_dice, ellipse_iou = mask_agreement(ellipse_mask(_box_in_crop(mask.crop)), truth)
    box = worst.face.box
    return FrameRecord(
        index=frame.index,
        time=frame.time,
        label=label,
        score=worst.score,
        raw=raw_score(mask.probability),
        fake=any(face.state is Verdict.FAKE for face in judged),
        area=worst.area,
        dice=dice,
        iou=iou,
        baselines=baselines,
        ellipse_dice=ellipse_dice,
        ellipse_iou=ellipse_iou,
        face_size=max(box[2] - box[0], box[3] - box[1]),
    )


def _marked(probability: UInt8Array, rule: FrameRule) -> BoolArray:
    """The pixels that the frame rule calls fake: components that count, above the threshold."""
    above = (probability >= level_above(rule.threshold)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    counts = stats[:, cv2.CC_STAT_AREA] > rule.smallest_component
    counts[0] = False
    marked: BoolArray = counts[labels]
    return marked


def _truth(crop: Crop, real: Picture, margin: float) -> BoolArray:
    area = crop_square(crop.face.box, margin)
    return pair_truth(square(real, area.x, area.y, area.side, crop.pixels.shape[0]), crop.pixels).filled


def _box_in_crop(crop: Crop) -> Box:
    scale, offset = crop.affine[0, 0], crop.affine[:, 2]
    x0, y0, x1, y1 = crop.face.box
    return (
        (x0 - offset[0]) / scale,
        (y0 - offset[1]) / scale,
        (x1 - offset[0]) / scale,
        (y1 - offset[1]) / scale,
    )
