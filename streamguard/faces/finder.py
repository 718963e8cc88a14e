"""From a frame to judged-worthy face crops: detect every k-th frame, track in between, gate, cut."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from streamguard.faces.crop import crop_square, cut, share_inside
from streamguard.faces.detector import FaceDetector
from streamguard.faces.gate import Gate
from streamguard.faces.pace import LONGEST, next_pace
from streamguard.faces.tracker import FaceTracker, Tracked
from streamguard.types import Crop, Face, Frame


@dataclass(frozen=True, slots=True)
class Found:
    """The faces of one frame.

    Attributes:
        frame: the frame.
        crops: the faces to be judged, cut out.
        unjudged: the others, each with its reason.
        detected: whether the detector ran on this frame.
        seconds: CPU seconds of this thread by stage (`detect`, `track`, `crop`).
    """

    frame: Frame
    crops: tuple[Crop, ...]
    unjudged: tuple[Face, ...]
    detected: bool
    seconds: dict[str, float]


class FaceFinder:
    """The faces of one stream, frame by frame. Called from one thread at a time.

    Args:
        detector: finds faces; may be shared by streams only if it is safe to.
        gate: quality limits.
        margin: crop side as a multiple of the face box's longer side.
        size: crop side in pixels.
        detect_every: the detector runs on every k-th frame, at the least 1; besides at once where the flow lost a
            face, and where a new face waits to be confirmed. A live stream under load lengthens k (see `next_pace`),
            and where so few frames are judged that `LONGEST` passes, the detector does not wait for the k-th.
    """

    def __init__(
        self, detector: FaceDetector, gate: Gate, margin: float, size: int = 256, detect_every: int = 5
    ) -> None:
        self._detector, self._gate = detector, gate
        self._margin, self._size = margin, size
        self._least = self._every = max(1, detect_every)
        self._tracker = FaceTracker()
        self._epoch = 0
        self._since_detection = 0
        self._round: tuple[Frame, int] | None = None
        self._detected_at = 0.0

    @property
    def detect_every(self) -> int:
        """The present k."""
        return self._every

    def find(self, frame: Frame, *, live: bool = False) -> Found:
        """The faces of the stream's next frame.

        Args:
            frame: numbered without gaps, but for frames that were left out.
            live: k follows the load. Otherwise it stays, so that a file gives the same answers each time.
        """
        if frame.epoch != self._epoch:
            self._tracker, self._epoch, self._since_detection = FaceTracker(), frame.epoch, 0
            self._round = None
        start = time.thread_time()
        tracker = self._tracker
        late = live and frame.time - self._detected_at >= LONGEST
        detect = late or self._since_detection == 0 or tracker.newcomers or not all(f.steady for f in tracker.faces)
        detections = self._detector.detect(frame.image) if detect else None
        detected = time.thread_time()
        if detections is not None:
            tracked = tracker.detected(frame.time, frame.image, detections)
            self._since_detection, self._detected_at = 0, frame.time
        else:
            tracked = tracker.moved(frame.image)
        if live:
            self._follow_load(frame)
        self._since_detection = (self._since_detection + 1) % self._every
        followed = time.thread_time()
        crops: list[Crop] = []
        unjudged: list[Face] = []
        for face in tracked:
            judged = self._crop(frame, face)
            if isinstance(judged, Crop):
                crops.append(judged)
            else:
                unjudged.append(judged)
        seconds = {"detect": detected - start, "track": followed - detected, "crop": time.thread_time() - followed}
        return Found(frame, tuple(crops), tuple(unjudged), detect, seconds)

    def _follow_load(self, frame: Frame) -> None:
        if self._round is None:
            self._round = frame, 0
            return
        first, judged = self._round
        judged += 1
        if judged < self._every:
            self._round = first, judged
            return
        missed = frame.index - first.index - judged
        self._every = next_pace(self._every, self._least, judged, missed)
        self._round = frame, 0

    def _crop(self, frame: Frame, tracked: Tracked) -> Crop | Face:
        face = Face(tracked.track, tracked.box, tracked.score, tracked.landmarks)
        inside = share_inside(frame.image, crop_square(face.box, self._margin))
        if reason := self._gate.before_crop(face.box, inside, frame.time - tracked.since):
            return replace(face, unjudged=reason)
        crop = cut(frame.image, face, self._margin, self._size)
        if reason := self._gate.after_crop(crop.pixels):
            return replace(face, unjudged=reason)
        return crop
