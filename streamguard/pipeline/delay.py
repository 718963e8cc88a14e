"""Pictures on their way out: each waits for what the next report says of it, and then for the encoder."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from streamguard.pipeline.annotate import alike
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Frame

PATIENCE = 1.0
"""Seconds that a picture waits for a report at the most."""
MOST, MOST_UNJUDGED = 48, 32
"""Pictures in all, and of those the ones that wait for a report; 48 of 1080p are 150 MB."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A picture that goes out now.

    Attributes:
        frame: the picture.
        report: its own, where it was judged.
        learn: a report that was not told before, and says more of this picture than those told; its own, too.
    """

    frame: Frame
    report: FrameReport | None
    learn: FrameReport | None


@dataclass(slots=True)
class _Waiting:
    frame: Frame
    report: FrameReport | None = None


class Delay:
    """Holds pictures back until the next report, that of a later picture or their own; never reorders them.

    A picture waits for a report while no more than `unjudged` do, and until one comes that arrived `patience` seconds
    later. What the encoder is too slow for is dropped: any that is twice `patience` behind, and, when there are more
    than `most`, the oldest one that waits for the encoder alone, a judged one last.

    Args:
        most: pictures in all, above `unjudged`.
        unjudged: pictures that may wait for a report.
        patience: seconds.
    """

    def __init__(self, most: int = MOST, unjudged: int = MOST_UNJUDGED, patience: float = PATIENCE) -> None:
        self._most, self._unjudged, self._patience = most, unjudged, patience
        self._pictures: deque[_Waiting] = deque()
        self._due = 0
        self._seen = (-1, -1)
        self._known: FrameReport | None = None
        self._late: FrameReport | None = None
        self.dropped = 0
        """Pictures left out, the encoder being slow."""

    def __len__(self) -> int:
        return len(self._pictures)

    @property
    def due(self) -> int:
        """Pictures that wait for the encoder alone."""
        return self._due

    def frame(self, frame: Frame) -> None:
        """Take the next picture; pictures come in the order of their arrival."""
        self._seen = _key(frame)
        self._add(_Waiting(frame))

    def report(self, report: FrameReport) -> None:
        """Take what is said of a picture. If that has gone already, later ones profit; if it never came, it comes now.

        Reports come in the order of their pictures.
        """
        key = _key(report.frame)
        for number, waiting in enumerate(self._pictures):
            if _key(waiting.frame) == key:
                waiting.report, self._late = report, None
                self._due = max(self._due, number + 1)
                return
        if key <= self._seen:
            self._late = report
            return
        self._seen, self._late = key, None
        self._add(_Waiting(report.frame, report))

    def release(self) -> None:
        """Let all pictures go, with what is known."""
        self._due = len(self._pictures)

    def take(self) -> Ready | None:
        """The next picture; None where there is none, or it waits for a report."""
        if not self._due:
            return None
        waiting = self._pictures.popleft()
        self._due -= 1
        learn = waiting.report if waiting.report is not None else self._next(waiting.frame)
        if learn is self._known:
            learn = None
        if learn is not None:
            self._known = learn
        return Ready(waiting.frame, waiting.report, learn)

    def _next(self, frame: Frame) -> FrameReport | None:
        """The report that says most of the picture, which has none of its own."""
        found = next((one.report for one in self._pictures if one.report is not None), self._late)
        if found is None or not alike(found.frame, frame):
            return None
        known = self._known
        if known is None or not alike(known.frame, frame):
            return found
        # Between two reports, the nearer one knows best where the faces are.
        nearer = abs(found.frame.time - frame.time) <= abs(known.frame.time - frame.time)
        return found if nearer else None

    def _add(self, waiting: _Waiting) -> None:
        now, pictures = waiting.frame.arrived, self._pictures
        while self._due and now - pictures[0].frame.arrived >= 2 * self._patience:
            self._drop(0)
        pictures.append(waiting)
        if waiting.report is not None:
            self._due = len(pictures)
        while len(pictures) - self._due > self._unjudged or (
            self._due < len(pictures) and now - pictures[self._due].frame.arrived >= self._patience
        ):
            self._due += 1
        if len(pictures) > self._most:
            due = range(self._due)
            self._drop(next((number for number in due if pictures[number].report is None), 0))

    def _drop(self, number: int) -> None:
        del self._pictures[number]
        self._due -= 1
        self.dropped += 1


def _key(frame: Frame) -> tuple[int, int]:
    return frame.epoch, frame.index
