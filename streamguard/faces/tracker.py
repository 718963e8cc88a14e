"""Stable face tracks: ByteTrack over detections, sparse optical flow in between, lost faces known again.

Association: ByteTrack (Zhang et al., ECCV 2022) from the `trackers` package, on the frames where the detector
ran. Between them each face is moved by the median Lucas-Kanade flow of a grid of points on it. What ByteTrack takes
for a new face is compared with the faces lost a while ago: place, size and looks. A camera cut ends all tracks; only a
face that looks the same at the same place is known again after it, as when somebody covered the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from streamguard.faces.detector import Detections
from streamguard.types import Box, FloatArray, Picture, UInt8Array

CONFIDENT = 0.55
"""Detector score from which a face may begin a track, 0..1."""
FLOW_WIDTH = 320
GRID = 5
LONGEST_MEMORY = 5.0
"""Seconds that ByteTrack keeps a lost face at the most, where few frames are judged."""
LEAST_POINTS = 8
LARGEST_ROUND_TRIP = 1.0
MOVED = 0.08
"""Way from its last detection, in longer sides of its box, from which a face is one that moves."""
APART = -0.1
"""Least distance IoU (Zheng et al., 2020) of a face with its predicted place: boxes almost a side apart still match."""
RECALLED = 10.0
"""Seconds that a lost face can be known again."""
REACH = 1.0
"""Longer sides of its box that a lost face may have moved at once, and as many again in each second."""
LARGEST_GROWTH = 2.0
LOOKS_SIDE = 24
ALIKE, ALIKE_AFTER_CUT = 0.5, 0.7
"""Least likeness of a face that is known again, -1..1. Measured on 32 clips: the same person 3 s later is above 0.58 in
95 of 100 cases, different people are above 0.51 in 10 and above 0.65 in one."""
CUT_OVERLAP, CUT_DIFFERENCE = 0.6, 20.0
"""A camera cut: luma histograms overlap less than this, and the pictures differ by more grey levels in the mean."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """A face and its track.

    Attributes:
        track: stable id, from 1.
        box, score, landmarks: as in `types.Face`.
        since: media seconds when the track began.
        steady: False when the flow lost the face and its place is a guess until the next detection.
    """

    track: int
    box: Box
    score: float
    landmarks: FloatArray
    since: float
    steady: bool = True


@dataclass(frozen=True, slots=True)
class _Seen:
    """A face as it was last detected; `looks` is float32 [3, S, S], each plane of mean 0 and length 1."""

    box: Box
    time: float
    since: float
    looks: FloatArray


class FaceTracker:
    """Keeps the ids of the faces of one stream. Called from one thread at a time.

    Args:
        remember: seconds that ByteTrack keeps a lost face for its return; twice the time between two detections where
            that is more.
    """

    def __init__(self, remember: float = 1.5) -> None:
        self._remember = remember
        self._associate: Any = None
        self._detected_at: float | None = None
        self._faces: tuple[Tracked, ...] = ()
        self._luma: UInt8Array | None = None
        self._newcomers = False
        self._next = 1
        self._cut_at = 0.0
        self._numbers: dict[int, int] = {}
        self._seen: dict[int, _Seen] = {}

    @property
    def newcomers(self) -> bool:
        """Return whether a face was detected that gets its track only when the next detection confirms it."""
        return self._newcomers

    @property
    def faces(self) -> tuple[Tracked, ...]:
        """The faces of the newest frame."""
        return self._faces

    @property
    def moving(self) -> bool:
        """Return whether a face has left the place where it was detected, or the flow has lost one."""
        return any(
            not face.steady or _way(face.box, self._seen[face.track].box) > MOVED * _side(face.box)
            for face in self._faces
        )

    def detected(self, time: float, picture: Picture, found: Detections) -> tuple[Tracked, ...]:
        """The faces of a frame on which the detector ran; `time` rises from call to call."""
        import supervision

        luma = _small_luma(picture)
        if self._luma is not None and _cut(self._luma, luma):
            self._associate = self._detected_at = None
            self._numbers, self._cut_at = {}, time
        self._luma = luma
        if self._associate is None:
            self._associate = _byte_track(self._remember)
        detections = supervision.Detections(
            xyxy=found.boxes.reshape(-1, 4), confidence=found.scores, data={"index": np.arange(len(found))}
        )
        # Where so few frames are judged that detections are further apart, the next one still finds the face.
        gap = time - self._detected_at if self._detected_at is not None else 0.0
        self._associate.maximum_time_without_update = max(self._remember, min(2 * gap, LONGEST_MEMORY))
        self._detected_at = time
        result = self._associate.update(detections, timestamp=time)
        indices = [int(index) for index in result.data.get("index", ())]
        numbers = [int(number) for number in result.tracker_id]
        self._newcomers = any(
            number < 0 and found.scores[index] >= CONFIDENT for index, number in zip(indices, numbers, strict=True)
        )
        self._faces = self._named({n: i for i, n in zip(indices, numbers, strict=True) if n >= 0}, time, picture, found)
        return self._faces

    def moved(self, picture: Picture) -> tuple[Tracked, ...]:
        """The faces of the next frame, moved by optical flow."""
        luma = _small_luma(picture)
        if self._luma is not None and self._luma.shape == luma.shape:
            zoom = picture.width / luma.shape[1]
            self._faces = tuple(_follow(face, self._luma, luma, zoom) for face in self._faces)
        self._luma = luma
        return self._faces

    def _named(self, indices: dict[int, int], time: float, picture: Picture, found: Detections) -> tuple[Tracked, ...]:
        """The detected faces under their ids; `indices` are those in `found`, by ByteTrack's number."""
        looks = {number: _looks(picture, _box(found.boxes[index])) for number, index in indices.items()}
        here = {self._numbers[number] for number in indices if number in self._numbers}
        lost = {track: seen for track, seen in self._seen.items() if track not in here and time - seen.time <= RECALLED}
        offers = [
            (float((looks[number] * seen.looks).sum()) / 3, number, track)
            for number, index in indices.items()
            if number not in self._numbers
            for track, seen in lost.items()
            if _reachable(seen, _box(found.boxes[index]), time)
        ]
        for likeness, number, track in sorted(offers, reverse=True):
            least = ALIKE if self._seen[track].time >= self._cut_at else ALIKE_AFTER_CUT
            if likeness >= least and number not in self._numbers and track in lost:
                self._numbers[number] = track
                del lost[track]
        faces = []
        for number, index in indices.items():
            if number not in self._numbers:
                self._numbers[number], self._next = self._next, self._next + 1
            track, box = self._numbers[number], _box(found.boxes[index])
            since = self._seen[track].since if track in self._seen else time
            self._seen[track] = _Seen(box, time, since, looks[number])
            faces.append(Tracked(track, box, float(found.scores[index]), found.landmarks[index], since))
        self._seen = {track: seen for track, seen in self._seen.items() if time - seen.time <= RECALLED}
        self._numbers = {number: track for number, track in self._numbers.items() if track in self._seen}
        return tuple(sorted(faces, key=lambda face: face.track))


def _byte_track(remember: float) -> Any:
    from trackers import ByteTrackTracker, DIoU

    return ByteTrackTracker(
        lost_track_buffer=round(remember * 30),
        frame_rate=30.0,
        track_activation_threshold=CONFIDENT,
        minimum_consecutive_frames=1,
        minimum_iou_threshold=APART,
        high_conf_det_threshold=CONFIDENT,
        iou=DIoU(),
    )


def _reachable(seen: _Seen, box: Box, time: float) -> bool:
    """Return whether a lost face can be in that box now."""
    growth = _side(box) / _side(seen.box)
    reach = REACH * (1 + time - seen.time) * max(_side(box), _side(seen.box))
    return 1 / LARGEST_GROWTH <= growth <= LARGEST_GROWTH and _way(box, seen.box) <= reach


def _looks(picture: Picture, box: Box) -> FloatArray:
    """The face and a little around it, small: float32 [3, S, S] of Y, U and V, each of mean 0 and length 1."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    side = 1.3 * _side(box)
    planes = []
    for plane in (picture.y, picture.u, picture.v):
        scale = plane.shape[1] / picture.width
        left, top, right, bottom = (
            round(value * scale) for value in (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
        )
        height, width = plane.shape
        left, top = min(max(left, 0), width - 1), min(max(top, 0), height - 1)
        part = plane[top : max(bottom, top + 1), left : max(right, left + 1)]
        small = cv2.resize(part, (LOOKS_SIDE, LOOKS_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        small -= small.mean()
        planes.append(small / max(float(np.linalg.norm(small)), LOOKS_SIDE))
    return np.stack(planes)


def _cut(before: UInt8Array, after: UInt8Array) -> bool:
    """Return whether the camera changed between two small luma pictures."""
    if before.shape != after.shape:
        return True
    if float(cv2.absdiff(before, after).mean()) <= CUT_DIFFERENCE:
        return False
    one, two = (np.histogram(luma, 32, (0, 256))[0] / luma.size for luma in (before, after))
    return float(np.minimum(one, two).sum()) < CUT_OVERLAP


def _follow(face: Tracked, before: UInt8Array, after: UInt8Array, zoom: float) -> Tracked:
    x0, y0, x1, y1 = (value / zoom for value in face.box)
    xs, ys = np.linspace(x0, x1, GRID + 2)[1:-1], np.linspace(y0, y1, GRID + 2)[1:-1]
    points = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 1, 2).astype(np.float32)
    flow: Any = cv2.calcOpticalFlowPyrLK
    options: dict[str, Any] = {"winSize": (15, 15), "maxLevel": 2}
    ahead, found, _ = flow(before, after, points, None, **options)
    back, returned, _ = flow(after, before, ahead, None, **options)
    trip = np.linalg.norm(back - points, axis=2).ravel()
    good = (found.ravel() == 1) & (returned.ravel() == 1) & (trip < LARGEST_ROUND_TRIP)
    if int(good.sum()) < LEAST_POINTS:
        return replace(face, steady=False)
    dx, dy = (float(value) * zoom for value in np.median((ahead - points)[good], axis=0).ravel())
    box = (face.box[0] + dx, face.box[1] + dy, face.box[2] + dx, face.box[3] + dy)
    return replace(face, box=box, landmarks=face.landmarks + np.array([dx, dy], dtype=np.float32), steady=True)


def _small_luma(picture: Picture) -> UInt8Array:
    width = min(FLOW_WIDTH, picture.width)
    height = max(1, round(picture.height * width / picture.width))
    return np.asarray(cv2.resize(picture.y, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _side(box: Box) -> float:
    """The longer side, at least a pixel."""
    return max(box[2] - box[0], box[3] - box[1], 1.0)


def _way(one: Box, two: Box) -> float:
    """Pixels between the centres."""
    return float(np.hypot(one[0] + one[2] - two[0] - two[2], one[1] + one[3] - two[1] - two[3])) / 2


def _box(values: Sequence[float] | FloatArray) -> Box:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1
