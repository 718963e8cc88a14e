"""The stream's verdict and its transitions, against one track vote per track kept by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.errors import ConfigError
from streamguard.types import Closing, FaceVerdict, Verdict
from streamguard.verdict import StreamState, StreamVote, TrackVote, VoteSettings

MakeVerdict = Callable[..., FaceVerdict]

REAL, UNSURE, FAKE, UNKNOWN = Verdict.REAL, Verdict.UNSURE, Verdict.FAKE, Verdict.UNKNOWN
QUICK = VoteSettings(window=1.0, quorum=2, min_span=0.0, min_hold=0.0)
Faces = dict[int, Verdict]


@st.composite
def streams(draw: st.DrawFn) -> list[tuple[float, Faces]]:
    time, frames = 0.0, []
    faces = st.dictionaries(st.integers(1, 4), st.sampled_from([REAL, UNSURE, FAKE, FAKE, UNKNOWN]), max_size=3)
    for _ in range(draw(st.integers(1, 50))):
        time += draw(st.sampled_from([0.125, 0.25, 0.5, 3.0]))
        frames.append((time, draw(faces)))
    return frames


def run(vote: StreamVote, frames: list[tuple[float, Faces]], make: MakeVerdict) -> list[StreamState]:
    return [
        vote.push(time, [make(s, 0.9 if s is FAKE else 0.2, track) for track, s in faces.items()])
        for time, faces in frames
    ]


@given(frames=streams())
def test_each_track_is_its_own_vote_and_the_worst_speaks(
    make_verdict: MakeVerdict, frames: list[tuple[float, Faces]]
) -> None:
    got = run(StreamVote(QUICK, forget_after=2.0, hold_lost=3.0, update_every=1.0), frames, make_verdict)
    votes: dict[int, TrackVote] = {}
    seen: dict[int, float] = {}
    told: dict[int, float] = {}
    for (time, faces), state in zip(frames, got, strict=True):
        kinds: list[tuple[str, int]] = []
        causes: list[Closing] = []
        for track in [n for n, at in seen.items() if time - at >= (3.0 if votes[n].state is FAKE else 2.0)]:
            del seen[track]
            if votes.pop(track).state is FAKE:
                kinds.append(("closed", track))
                causes.append(Closing.LOST)
        for track in faces:
            seen[track] = time
            votes.setdefault(track, TrackVote(QUICK))
        states = {}
        for track, vote in votes.items():
            said = faces.get(track, UNKNOWN)
            states[track] = vote.push(time, said, {FAKE: 0.9, UNSURE: 0.2, REAL: 0.2}.get(said))
            kind = states[track].changed
            if kind is None and states[track].state is FAKE and time - told[track] >= 1.0:
                kind = "updated"  # type: ignore[assignment]  # a transition's kind, not a vote's
            if kind is not None:
                told[track] = time
                kinds.append((kind, track))
                if kind == "closed":
                    causes.append(Closing.CLEARED)
        assert state.tracks == states
        assert sorted((t.kind, t.track) for t in state.transitions) == sorted(kinds)
        assert sorted(t.cause for t in state.transitions if t.cause) == sorted(causes)
        assert all(t.time == time for t in state.transitions)
        every = [s.state for s in states.values()]
        assert state.state is next((v for v in (FAKE, UNSURE, REAL) if v in every), UNKNOWN)


@given(frames=streams())
def test_every_opened_closes_exactly_once(make_verdict: MakeVerdict, frames: list[tuple[float, Faces]]) -> None:
    vote = StreamVote(QUICK, forget_after=2.0, max_tracks=2)
    told = [t for state in run(vote, frames, make_verdict) for t in state.transitions]
    told.extend(vote.close_all(frames[-1][0]))
    open_tracks: set[int] = set()
    for transition in told:
        assert (transition.track in open_tracks) == (transition.kind != "opened")
        assert 0.0 <= transition.share <= 1.0
        assert 0.0 <= transition.score <= 1.0
        if transition.kind == "opened":
            open_tracks.add(transition.track)
        elif transition.kind == "closed":
            open_tracks.remove(transition.track)
    assert not open_tracks


def test_unsure_frames_tell_nobody(make_verdict: MakeVerdict) -> None:
    states = run(StreamVote(QUICK), [(n * 0.25, {1: UNSURE, 2: REAL}) for n in range(4 * 130)], make_verdict)
    assert states[-1].state is UNSURE
    assert not any(state.transitions for state in states)


def test_a_stream_without_faces_is_unknown(make_verdict: MakeVerdict) -> None:
    state = StreamVote().push(0.0, [])
    assert (state.state, dict(state.tracks), state.transitions) == (UNKNOWN, {}, ())


def test_a_fake_is_updated_once_a_period(make_verdict: MakeVerdict) -> None:
    frames = [(n * 0.25, {1: FAKE}) for n in range(4 * 130)]
    states = run(StreamVote(QUICK), frames, make_verdict)
    told = [(t.kind, t.time) for state in states for t in state.transitions]
    assert told == [("opened", 0.25), ("updated", 60.25), ("updated", 120.25)]


def test_a_track_out_of_sight_is_forgotten_and_closes_with_its_last_figures(make_verdict: MakeVerdict) -> None:
    frames: list[tuple[float, Faces]] = [(n * 0.25, {1: FAKE, 2: REAL}) for n in range(8)]
    frames += [(2.0 + n * 0.25, {2: REAL}) for n in range(60)]
    states = run(StreamVote(QUICK), frames, make_verdict)
    closing = next(s for s in states if any(t.kind == "closed" for t in s.transitions))
    (closed,) = closing.transitions
    assert (closed.track, closed.time, closed.share, closed.cause) == (1, 1.75 + 12.0, 1.0, Closing.LOST)
    assert closed.score == pytest.approx(0.9)
    assert set(closing.tracks) == {2}
    assert closing.state is REAL
    assert states[states.index(closing) - 1].state is FAKE


def test_an_id_that_comes_back_after_being_forgotten_starts_anew(make_verdict: MakeVerdict) -> None:
    vote = StreamVote(QUICK)
    run(vote, [(0.0, {1: FAKE}), (0.5, {1: FAKE})], make_verdict)
    state = vote.push(12.5, [make_verdict(FAKE, 0.9, 1)])
    assert [(t.kind, t.cause) for t in state.transitions] == [("closed", Closing.LOST)]
    assert state.tracks[1].state is UNKNOWN
    assert state.tracks[1].judged == 1


def test_the_end_closes_what_is_open_and_lets_time_start_again(make_verdict: MakeVerdict) -> None:
    vote = StreamVote(QUICK)
    run(vote, [(n * 0.25, {1: FAKE, 2: REAL, 3: FAKE}) for n in range(4)], make_verdict)
    with pytest.raises(ValueError, match="after its last frame"):
        vote.close_all(0.5)
    closed = vote.close_all(0.75)
    assert [(t.kind, t.track, t.time, t.cause) for t in closed] == [
        ("closed", n, 0.75, Closing.STREAM_ENDED) for n in (1, 3)
    ]
    assert vote.close_all(0.75) == ()
    assert vote.push(0.0, [make_verdict(FAKE, 0.9, 1)]).tracks[1].judged == 1


def test_memory_is_bounded_and_open_fakes_are_kept_longest(make_verdict: MakeVerdict) -> None:
    vote = StreamVote(QUICK, max_tracks=8)
    run(vote, [(0.0, {1: FAKE}), (0.01, {1: FAKE})], make_verdict)
    for number in range(300):
        state = vote.push(0.02 + number * 0.001, [make_verdict(REAL, 0.1, 2 + number)])
        assert len(state.tracks) <= 8
    assert 1 in state.tracks
    crowd = vote.push(1.0, [make_verdict(REAL, 0.1, 1000 + n) for n in range(20)])
    assert len(crowd.tracks) == 20
    assert [(t.kind, t.track) for t in crowd.transitions] == [("closed", 1)]


def test_a_wrong_frame_is_refused_whole(make_verdict: MakeVerdict) -> None:
    vote = StreamVote(QUICK)
    vote.push(1.0, [make_verdict(FAKE, 0.9, 1)])
    for time in (1.0, 0.5, math.nan):
        with pytest.raises(ValueError, match="rise strictly"):
            vote.push(time, [])
    with pytest.raises(ValueError, match="two verdicts"):
        vote.push(1.25, [make_verdict(FAKE, 0.9, 1), make_verdict(REAL, 0.1, 1)])
    for score in (None, 1.5, math.nan):
        with pytest.raises(ValueError, match="score"):
            vote.push(1.25, [make_verdict(FAKE, 0.9, 1), make_verdict(REAL, score, 2)])
    state = vote.push(1.25, [make_verdict(FAKE, 0.9, 1)])
    assert set(state.tracks) == {1}
    assert state.tracks[1].judged == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"update_every": 0.0},
        {"update_every": math.nan},
        {"forget_after": -1.0},
        {"hold_lost": 4.0},
        {"max_tracks": 0},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        StreamVote(**wrong)
