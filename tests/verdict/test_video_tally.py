"""The video rule and the fake intervals against a count over the whole history."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.errors import ConfigError
from streamguard.types import FaceVerdict, Reason, Verdict
from streamguard.verdict import FileVerdict, Finding, StreamVote, VideoTally, VoteSettings
from streamguard.verdict.video import merge

MakeVerdict = Callable[..., FaceVerdict]

REAL, UNSURE, FAKE, UNKNOWN = Verdict.REAL, Verdict.UNSURE, Verdict.FAKE, Verdict.UNKNOWN
QUICK = VoteSettings(window=1.0, quorum=2, min_span=0.0, min_hold=0.5)
Faces = dict[int, tuple[Verdict, float]]
FACES = st.dictionaries(
    st.integers(1, 3), st.tuples(st.sampled_from([REAL, UNSURE, FAKE, UNKNOWN]), st.floats(0, 1)), max_size=3
)
STEP = 0.25


def judge(
    frames: list[Faces], make: MakeVerdict, *, settings: VoteSettings = QUICK, min_judged: int = 1
) -> FileVerdict:
    vote, tally = StreamVote(settings, forget_after=2.0), VideoTally(min_judged=min_judged)
    for number, faces in enumerate(frames):
        verdicts = [make(state, score, track) for track, (state, score) in faces.items()]
        tally.push(verdicts, vote.push(number * STEP, verdicts))
    return tally.result()


def rule(judged: int, fake: int, unsure: int, min_judged: int) -> Verdict:
    if judged < min_judged:
        return UNKNOWN
    return FAKE if fake / judged > 0.5 else UNSURE if (fake + unsure) / judged > 0.5 else REAL


@given(frames=st.lists(FACES, max_size=40), min_judged=st.integers(1, 4))
def test_the_counts_are_the_histories(make_verdict: MakeVerdict, frames: list[Faces], min_judged: int) -> None:
    got = judge(frames, make_verdict, min_judged=min_judged)
    judged = [f for f in frames if any(s is not UNKNOWN for s, _ in f.values())]
    fake = [f for f in judged if any(s is FAKE for s, _ in f.values())]
    unsure = [f for f in judged if f not in fake and any(s is UNSURE for s, _ in f.values())]
    assert (got.frames, got.judged, got.fake, got.unsure) == (len(frames), len(judged), len(fake), len(unsure))
    assert got.verdict is rule(len(judged), len(fake), len(unsure), min_judged)
    assert got.share == (len(fake) / len(judged) if judged else None)
    if judged:
        highest = [max(score for s, score in f.values() if s is not UNKNOWN) for f in judged]
        assert got.score == pytest.approx(sum(highest) / len(highest))
    for track in got.tracks:
        own = [(n * STEP, *f[track.track]) for n, f in enumerate(frames) if track.track in f]
        votes = [s for _, s, _ in own if s is not UNKNOWN]
        assert (track.judged, track.fake, track.unsure) == (len(votes), votes.count(FAKE), votes.count(UNSURE))
        assert track.unknown == len(own) - len(votes)
        assert (track.first, track.last) == (own[0][0], own[-1][0])
        assert track.verdict is rule(len(votes), votes.count(FAKE), votes.count(UNSURE), min_judged)
        scores = [score for _, s, score in own if s is not UNKNOWN]
        assert track.score == (pytest.approx(sum(scores) / len(scores)) if scores else None)
    assert {t.track for t in got.tracks} == {track for f in frames for track in f}


@given(frames=st.lists(FACES, max_size=40))
def test_intervals_are_ordered_apart_and_end_on_fake_frames(make_verdict: MakeVerdict, frames: list[Faces]) -> None:
    got = judge(frames, make_verdict)
    assert got.contains_fake == bool(got.fake_intervals)
    for track in got.tracks:
        fakes = {n * STEP for n, f in enumerate(frames) if f.get(track.track, (REAL, 0.0))[0] is FAKE}
        ends = [end for interval in track.fake_intervals for end in interval]
        assert set(ends) <= fakes
        assert ends == sorted(ends)
    assert got.fake_intervals == merge([i for t in got.tracks for i in t.fake_intervals])


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 6)).map(lambda p: (p[0], p[0] + p[1]))))
def test_merge_is_the_union(intervals: list[tuple[float, float]]) -> None:
    merged = merge(intervals)
    halves = [n / 2 for n in range(60)]
    assert [any(a <= t <= b for a, b in merged) for t in halves] == [
        any(a <= t <= b for a, b in intervals) for t in halves
    ]
    assert all(one[1] < two[0] for one, two in itertools.pairwise(merged))


def test_exactly_half_is_real(make_verdict: MakeVerdict) -> None:
    half: list[Faces] = [{1: (REAL, 0.1)}] * 10 + [{1: (FAKE, 0.9)}] * 10
    got = judge(half, make_verdict)
    assert (got.verdict, got.share) == (REAL, 0.5)
    assert judge([*half, {1: (FAKE, 0.9)}], make_verdict).verdict is FAKE


def test_a_file_is_unsure_when_most_frames_are_fake_or_unsure(make_verdict: MakeVerdict) -> None:
    half: list[Faces] = [{1: (REAL, 0.1)}] * 10 + [{1: (UNSURE, 0.5)}] * 6 + [{1: (FAKE, 0.9)}] * 4
    assert judge(half, make_verdict).verdict is REAL
    got = judge([*half, {1: (UNSURE, 0.5)}], make_verdict)
    assert (got.verdict, got.fake, got.unsure) == (UNSURE, 4, 7)
    assert got.tracks[0].verdict is UNSURE


def test_a_fake_second_half_is_visible_though_the_file_is_real(make_verdict: MakeVerdict) -> None:
    frames: list[Faces] = [{1: (REAL, 0.1)}] * 40 + [{1: (FAKE, 0.9)}] * 40
    got = judge(frames, make_verdict, settings=VoteSettings())
    assert got.verdict is REAL
    assert got.contains_fake
    assert got.fake_intervals == ((10.0, 19.75),)


def test_a_closed_run_ends_with_its_last_fake_frame(make_verdict: MakeVerdict) -> None:
    quiet: list[Faces] = [{1: (REAL, 0.1)}] * 40
    loud: list[Faces] = [{1: (FAKE, 0.9)}] * 20
    got = judge([*quiet, *loud, *quiet, *loud, *quiet], make_verdict, settings=VoteSettings())
    assert got.fake_intervals == ((10.0, 14.75), (25.0, 29.75))


def test_unjudged_frames_say_nothing(make_verdict: MakeVerdict) -> None:
    got = judge([{1: (UNKNOWN, 0.0)}, {}], make_verdict)
    assert (got.verdict, got.share, got.score, got.frames) == (UNKNOWN, None, None, 2)
    assert got.tracks[0].verdict is UNKNOWN
    empty = VideoTally().result()
    assert (empty.verdict, empty.tracks, empty.contains_fake) == (UNKNOWN, (), False)


def test_a_frame_with_a_real_and_a_fake_face_is_fake(make_verdict: MakeVerdict) -> None:
    got = judge([{1: (REAL, 0.1), 2: (FAKE, 0.9)}], make_verdict)
    assert (got.verdict, got.judged, got.fake) == (FAKE, 1, 1)
    assert [t.verdict for t in got.tracks] == [REAL, FAKE]


def test_wrong_use_is_refused(make_verdict: MakeVerdict) -> None:
    with pytest.raises(ConfigError, match="min_judged"):
        VideoTally(min_judged=0)
    tally, state = VideoTally(), StreamVote().push(1.0, [])
    tally.push([], state)
    with pytest.raises(ValueError, match="rise strictly"):
        tally.push([], state)


def test_reasons_and_scores_are_told_by_face_and_file(make_verdict: MakeVerdict) -> None:
    blurred = replace(make_verdict(UNKNOWN, 0.0, 2), reason=Reason.TOO_BLURRED)
    small = replace(make_verdict(UNKNOWN, 0.0, 1), reason=Reason.TOO_SMALL)
    frames = [[small, blurred], [make_verdict(FAKE, 0.75, 1), blurred], [], [make_verdict(REAL, 0.25, 1)]]
    vote, tally = StreamVote(QUICK), VideoTally()
    for number, verdicts in enumerate(frames):
        tally.push(verdicts, vote.push(number * STEP, verdicts))
    got = tally.result()
    assert got.unjudged == {Reason.TOO_SMALL: 1, Reason.TOO_BLURRED: 2}
    assert got.faceless == 1
    told = [(sample.start, sample.score) for sample in got.scores]
    assert told == [(0, None), (STEP, 0.75), (0.5, None), (0.75, 0.25)]
    one, other = got.tracks
    assert (one.unjudged, other.unjudged) == ({Reason.TOO_SMALL: 1}, {Reason.TOO_BLURRED: 2})
    assert [(sample.start, sample.score) for sample in one.scores] == [(0, None), (STEP, 0.75), (0.75, 0.25)]
    assert (one.finding, other.finding) == (Finding.NO_SIGN_FOUND, Finding.NOT_JUDGED)


def test_a_fake_in_part_has_words_of_its_own(make_verdict: MakeVerdict) -> None:
    got = judge([{1: (FAKE, 0.9)}] * 8 + [{1: (REAL, 0.1)}] * 20, make_verdict)
    assert (got.verdict, got.contains_fake, got.finding) == (REAL, True, Finding.FAKE_IN_PART)
    assert got.tracks[0].finding is Finding.FAKE_IN_PART
    assert {each.words for each in Finding} == {
        "FAKE", "FAKE IN PART", "unsure", "no sign of manipulation found", "NOT JUDGED",
    }  # fmt: skip
