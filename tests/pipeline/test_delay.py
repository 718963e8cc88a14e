"""Pictures that wait to go out: in order, within bounds, and as a plainer reckoning has it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamguard.pipeline.delay import Delay, Ready
from streamguard.pipeline.stream import FrameReport
from streamguard.types import Frame, Picture, Verdict
from streamguard.verdict import StreamState

MOST, UNJUDGED, PATIENCE = 7, 4, 1.0


def picture(width: int = 16) -> Picture:
    chroma = np.zeros((8, width // 2), np.uint8)
    return Picture(np.zeros((16, width), np.uint8), chroma, chroma)


PICTURE, WIDE = picture(), picture(32)


def frame(index: int, epoch: int = 0, arrived: float | None = None, image: Picture = PICTURE) -> Frame:
    """Pictures of 25 a second."""
    return Frame("s", epoch, index, index / 25, index / 25 if arrived is None else arrived, image)


def report(of: Frame) -> FrameReport:
    return FrameReport(of, (), StreamState(of.time, Verdict.REAL, {}, ()))


def taken(delay: Delay) -> list[Ready]:
    """All that go out now."""
    found = []
    while (ready := delay.take()) is not None:
        found.append(ready)
    return found


class Plain:
    """The same bounds, one rule a line, over a list of pictures that are never moved."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.judged: set[int] = set()
        self.due: set[int] = set()
        self.gone: set[int] = set()
        self.dropped = 0

    def here(self) -> list[int]:
        return [number for number in range(len(self.frames)) if number not in self.gone]

    def add(self, one: Frame, *, judged: bool = False) -> None:
        for number in self.here():
            if number in self.due and one.arrived - self.frames[number].arrived >= 2 * PATIENCE:
                self.drop(number)
        self.frames.append(one)
        if judged:
            self.report(one)
        waiting = [number for number in self.here() if number not in self.due]
        overdue = [number for number in waiting if one.arrived - self.frames[number].arrived >= PATIENCE]
        for number in waiting:
            if number in waiting[:-UNJUDGED] or number <= max(overdue, default=-1):
                self.due.add(number)
        if len(self.here()) > MOST:
            due = [number for number in self.here() if number in self.due]
            self.drop(min(due, key=lambda number: (number in self.judged, number)))

    def report(self, one: Frame) -> None:
        for number in self.here():
            if self.frames[number] is one:
                self.judged.add(number)
                self.due.update(earlier for earlier in self.here() if earlier <= number)

    def drop(self, number: int) -> None:
        self.gone.add(number)
        self.dropped += 1

    def take(self) -> Frame | None:
        number = min((number for number in self.here() if number in self.due), default=None)
        if number is None:
            return None
        self.gone.add(number)
        return self.frames[number]


STEPS = st.lists(
    st.one_of(
        *[st.tuples(st.just("frame"), st.sampled_from((0.04, 0.2)))] * 4,
        st.tuples(st.just("frame"), st.floats(0.0, 1.2)),
        st.tuples(st.just("unseen"), st.just(0.04)),
        *[st.tuples(st.just("report"), st.integers(0, 9))] * 2,
        st.tuples(st.just("take"), st.integers(1, 3)),
        st.sampled_from([("epoch", 0), ("release", 0)]),
    ),
    min_size=20,
    max_size=80,
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS)
def test_the_bounds_are_those_of_a_plainer_reckoning(steps: list[tuple[str, float]]) -> None:
    delay, plain = Delay(MOST, UNJUDGED, PATIENCE), Plain()
    now, index, epoch, reported = 0.0, 0, 0, -1
    shown: list[Frame] = []
    for kind, value in steps:
        if kind in {"frame", "unseen"}:
            now, index = now + value, index + 1
            one = frame(index, epoch, now)
            if kind == "frame":
                delay.frame(one)
                plain.add(one)
            else:
                reported = len(plain.frames)
                delay.report(report(one))
                plain.add(one, judged=True)
        elif kind == "report" and plain.frames:
            # Reports come in the order of their pictures; those may be gone already.
            number = max(reported + 1, len(plain.frames) - int(value))
            if number < len(plain.frames):
                reported = number
                delay.report(report(plain.frames[number]))
                plain.report(plain.frames[number])
        elif kind == "take":
            for _ in range(int(value)):
                ready, wanted = delay.take(), plain.take()
                assert (ready.frame if ready else None) is wanted
                if ready is not None and wanted is not None:
                    shown.append(wanted)
                    judged = next(n for n, one in enumerate(plain.frames) if one is wanted) in plain.judged
                    assert (ready.report is not None) == judged
                    assert ready.report is None or ready.report.frame is wanted
                    assert ready.learn is None or ready.learn.frame.epoch == wanted.epoch
        elif kind == "epoch":
            index, epoch = 0, epoch + 1
        elif kind == "release":
            delay.release()
            plain.due.update(plain.here())
        assert len(delay) == len(plain.here()) <= MOST
        assert delay.due == sum(number in plain.due for number in plain.here())
        assert len(delay) - delay.due <= UNJUDGED
        assert delay.dropped == plain.dropped
    keys = [(one.epoch, one.index) for one in shown]
    assert keys == sorted(set(keys))
    assert len(shown) + delay.dropped + len(delay) == len(plain.frames)


def test_a_picture_goes_with_the_report_that_is_nearer_to_it() -> None:
    delay, frames = Delay(), [frame(index) for index in range(8)]
    for one in frames:
        delay.frame(one)
    assert not taken(delay)
    first, second = report(frames[0]), report(frames[6])
    delay.report(first)
    assert [(ready.report, ready.learn) for ready in taken(delay)] == [(first, first)]
    delay.report(second)
    # The third is as far from both.
    assert [ready.learn for ready in taken(delay)] == [None, None, second, None, None, None]
    assert (len(delay), delay.due) == (1, 0)


def test_a_report_that_comes_too_late_is_learned_by_the_next_picture() -> None:
    delay, frames = Delay(), [frame(index) for index in range(4)]
    for one in frames[:3]:
        delay.frame(one)
    delay.release()
    assert [ready.learn for ready in taken(delay)] == [None, None, None]
    late = [report(one) for one in frames[:3]]
    for told in late:
        delay.report(told)
    assert not taken(delay)
    delay.frame(frames[3])
    delay.release()
    assert [(ready.report, ready.learn) for ready in taken(delay)] == [(None, late[2])]


@pytest.mark.parametrize("other", [frame(3, epoch=1), frame(3, image=WIDE)])
def test_nothing_is_learned_of_another_connection_or_size(other: Frame) -> None:
    delay = Delay()
    for one in (frame(0), frame(1), frame(2), other):
        delay.frame(one)
    delay.report(report(other))
    assert [ready.learn is not None for ready in taken(delay)] == [False, False, False, True]


def test_of_a_slow_encoder_judged_pictures_are_dropped_last() -> None:
    delay = Delay()
    frames = [frame(index, arrived=index / 100) for index in range(190)]
    for one in frames:
        delay.frame(one)
        if one.index % 5 == 0:
            delay.report(report(one))
    left = taken(delay)
    assert sum(ready.report is not None for ready in left) == 38
    assert delay.dropped == 190 - len(left) - len(delay) > 140
