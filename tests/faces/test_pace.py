"""The face detector's pace under load."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.faces import CenterFaceDetector, Detections, FaceFinder, QualityGate
from streamguard.faces.pace import next_pace
from streamguard.media import picture_from_rgb
from streamguard.types import Frame, Picture
from tests.support.portraits import RATE, portrait_pictures

LEAST = st.integers(1, 12)
COUNT = st.integers(0, 500)
EVERY = st.integers(1, 60)


class Counting:
    """A face detector that finds nobody and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def detect(self, picture: Picture) -> Detections:
        """No faces."""
        self.asked += 1
        return Detections(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty((0, 5, 2), np.float32))


@given(every=EVERY, least=LEAST, judged=COUNT, missed=COUNT)
def test_it_is_bounded_and_moves_step_by_step(every: int, least: int, judged: int, missed: int) -> None:
    after = next_pace(every, least, judged, missed)
    assert least <= after <= 3 * least
    if least <= every <= 3 * least:
        assert abs(after - every) <= 1


@given(least=LEAST, judged=st.integers(1, 500), every=EVERY)
def test_more_load_never_quickens_it(least: int, judged: int, every: int) -> None:
    paces = [next_pace(every, least, judged, missed) for missed in range(0, 3 * judged, max(1, judged // 5))]
    assert paces == sorted(paces)


@given(least=LEAST, every=EVERY)
def test_without_load_it_comes_back(least: int, every: int) -> None:
    for _ in range(60):
        every = next_pace(every, least, 30, 0)
    assert every == least


@given(least=LEAST, share=st.floats(0.25, 0.9))
def test_under_lasting_load_it_slows_down_as_far_as_it_may(least: int, share: float) -> None:
    every = least
    for _ in range(40):
        every = next_pace(every, least, every, math.ceil(every * share / (1 - share)))
    assert every == 3 * least


@pytest.mark.parametrize(("live", "asked"), [(True, range(16, 27)), (False, [40])])
def test_frames_left_out_slow_it_down_on_live_streams_only(live: bool, asked: list[int]) -> None:
    detector = Counting()
    finder = FaceFinder(detector, QualityGate(), 1.3, 256, detect_every=5)
    picture = picture_from_rgb(np.full((96, 128, 3), 90, np.uint8))
    # Every other frame of sixty a second is left out.
    for index in range(0, 400, 2):
        finder.find(Frame("x", 0, index, index / 60, 0.0, picture), live=live)
    assert detector.asked in asked
    assert finder.detect_every == (15 if live else 5)
    # There is time again; a new connection does not undo what was learned, its own frames do.
    for index in range(200):
        finder.find(Frame("x", 1, index, index / 60, 0.0, picture), live=live)
    assert finder.detect_every == 5


@pytest.mark.parametrize(("live", "asked"), [(True, 10), (False, 4)])
def test_where_few_frames_are_judged_a_live_stream_does_not_wait_for_the_kth(live: bool, asked: int) -> None:
    detector = Counting()
    finder = FaceFinder(detector, QualityGate(), 1.3, 256, detect_every=5)
    picture = picture_from_rgb(np.full((96, 128, 3), 90, np.uint8))
    # Five frames in two seconds are all that there is time for.
    for index in range(20):
        finder.find(Frame("x", 0, index * 12, index * 0.4, 0.0, picture), live=live)
    # Every second frame is 0.8 s after the last detection; or every fifth.
    assert detector.asked == asked


@pytest.mark.parametrize("gaps", [(7,), (20,), (18, 32)], ids=str)
def test_a_face_keeps_its_number_however_few_frames_are_judged(
    face_detector: CenterFaceDetector, gaps: tuple[int, ...]
) -> None:
    finder = FaceFinder(face_detector, QualityGate(), 1.3, 256, detect_every=5)
    tracks, due, crops = set(), 0, 0
    wait = itertools.cycle(gaps)
    # Three frames a second: every fifth of them would come later than a lost face is remembered; or one a second.
    for index, rgb in enumerate(portrait_pictures(16.0)):
        if index == due:
            due += next(wait)
            found = finder.find(Frame("x", 0, index, index / RATE, 0.0, picture_from_rgb(rgb)), live=True)
            tracks |= {face.track for face in (*(crop.face for crop in found.crops), *found.unjudged)}
            crops += len(found.crops)
    assert tracks == {1}
    assert crops >= 9
