"""Run the guard over labelled clips and write down what it says, frame by frame.

The pipeline is the live one: detector, tracker, gate, engine and rule are those that judge a stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TypeAlias

import cv2
import numpy as np

from streamguard.errors import DataError, StreamguardError
from streamguard.faces import crop_square
from streamguard.faces.gate import sharpness
from streamguard.faces.region import square
from streamguard.media import SourceItem
from streamguard.pipeline.guard import Guard, WatchOptions
from streamguard.pipeline.stream import FrameReport
from streamguard.training.clip_reader import ClipReader
from streamguard.training.clips import Clip
from streamguard.training.evaluation.ellipse import blur, ellipse_mask, picture_size
from streamguard.training.evaluation.metrics import mask_agreement
from streamguard.training.evaluation.records import ClipRecord, Evaluation, FrameRecord
from streamguard.training.sending import Sending
from streamguard.training.truth import BoolArray, pair_truth
from streamguard.types import Box, Crop, EventKind, FaceVerdict, Frame, Picture, UInt8Array, Verdict
from streamguard.verdict import FrameRule, raw_score
from streamguard.verdict.rule import level_above

Keep: TypeAlias = Callable[[Clip, FrameRecord, FaceVerdict], None]
"""Called for each judged frame, with the face it was judged by."""


async def measure(
    guard: Guard,
    clips: Sequence[Clip],
    *,
    every: int = 1,
    sending: Sending | None = None,
    notes: Sequence[str] = (),
    advance: Callable[[Clip, int], None] = lambda clip, frames: None,
    skipped: Callable[[Clip, StreamguardError], None] = lambda clip, error: None,
    keep: Keep = lambda clip, frame, face: None,
) -> Evaluation:
    """Judge all clips, frame by frame in media time: however slow the machine, no frame is dropped.

    Args:
        guard: judges, by the pipeline and the vote of `guard.watch`.
        clips: what to judge; at least one.
        every: judge every n-th frame.
        sending: what each clip goes through first (either half of a pair on its own, alike); clips that it does not
            make smaller are left out. No masks are compared then.
        notes: sentences on data and limits for the report.
        advance: called after each frame with the clip and its number of frames so far.
        skipped: called for a clip that cannot be read; the others go on.
        keep: see `Keep`.

    Raises:
        DataError: not one clip could be judged, unless there is a `sending`.
    """
    records: list[ClipRecord] = []
    unlike: list[str] = []
    for clip in clips:
        try:
            reader = ClipReader(clip, every, sending)
            with reader:
                if reader.size is None:
                    continue
                records.append(await _measure_clip(guard, reader, advance, keep))
            if not reader.alike:
                unlike.append(clip.name)
        except StreamguardError as error:
            skipped(clip, error)
    if not records and sending is None:
        raise DataError("evaluation", "not one clip could be judged", "check the folders")
    if unlike:
        notes = [*notes, f"Halves that do not show the same recording, so perhaps no pairs: {', '.join(unlike)}."]
    return Evaluation(
        model=guard.model_label,
        engine=guard.engine_label,
        threshold=guard.spec.threshold,
        clips=tuple(records),
        created=datetime.now(UTC),
        notes=tuple(notes),
    )


async def _measure_clip(
    guard: Guard, reader: ClipReader, advance: Callable[[Clip, int], None], keep: Keep
) -> ClipRecord:
    clip = reader.clip
    frames: list[FrameRecord] = []
    alerts: list[float] = []
    pipeline = guard.pipeline(_frames(reader), clip.name, WatchOptions())
    async with aclosing(pipeline.run()) as items:
        async for item in items:
            if isinstance(item, FrameReport):
                other = reader.others.pop(item.frame.index, None)
                record, worst = _record(item, clip, other, guard, masks=reader.sending is None)
                frames.append(record)
                if worst is not None:
                    keep(clip, record, worst)
                advance(clip, len(frames))
            elif item.kind is EventKind.FAKE_OPENED and item.time is not None:
                alerts.append(item.time)
    width, height = reader.size or (0, 0)
    return ClipRecord(
        clip.name,
        clip.group,
        clip.label,
        tuple(frames),
        width,
        height,
        reader.codec,
        reader.bit_rate,
        tuple(alerts),
    )


async def _frames(reader: ClipReader) -> AsyncIterator[SourceItem]:
    pictures = reader.pictures()
    while (item := await asyncio.to_thread(next, pictures, None)) is not None:
        (index, moment), picture = item
        yield Frame(reader.clip.name, 0, index, moment, time.monotonic(), picture)


def _record(
    report: FrameReport, clip: Clip, real: Picture | None, guard: Guard, *, masks: bool
) -> tuple[FrameRecord, FaceVerdict | None]:
    """The frame's record, and the face it was judged by."""
    frame, label = report.frame, clip.label
    baselines = {"picture size": picture_size(frame.image.width, frame.image.height)}
    judged = [face for face in report.faces if face.mask is not None and face.score is not None]
    if not judged:
        reason = next((face.reason.value for face in report.faces if face.reason), "no face found")
        return FrameRecord(frame.index, frame.time, label, None, baselines=baselines, reason=reason), None
    worst = max(judged, key=lambda face: face.score or 0.0)
    mask = worst.mask
    assert mask is not None
    baselines["blur"] = blur(mask.crop.pixels)
    predicted = _marked(mask.probability, guard.rule)
    dice = iou = ellipse_dice = ellipse_iou = None
    # Without the real half of its fakes a set has no true masks: agreement on its real clips alone says nothing.
    if clip.half is not None and masks:
        empty = np.zeros(mask.probability.shape, dtype=np.bool_)
        truth = _truth(mask.crop, real, guard.spec.margin) if real is not None else empty
        dice, iou = mask_agreement(predicted, truth)
        ellipse_dice, ellipse_iou = mask_agreement(ellipse_mask(_box_in_crop(mask.crop)), truth)
    box = worst.face.box
    record = FrameRecord(
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
        shorter_side=min(box[2] - box[0], box[3] - box[1]),
        sharpness=sharpness(mask.crop.pixels),
    )
    return record, worst


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
