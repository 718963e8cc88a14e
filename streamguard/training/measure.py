"""Run the guard over labelled clips and pictures and write down what it says, frame by frame.

The pipeline of clips is the live one: detector, tracker, gate, engine and rule are those that judge a stream. A picture
goes through the same detector, crop, engine and rule, without tracker and vote.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np

from streamguard.errors import DataError, StreamguardError
from streamguard.faces import CenterFaceDetector, FaceDetector, crop_square, cut
from streamguard.faces.gate import sharpness
from streamguard.faces.region import square
from streamguard.media import SourceItem, picture_from_rgb
from streamguard.pipeline.guard import Guard, WatchOptions, gate
from streamguard.pipeline.stream import FrameReport
from streamguard.training.clip_reader import ClipReader
from streamguard.training.clips import Clip
from streamguard.training.evaluation.metrics import blur, dice, ellipse_mask
from streamguard.training.evaluation.records import ClipRecord, Evaluation, FrameRecord
from streamguard.training.manifest import Rectangle
from streamguard.training.packing import LEAST_CHANGED
from streamguard.training.parts import read_part, tile
from streamguard.training.sending import Sending
from streamguard.training.truth import pair_truth
from streamguard.types import BoolArray, Box, Crop, EventKind, Face, FaceVerdict, Frame, Picture, UInt8Array, Verdict
from streamguard.verdict import FrameRule
from streamguard.verdict.rule import level_above

Keep: TypeAlias = Callable[[Clip, FrameRecord, FaceVerdict], None]
"""Called for each judged frame, with the face it was judged by."""
STILLS = 8
"""Pictures judged at a time."""
_NO_FACE = "no face found"


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
    """Judge all clips, frame by frame in media time, and all pictures: however slow the machine, no frame is dropped.

    Args:
        guard: judges, by the pipeline and the vote of `guard.watch`.
        clips: what to judge; at least one.
        every: judge every n-th frame.
        sending: what each clip goes through first (either half of a pair on its own, alike); clips that it does not
            make smaller are left out, and so are pictures. No masks are compared then.
        notes: sentences on data and limits for the report.
        advance: called after each frame with the clip and its number of frames so far.
        skipped: called for what cannot be read; the others go on.
        keep: see `Keep`.

    Raises:
        DataError: not one frame could be judged, unless there is a `sending`.
    """
    run = _Run(guard, every, sending, advance, skipped, keep)
    for clip in clips:
        if clip.row.is_clip:
            await run.clip(clip)
    stills = [clip for clip in clips if not clip.row.is_clip and sending is None]
    for start in range(0, len(stills), STILLS):
        await run.stills(stills[start : start + STILLS])
    if sending is None and not any(record.judged for record in run.records):
        reasons = run.left_out + Counter(frame.reason for record in run.records for frame in record.frames)
        said = ", ".join(f"{reason} ({count})" for reason, count in reasons.most_common(3))
        raise DataError("evaluation", f"not one frame could be judged: {said}", "check manifest and data root")
    return Evaluation(
        model=guard.model_label,
        engine=guard.engine_label,
        threshold=guard.spec.threshold,
        clips=tuple(run.records),
        created=datetime.now(UTC),
        whole=run.whole,
        left_out=dict(run.left_out),
        notes=tuple(notes),
    )


@dataclass(frozen=True, slots=True)
class _Still:
    """A picture's crop, or why it is not judged; and the real picture of a registered fake."""

    clip: Clip
    size: tuple[int, int]
    crop: Crop | None
    reason: str | None
    whole: bool
    real: Picture | None


class _Run:
    def __init__(
        self,
        guard: Guard,
        every: int,
        sending: Sending | None,
        advance: Callable[[Clip, int], None],
        skipped: Callable[[Clip, StreamguardError], None],
        keep: Keep,
    ) -> None:
        self._guard, self._every, self._sending = guard, every, sending
        self._advance, self._told, self._keep = advance, skipped, keep
        self._detector: FaceDetector | None = None
        self.records: list[ClipRecord] = []
        self.left_out: Counter[str] = Counter()
        self.whole = 0

    async def clip(self, clip: Clip) -> None:
        try:
            with ClipReader(clip, self._every, self._sending) as reader:
                if reader.size is not None:
                    self.records.append(await self._clip(reader, *reader.size))
        except StreamguardError as error:
            self._skip(clip, error)

    async def _clip(self, reader: ClipReader, width: int, height: int) -> ClipRecord:
        clip, frames, alerts = reader.clip, [], []
        pipeline = self._guard.pipeline(_frames(reader), clip.name, WatchOptions())
        async with aclosing(pipeline.run()) as items:
            async for item in items:
                if isinstance(item, FrameReport):
                    real = reader.partners.pop(item.frame.index, None)
                    frames.append(self._frame(clip, item.frame.index, item.frame.time, item.faces, real))
                    self._advance(clip, len(frames))
                elif item.kind is EventKind.FAKE_OPENED and item.time is not None:
                    alerts.append(item.time)
        return _record(clip, frames, (width, height), reader.codec or "unknown", reader.bit_rate, tuple(alerts))

    async def stills(self, clips: Sequence[Clip]) -> None:
        looked = []
        for clip in clips:
            try:
                looked.append(await asyncio.to_thread(self._look, clip))
            except StreamguardError as error:
                self._skip(clip, error)
        try:
            crops = [still.crop for still in looked if still.crop is not None]
            masks = iter(await self._guard.batcher.submit("pictures", crops))
        except StreamguardError as error:
            for still in looked:
                self._skip(still.clip, error)
            return
        for still in looked:
            if still.crop is None:
                frame = FrameRecord(0, 0.0, None, reason=still.reason)
            else:
                faces = (self._guard.rule.judge(next(masks)),)
                frame = self._frame(still.clip, 0, 0.0, faces, still.real)
            self.whole += still.whole
            self.records.append(_record(still.clip, [frame], still.size))
            self._advance(still.clip, 1)

    def _look(self, clip: Clip) -> _Still:
        if self._detector is None:
            self._detector = CenterFaceDetector()
        row, spec = clip.row, self._guard.spec
        picture = _read(clip.path, row.rectangle)
        width, height = size = picture.width, picture.height
        real = _read(clip.root / row.partner, row.partner_rectangle) if row.partner else None
        if real is not None and (real.width, real.height) != size:
            raise DataError(clip.name, "of another size than its partner", "correct the manifest")
        found = self._detector.detect(picture)
        if len(found):
            x0, y0, x1, y1 = (float(value) for value in found.boxes[0])
            face = Face(0, (x0, y0, x1, y1), float(found.scores[0]), found.landmarks[0])
        elif clip.registered:
            # A crop of a face in which none is found (dark, turned away) still is one: as tight as its like.
            box = (width * 0.1, height * 0.1, width * 0.9, height * 0.9)
            face = Face(0, box, 0.0, np.full((5, 2), np.nan, np.float32))
        else:
            return _Still(clip, size, None, _NO_FACE, False, real)
        # It was cut by whoever made it: how much of the crop is inside says nothing of the face.
        limits = gate(spec)
        crop = cut(picture, face, spec.margin, spec.size)
        reason = limits.before_crop(face.box, 1.0, math.inf) or limits.after_crop(crop.pixels)
        return _Still(clip, size, None if reason else crop, reason and reason.value, not len(found), real)

    def _frame(
        self, clip: Clip, index: int, moment: float, faces: Sequence[FaceVerdict], real: Picture | None
    ) -> FrameRecord:
        judged = [face for face in faces if face.mask is not None and face.score is not None]
        if not judged:
            reason = next((face.reason.value for face in faces if face.reason), _NO_FACE)
            return FrameRecord(index, moment, None, reason=reason)
        worst = max(judged, key=lambda face: face.score or 0.0)
        assert worst.mask is not None
        crop, box = worst.mask.crop, worst.face.box
        states = {face.state for face in judged}
        agreement = ellipse = None
        truth = None if real is None else _truth(crop, real, self._guard.spec.margin)
        if truth is not None:
            agreement = dice(_marked(worst.mask.probability, self._guard.rule), truth)
            ellipse = dice(ellipse_mask(_box_in_crop(crop)), truth)
        record = FrameRecord(
            index=index,
            time=moment,
            score=worst.score,
            fake=Verdict.FAKE in states,
            unsure=Verdict.UNSURE in states and Verdict.FAKE not in states,
            area=worst.area,
            dice=agreement,
            ellipse=ellipse,
            looks={"blur": blur(crop.pixels), "brightness": float(crop.pixels.mean())},
            shorter_side=min(box[2] - box[0], box[3] - box[1]),
            sharpness=sharpness(crop.pixels),
        )
        self._keep(clip, record, worst)
        return record

    def _skip(self, clip: Clip, error: StreamguardError) -> None:
        self.left_out[error.cause] += 1
        self._told(clip, error)


async def _frames(reader: ClipReader) -> AsyncIterator[SourceItem]:
    pictures = reader.pictures()
    while (item := await asyncio.to_thread(next, pictures, None)) is not None:
        (index, moment), picture = item
        yield Frame(reader.clip.name, 0, index, moment, time.monotonic(), picture)


def _record(
    clip: Clip,
    frames: Sequence[FrameRecord],
    size: tuple[int, int],
    codec: str = "",
    bit_rate: int | None = None,
    alerts: tuple[float, ...] = (),
) -> ClipRecord:
    row = clip.row
    return ClipRecord(
        clip.name,
        row.set,
        row.program,
        row.group,
        clip.label,
        tuple(frames),
        *size,
        codec,
        bit_rate,
        alerts,
        clip.partner,
    )


def _read(path: Path, place: Rectangle | None) -> Picture:
    return tile(picture_from_rgb(read_part(path, None, 0)[1]), place)


def _marked(probability: UInt8Array, rule: FrameRule) -> BoolArray:
    """The pixels that the frame rule calls fake: components that count, above the threshold."""
    above = (probability >= level_above(rule.threshold)).astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    counts = stats[:, cv2.CC_STAT_AREA] > rule.smallest_component
    counts[0] = False
    marked: BoolArray = counts[labels]
    return marked


def _truth(crop: Crop, real: Picture, margin: float) -> BoolArray | None:
    """Points of a registered fake's crop that are fake; None where hardly anything was changed."""
    area, size = crop_square(crop.face.box, margin), crop.pixels.shape[0]
    filled = pair_truth(square(real, area.x, area.y, area.side, size), crop.pixels).filled
    return filled if filled.sum() >= LEAST_CHANGED * (size / margin) ** 2 else None


def _box_in_crop(crop: Crop) -> Box:
    scale, offset = crop.affine[0, 0], crop.affine[:, 2]
    x0, y0, x1, y1 = crop.face.box
    return (
        (x0 - offset[0]) / scale,
        (y0 - offset[1]) / scale,
        (x1 - offset[0]) / scale,
        (y1 - offset[1]) / scale,
    )
