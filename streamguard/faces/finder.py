"""Finding faces and cutting their crops: detect on every k-th frame, track in between, check quality, cut."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import islice

from streamguard.faces.crop import crop_square, cut, share_inside
from streamguard.faces.detector import Detections, FaceDetector, RegionDetector
from streamguard.faces.gate import QualityGate
from streamguard.faces.pace import LONGEST, WHILE_MOVING, WHOLE, next_pace
from streamguard.faces.tracker import CONFIDENT, FaceTracker, Tracked
from streamguard.types import Box, Crop, Face, Frame, Picture

Beside = Callable[[Callable[[Picture], tuple[Detections, float]], Picture], "Future[tuple[Detections, float]]"]
"""Calls a function with a picture on another thread, as `Executor.submit` does."""
_ROOM = 0.6
"""Of a face's side: it may have moved so far since the flow was right about it."""
TOLERANCE = 0.05
"""Seconds: a frame that comes a little early is not left to the next one."""


@dataclass(frozen=True, slots=True)
class Found:
    """The faces of one frame.

    Attributes:
        frame: the frame.
        crops: the faces to be judged, cut out.
        unjudged: the others, each with its reason.
        detected: whether the detector ran on this frame.
        seconds: CPU seconds by stage (`detect`, `track`, `crop`), of the threads that Python knows.
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
            face, and where a new face waits to be confirmed. A live stream under load lengthens k (see `next_pace`);
            where few frames are judged, `LONGEST` and `WHILE_MOVING` hold. Of a live stream's picture it looks at the
            part around the known faces, where the detector can, and at the whole every `WHOLE` seconds.
        still: each frame is a picture by itself: no face is tracked, or waits until it has been seen for a while.
    """

    def __init__(
        self,
        detector: FaceDetector,
        gate: QualityGate,
        margin: float,
        size: int = 256,
        detect_every: int = 5,
        *,
        still: bool = False,
    ) -> None:
        self._detector, self._gate = detector, gate
        self._margin, self._size, self._still = margin, size, still
        self._least = self._every = max(1, detect_every)
        self._tracker = FaceTracker()
        self._epoch = 0
        self._since_detection = 0
        self._round: tuple[Frame, int] | None = None
        self._detected_at = self._whole_at = 0.0
        self._begun: dict[int, Future[tuple[Detections, float]]] = {}
        self._elsewhere = 0.0

    @property
    def detect_every(self) -> int:
        """The present k."""
        return self._every

    def retune(self, detect_every: int) -> None:
        """Another k, as for the class; from any thread."""
        self._least = self._every = max(1, detect_every)

    def find_all(self, frames: Sequence[Frame], *, live: bool = False, beside: Beside | None = None) -> list[Found]:
        """The faces of the stream's next frames; arguments as of `find`.

        Args:
            beside: calls a function on another thread. The detector runs there on the frames of a file that it is due
                for, while those before them are tracked here. None: all is done here.
        """
        if beside is not None and not live and not self._still and frames[0].epoch == self._epoch:
            first = (-self._since_detection) % self._every or self._every
            for frame in islice(frames, first, None, self._every):
                self._begun[frame.index] = beside(self._timed_look, frame.image)
        try:
            return [self.find(frame, live=live) for frame in frames]
        finally:
            for look in self._begun.values():
                look.cancel()
            self._begun.clear()

    def find(self, frame: Frame, *, live: bool = False) -> Found:
        """The faces of the stream's next frame.

        Args:
            frame: numbered without gaps, but for frames that were left out.
            live: k follows the load. Otherwise it stays, so that a file gives the same answers each time.
        """
        if frame.epoch != self._epoch:
            self._tracker, self._epoch, self._since_detection = FaceTracker(), frame.epoch, 0
            self._round, self._whole_at = None, float("-inf")
        if self._still:
            return self._find_still(frame)
        start = time.thread_time()
        tracker = self._tracker
        waited = frame.time - self._detected_at
        detect = self._since_detection == 0 or tracker.newcomers or (live and waited >= LONGEST)
        tracked = tracker.faces if detect else tracker.moved(frame.image)
        moved = time.thread_time()
        if not detect:
            lost = not all(face.steady for face in tracked)
            detect = lost or (live and waited >= WHILE_MOVING - TOLERANCE and tracker.moving)
        detections = self._look(frame, whole=not live or tracker.newcomers) if detect else None
        detected = time.thread_time()
        if detections is not None:
            tracked = tracker.detected(frame.time, frame.image, detections)
            self._since_detection, self._detected_at = 0, frame.time
        if live:
            self._follow_load(frame)
        self._since_detection = (self._since_detection + 1) % self._every
        followed = time.thread_time()
        crops, unjudged = self._crops(frame, tracked)
        track = moved - start + followed - detected
        look, self._elsewhere = detected - moved + self._elsewhere, 0.0
        seconds = {"detect": look, "track": track, "crop": time.thread_time() - followed}
        return Found(frame, crops, unjudged, detect, seconds)

    def _find_still(self, frame: Frame) -> Found:
        start = time.thread_time()
        found = self._detector.detect(frame.image)
        detected = time.thread_time()
        places = zip(found.boxes.tolist(), found.scores.tolist(), found.landmarks, strict=True)
        faces = [
            Tracked(number, tuple(box), score, landmarks, float("-inf"))
            for number, (box, score, landmarks) in enumerate(places, start=1)
            if score >= CONFIDENT
        ]
        crops, unjudged = self._crops(frame, faces)
        seconds = {"detect": detected - start, "track": 0.0, "crop": time.thread_time() - detected}
        return Found(frame, crops, unjudged, True, seconds)

    def _crops(self, frame: Frame, faces: Sequence[Tracked]) -> tuple[tuple[Crop, ...], tuple[Face, ...]]:
        """The faces to be judged, and the others."""
        cut_out = [self._crop(frame, face) for face in faces]
        crops = tuple(each for each in cut_out if isinstance(each, Crop))
        return crops, tuple(each for each in cut_out if isinstance(each, Face))

    def _look(self, frame: Frame, *, whole: bool) -> Detections:
        """The faces of the picture, or, not long after a look at the whole, of the part around the known ones."""
        known = [face.box for face in self._tracker.faces]
        recent = frame.time - self._whole_at < WHOLE - TOLERANCE
        if known and recent and not whole and isinstance(self._detector, RegionDetector):
            found = self._detector.detect_within(frame.image, _around(known))
            if found is not None and len(found) >= len(known):
                return found
        self._whole_at = frame.time
        begun = self._begun.get(frame.index)
        # One that no thread has come to would wait for this one.
        if begun is None or begun.cancel():
            return self._detector.detect(frame.image)
        detections, self._elsewhere = begun.result()
        return detections

    def _timed_look(self, picture: Picture) -> tuple[Detections, float]:
        """The faces of the whole picture, and the CPU seconds of this thread that it took."""
        start = time.thread_time()
        return self._detector.detect(picture), time.thread_time() - start

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


def _around(boxes: Sequence[Box]) -> Box:
    """Return the box around all boxes, each widened by a good half of its longer side."""
    wider = [(box, _ROOM * max(box[2] - box[0], box[3] - box[1])) for box in boxes]
    return (
        min(box[0] - side for box, side in wider),
        min(box[1] - side for box, side in wider),
        max(box[2] + side for box, side in wider),
        max(box[3] + side for box, side in wider),
    )
