"""Painting of a report onto a picture: its own, or a newer one of the same stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

import cv2

from streamguard.media import rgb_of
from streamguard.overlay import OverlayItem, OverlayStyle, banner, banner_height, follow, paint
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Box, Face, Frame, Picture, Reason, Verdict

Overlay: TypeAlias = Literal["live", "exact", "none"]
OVERLAYS: tuple[Overlay, ...] = ("live", "exact", "none")
_JPEG_QUALITY = 85
_STALE = 1.0
"""Seconds after which a report says nothing of the present picture."""
_FAR = 0.25
"""Seconds of motion that are added at the most: a face turns round sooner or later."""
_SMOOTH = 0.5


def annotated(report: FrameReport, threshold: float, *, title: bool = True, alone: bool = False) -> Picture:
    """The report's own picture with masks, boxes and verdicts on it.

    Args:
        report: the frame and what is said of it.
        threshold: the model's pixel threshold, for the contour, 0..1.
        title: a strip with the stream's verdict at the top.
        alone: as for `overlay_items`.
    """
    items = overlay_items(report, threshold, alone=alone)
    return _painted(report.frame.image, items, report, report.frame.time, title=title)


def snapshot(report: FrameReport, threshold: float, *, mask: bool) -> bytes:
    """The report's picture as JPEG bytes. Blocks: call it in an executor.

    Args:
        report: the frame and what is said of it.
        threshold: the model's pixel threshold, 0..1.
        mask: with masks, boxes and verdicts.
    """
    picture = annotated(report, threshold) if mask else report.frame.image
    done, jpeg = cv2.imencode(".jpg", rgb_of(picture)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not done:
        raise RuntimeError("the JPEG encoder failed")
    return jpeg.tobytes()


def overlay_items(report: FrameReport, threshold: float, *, alone: bool = False) -> list[OverlayItem]:
    """One item per face of the report: what the vote says of it, where this picture of it could be judged.

    A single frame's verdict is not shown, as one frame is often wrong; its mask is.

    Args:
        report, threshold: as for `annotated`.
        alone: the frame's own verdict in place of the vote's: of a picture by itself, and where a frame is shown for
            what it is.
    """
    if alone:
        return [
            OverlayItem(each.face, each.state, each.reason, each.score, None, each.mask, threshold)
            for each in report.faces
        ]
    items = []
    for verdict in report.faces:
        judged = verdict.state is not Verdict.UNKNOWN
        track = report.state.tracks.get(verdict.face.track) if judged else None
        undecided = judged and (track is None or track.state is Verdict.UNKNOWN)
        items.append(
            OverlayItem(
                face=verdict.face,
                state=track.state if track else Verdict.UNKNOWN,
                reason=Reason.JUST_APPEARED if undecided else verdict.reason,
                score=track.score if track else None,
                share=track.share if track else None,
                mask=verdict.mask,
                threshold=threshold,
            )
        )
    return items


def alike(one: Frame, other: Frame) -> bool:
    """Return whether a place in one picture is the same in the other: both are of one connection and size."""
    return (one.epoch, one.image.y.shape) == (other.epoch, other.image.y.shape)


class LivePainter:
    """Paints the newest report onto newer pictures, each face and mask moved on as its track moves.

    Reports and pictures may come from different threads.

    Args:
        threshold: the model's pixel threshold, 0..1.
        title: a strip with the stream's verdict at the top.
    """

    def __init__(self, threshold: float, *, title: bool = True) -> None:
        self._threshold, self._title = threshold, title
        # Replaced whole, so that a painting thread sees one report and its motion together.
        self._known: tuple[FrameReport, dict[int, tuple[float, float]]] | None = None

    def learn(self, report: FrameReport) -> None:
        """Take a newer report."""
        motion: dict[int, tuple[float, float]] = {}
        if self._known is not None:
            before, moved = self._known
            step = report.frame.time - before.frame.time
            if alike(before.frame, report.frame) and 0 < step < _STALE:
                places = {verdict.face.track: verdict.face.box for verdict in before.faces}
                for verdict in report.faces:
                    track = verdict.face.track
                    if track in places:
                        motion[track] = _speed(places[track], verdict.face.box, step, moved.get(track))
        self._known = (report, motion)

    def paint(self, frame: Frame) -> Picture:
        """The frame's picture with what is known of its faces; untouched where nothing is."""
        if self._known is None:
            return frame.image
        report, motion = self._known
        age = frame.time - report.frame.time
        if not alike(report.frame, frame) or not -_STALE < age < _STALE:
            return frame.image
        items = []
        for item in overlay_items(report, self._threshold):
            dx, dy = (speed * min(max(age, -_FAR), _FAR) for speed in motion.get(item.face.track, (0.0, 0.0)))
            face = _shifted(item.face, dx, dy)
            items.append(replace(item, face=face, mask=follow(item.mask, face) if item.mask else None))
        return _painted(frame.image, items, report, frame.time, title=self._title)


def _painted(picture: Picture, items: list[OverlayItem], report: FrameReport, time: float, *, title: bool) -> Picture:
    if not title:
        return paint(picture, items)
    marked = paint(picture, items, OverlayStyle(keep_top=banner_height(picture)))
    return banner(marked, f"{report.state.state.words}  {time:6.2f} s", report.state.state)


def _speed(old: Box, new: Box, step: float, before: tuple[float, float] | None) -> tuple[float, float]:
    """Pixels per second of a box's centre, smoothed: a detector's boxes tremble."""
    fresh = ((new[0] + new[2] - old[0] - old[2]) / 2 / step, (new[1] + new[3] - old[1] - old[3]) / 2 / step)
    if before is None:
        return fresh[0] * _SMOOTH, fresh[1] * _SMOOTH
    return before[0] + _SMOOTH * (fresh[0] - before[0]), before[1] + _SMOOTH * (fresh[1] - before[1])


def _shifted(face: Face, dx: float, dy: float) -> Face:
    x0, y0, x1, y1 = face.box
    return replace(face, box=(x0 + dx, y0 + dy, x1 + dx, y1 + dy))
