"""A curve's samples against the frames they stand for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.verdict.curve import ScoreCurve

SCORES = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=300)


@given(scores=SCORES)
def test_samples_are_bounded_and_lose_no_frame(scores: list[float | None]) -> None:
    curve = ScoreCurve(8)
    for time, score in enumerate(scores):
        curve.push(float(time), score)
    samples = curve.samples()
    assert len(samples) <= 8
    at = 0
    for sample in samples:
        own = scores[at : at + sample.frames]
        judged = [score for score in own if score is not None]
        assert (sample.start, sample.end) == (at, at + sample.frames - 1)
        assert (sample.judged, sample.highest) == (len(judged), max(judged, default=None))
        assert sample.score == (pytest.approx(sum(judged) / len(judged)) if judged else None)
        at += sample.frames
    assert at == len(scores)
    # All but the last stand for equally many.
    assert len({sample.frames for sample in samples[:-1]}) <= 1


def test_a_short_curve_is_kept_as_it_is() -> None:
    curve = ScoreCurve()
    for time in range(256):
        curve.push(float(time), time / 256)
    assert [sample.score for sample in curve.samples()] == [time / 256 for time in range(256)]
    curve.push(256.0, 1.0)
    assert [sample.frames for sample in curve.samples()] == [2] * 128 + [1]
