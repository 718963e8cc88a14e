"""What is painted onto a picture: the strip at the top and the faces' labels leave each other legible."""

from __future__ import annotations

import numpy as np
import pytest

from streamguard.overlay import banner_height
from streamguard.pipeline.annotate import LivePainter, annotated, overlay_items
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Face, FaceVerdict, Frame, Picture, Reason, Verdict
from streamguard.verdict import StreamState, TrackState


def report(*faces: FaceVerdict) -> FrameReport:
    """Of a grey picture."""
    half = np.full((180, 320), 128, np.uint8)
    frame = Frame("x", 0, 0, 0.0, 0.0, Picture(np.full((360, 640), 120, np.uint8), half, half))
    return FrameReport(frame, faces, StreamState(0.0, Verdict.REAL, {}, ()))


def face_below(top: float) -> FaceVerdict:
    """A face whose label has room only in the strip above it, or below itself."""
    face = Face(1, (200.0, top, 320.0, top + 150.0), 0.9, np.zeros((5, 2), np.float32))
    return FaceVerdict(face, Verdict.REAL, None, 0.1)


@pytest.mark.parametrize("live", [False, True])
def test_no_label_lies_under_the_strip(live: bool) -> None:
    def painted(one: FrameReport) -> Picture:
        if not live:
            return annotated(one, 0.5)
        painter = LivePainter(0.5)
        painter.learn(one)
        return painter.paint(one.frame)

    bare = painted(report())
    height = banner_height(bare)
    face = painted(report(face_below(height + 4.0)))
    assert np.array_equal(face.y[:height], bare.y[:height])
    # The label is elsewhere, not left out: it is wider than the lines of the box.
    assert (face.y[height + 160 :] != bare.y[height + 160 :]).sum() > 500


def test_without_the_strip_a_label_may_be_at_the_top() -> None:
    one = report(face_below(30.0))
    changed = annotated(one, 0.5, title=False).y[:28] != one.frame.image.y[:28]
    assert changed.sum() > 500


REAL, FAKE, UNKNOWN = Verdict.REAL, Verdict.FAKE, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("frame", "vote", "state", "reason", "score"),
    [
        (FAKE, REAL, REAL, None, 0.3),
        (REAL, FAKE, FAKE, None, 0.3),
        (FAKE, UNKNOWN, UNKNOWN, Reason.JUST_APPEARED, 0.3),
        (FAKE, None, UNKNOWN, Reason.JUST_APPEARED, None),
        (UNKNOWN, FAKE, UNKNOWN, Reason.ENGINE_FAILED, None),
        (UNKNOWN, REAL, UNKNOWN, Reason.ENGINE_FAILED, None),
    ],
)
def test_a_label_says_what_the_vote_says_of_a_face_that_was_judged(
    frame: Verdict, vote: Verdict | None, state: Verdict, reason: Reason | None, score: float | None
) -> None:
    why = Reason.ENGINE_FAILED if frame is UNKNOWN else None
    face = FaceVerdict(face_below(100.0).face, frame, why, None if frame is UNKNOWN else 0.9)
    tracks = {} if vote is None else {1: TrackState(vote, 0.4, 0.3, 9, None, 0.0, None)}
    one = report(face)
    (item,) = overlay_items(FrameReport(one.frame, (face,), StreamState(0.0, REAL, tracks, ())), 0.5)
    assert (item.state, item.reason, item.score) == (state, reason, score)
