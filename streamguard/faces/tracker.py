"""Stable face tracks: ByteTrack over detections, sparse optical flow in between.

Association: ByteTrack (Zhang et al., ECCV 2022) from the `trackers` package, on the frames where the detector
ran. Between them each face is moved by the median Lucas-Kanade flow of a grid of points on it.
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
"""Seconds that a lost face's id is kept at the most, where few frames are judged."""
LEAST_POINTS = 8
LARGEST_ROUND_TRIP = 1.0


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


class FaceTracker:
    """Keeps the ids of the faces of one stream. Called from one thread at a time.

    Args:
        remember: seconds that a lost face's id is kept for its return; twice the time between two detections where
            that is more.
        least_overlap: intersection over union that still is the same face, 0..1.
    """

    def __init__(self, remember: float = 1.5, least_overlap: float = 0.15) -> None:
        self._remember, self._least_overlap = remember, least_overlap
        self._associate: Any = None
        self._since: dict[int, float] = {}
        self._detected_at: float | None = None
        self._faces: tuple[Tracked, ...] = ()
        self._luma: UInt8Array | None = None
        self._newcomers = False

    @property
    def newcomers(self) -> bool:
        """Whether a face was detected that gets its track only when the next detection confirms it."""
        return self._newcomers

    @property
    def faces(self) -> tuple[Tracked, ...]:
        """The faces of the newest frame."""
        return self._faces

    def detected(self, time: float, picture: Picture, found: Detections) -> tuple[Tracked, ...]:
        """The faces of a frame on which the detector ran; `time` rises from call to call."""
        import supervision

        if self._associate is None:
            self._associate = _byte_track(self._remember, self._least_overlap)
        detections = supervision.Detections(
            xyxy=found.boxes.reshape(-1, 4), confidence=found.scores, data={"index": np.arange(len(found))}
        )
        # Where so few frames are judged that detections are further apart, the next one still finds the face.
        gap = time - self._detected_at if self._detected_at is not None else 0.0
        self._associate.maximum_time_without_update = max(self._remember, min(2 * gap, LONGEST_MEMORY))
        self._detected_at = time
        result = self._associate.update(detections, timestamp=time)
        faces = []
        self._newcomers = False
        for index, number in zip(result.data.get("index", ()), result.tracker_id, strict=True):
            track = int(number) + 1
            if track > 0:
                since = self._since.setdefault(track, time)
                faces.append(
                    Tracked(track, _box(found.boxes[index]), float(found.scores[index]), found.landmarks[index], since)
                )
            else:
                self._newcomers |= bool(found.scores[index] >= CONFIDENT)
        self._faces = tuple(sorted(faces, key=lambda face: face.track))
        if len(self._since) > 64:
            live = {face.track for face in self._faces}
            self._since = {key: value for key, value in self._since.items() if key in live or value > time - 60}
        self._luma = _small_luma(picture)
        return self._faces

    def moved(self, picture: Picture) -> tuple[Tracked, ...]:
        """The faces of the next frame, moved by optical flow."""
        luma = _small_luma(picture)
        if self._luma is None or self._luma.shape != luma.shape:
            self._luma = luma
            return self._faces
        if self._faces:
            zoom = picture.width / luma.shape[1]
            self._faces = tuple(_follow(face, self._luma, luma, zoom) for face in self._faces)
        self._luma = luma
        return self._faces


def _byte_track(remember: float, least_overlap: float) -> Any:
    from trackers import ByteTrackTracker

    return ByteTrackTracker(
        lost_track_buffer=round(remember * 30),
        frame_rate=30.0,
        track_activation_threshold=CONFIDENT,
        minimum_consecutive_frames=1,
        minimum_iou_threshold=least_overlap,
        high_conf_det_threshold=CONFIDENT,
    )


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


def _box(values: Sequence[float] | FloatArray) -> Box:
    x0, y0, x1, y1 = (float(value) for value in values)
    return x0, y0, x1, y1
