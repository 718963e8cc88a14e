"""The sliding vote against one that recomputes everything from the whole history."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamguard.errors import ConfigError
from streamguard.types import Verdict
from streamguard.verdict import TrackState, TrackVote, VoteSettings

REAL, UNSURE, FAKE, UNKNOWN = Verdict.REAL, Verdict.UNSURE, Verdict.FAKE, Verdict.UNKNOWN
Frame = tuple[float, Verdict, float | None]

SETTINGS = st.builds(
    lambda window, quorum, span, shares, hold, longest: VoteSettings(
        window, quorum, span * window, max(shares), min(shares), hold, longest
    ),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.integers(1, 6),
    st.sampled_from([0.0, 0.25, 0.5]),
    st.tuples(st.sampled_from([0.25, 0.3, 0.5]), st.sampled_from([0.3, 0.5, 0.75])),
    st.sampled_from([0.0, 0.5, 2.0]),
    st.sampled_from([0.0, 1.0, 4.0, 10.0]),
)


@st.composite
def histories(draw: st.DrawFn) -> list[Frame]:
    time, frames = draw(st.sampled_from([0.0, 17.3])), []
    for _ in range(draw(st.integers(1, 60))):
        time += draw(st.sampled_from([1 / 30, 0.1, 0.25, 0.5, 1.9]))
        state = draw(st.sampled_from([REAL, UNSURE, FAKE, FAKE, UNKNOWN]))
        score = None if state is UNKNOWN else draw(st.floats(0, 1))
        frames.append((time, state, score))
    return frames


def window_of(settings: VoteSettings, frames: list[Frame]) -> list[Frame]:
    now = frames[-1][0]
    window = [f for f in frames if now - settings.window < f[0]]
    if len(window) < settings.quorum:
        window = [f for f in frames[-settings.quorum :] if now - max(settings.window, settings.longest) < f[0]]
    return [f for f in window if f[1] is not UNKNOWN]


def brute(settings: VoteSettings, frames: list[Frame]) -> list[TrackState]:
    states: list[TrackState] = []
    state, since = UNKNOWN, frames[0][0]
    for number in range(1, len(frames) + 1):
        now = frames[number - 1][0]
        window = window_of(settings, frames[:number])
        fakes = [f[0] for f in window if f[1] is FAKE]
        share = len(fakes) / len(window) if window else None
        suspect = sum(f[1] in (FAKE, UNSURE) for f in window) / len(window) if window else None
        not_fake = UNSURE if suspect is not None and suspect > settings.open_share else REAL
        quorum = len(window) >= settings.quorum and window[-1][0] - window[0][0] >= settings.min_span
        before = state
        if state is FAKE:
            if quorum and share is not None and share < settings.close_share:
                state = not_fake if now - since >= settings.min_hold else FAKE
        elif quorum and share is not None:
            state = FAKE if share > settings.open_share else not_fake
        else:
            state = UNKNOWN
        since = since if state is before else now
        changed = {(True, False): "opened", (False, True): "closed"}.get((state is FAKE, before is FAKE))
        score = math.fsum(f[2] or 0.0 for f in window) / len(window) if window else None
        ends = (fakes[0], fakes[-1]) if fakes else None
        told = (state, share, score, len(window), changed, since, ends, suspect)
        states.append(TrackState(*told))  # type: ignore[arg-type]  # `changed` is of plain strings here
    return states


def feed(settings: VoteSettings, frames: list[Frame]) -> list[TrackState]:
    vote = TrackVote(settings)
    return [vote.push(*frame) for frame in frames]


def steady(settings: VoteSettings, *runs: tuple[Verdict, int], step: float = 0.125) -> list[TrackState]:
    states = [state for state, count in runs for _ in range(count)]
    frames: list[Frame] = [(step * n, s, None if s is UNKNOWN else float(s is FAKE)) for n, s in enumerate(states)]
    return feed(settings, frames)


@given(SETTINGS, histories())
def test_the_vote_is_the_brute_force_one(settings: VoteSettings, frames: list[Frame]) -> None:
    for got, wanted in zip(feed(settings, frames), brute(settings, frames), strict=True):
        assert got.score == (None if wanted.score is None else pytest.approx(wanted.score, abs=1e-12))
        for name in ("state", "share", "judged", "changed", "since", "fakes", "suspect_share"):
            assert getattr(got, name) == getattr(wanted, name), name


@given(SETTINGS, histories())
def test_unsure_frames_open_and_close_what_frames_that_are_not_fake_do(
    settings: VoteSettings, frames: list[Frame]
) -> None:
    plain_frames = [(time, REAL if state is UNSURE else state, score) for time, state, score in frames]
    for with_band, without in zip(feed(settings, frames), feed(settings, plain_frames), strict=True):
        assert (with_band.changed, with_band.share, with_band.score) == (without.changed, without.share, without.score)
        assert (REAL if with_band.state is UNSURE else with_band.state) is without.state


def test_a_face_is_unsure_while_most_frames_are_fake_or_unsure() -> None:
    settings = VoteSettings(window=1.0, quorum=4, min_span=0.0)
    assert steady(settings, (REAL, 4), (UNSURE, 2), (FAKE, 2))[-1].state is REAL
    told = steady(settings, (REAL, 3), (UNSURE, 3), (FAKE, 2))[-1]
    assert (told.state, told.share, told.suspect_share, told.changed) == (UNSURE, 0.25, 0.625, None)
    assert steady(settings, (UNSURE, 8), (REAL, 8))[-1].state is REAL
    assert steady(settings, (UNSURE, 8), (UNKNOWN, 8))[-1].state is UNKNOWN


def test_an_open_fake_closes_to_unsure_by_its_own_rule_only() -> None:
    settings = VoteSettings(window=1.0, quorum=2, min_span=0.0, min_hold=0.5)
    states = steady(settings, (FAKE, 8), (UNSURE, 12))
    closed = next(n for n, s in enumerate(states) if s.changed == "closed")
    share = states[closed].share
    assert share is not None
    assert share < settings.close_share
    assert {s.state for s in states[1:closed]} == {FAKE}
    assert {s.state for s in states[closed:]} == {UNSURE}


@given(SETTINGS, histories())
def test_opened_and_closed_alternate_and_the_hold_is_kept(settings: VoteSettings, frames: list[Frame]) -> None:
    opened_at: float | None = None
    for frame, state in zip(frames, feed(settings, frames), strict=True):
        if state.changed == "opened":
            assert opened_at is None
            assert state.share is not None
            assert state.share > settings.open_share
            opened_at = frame[0]
        elif state.changed == "closed":
            assert opened_at is not None
            assert state.share is not None
            assert state.share < settings.close_share
            assert frame[0] - opened_at >= settings.min_hold
            opened_at = None
        assert (state.state is FAKE) == (opened_at is not None)


def plain(settings: VoteSettings) -> VoteSettings:
    """The same without longer windows."""
    return replace(settings, longest=0.0)


@given(SETTINGS, histories(), st.data())
def test_where_enough_frames_come_longer_windows_change_nothing(
    settings: VoteSettings, frames: list[Frame], data: st.DataObject
) -> None:
    # A window holds the quorum if so many frames always come within it, judged or not.
    quickest = settings.window / settings.quorum
    steps = data.draw(st.lists(st.floats(quickest / 50, quickest * 0.999), min_size=len(frames), max_size=len(frames)))
    times = [sum(steps[: n + 1]) for n in range(len(frames))]
    quick = [(time, state, score) for time, (_, state, score) in zip(times, frames, strict=True)]
    assert feed(settings, quick) == feed(plain(settings), quick)


@given(SETTINGS, histories())
def test_a_longer_window_never_holds_more_than_the_quorum_asks_for(settings: VoteSettings, frames: list[Frame]) -> None:
    pairs = zip(feed(settings, frames), feed(plain(settings), frames), strict=True)
    for number, (long, short) in enumerate(pairs, 1):
        assert short.judged <= long.judged <= max(short.judged, settings.quorum)
        if long.fakes is not None:
            now = frames[number - 1][0]
            assert long.fakes[0] > now - max(settings.window, settings.longest)


@pytest.mark.parametrize(("rate", "decided"), [(30.0, 7 / 30), (4.0, 1.75), (2.0, 3.5), (1.0, 7.0), (0.5, None)])
def test_slow_streams_are_decided_by_as_many_frames_and_later(rate: float, decided: float | None) -> None:
    states = steady(VoteSettings(min_span=0.0), (FAKE, 40), step=1 / rate)
    found = next((n / rate for n, s in enumerate(states) if s.state is FAKE), None)
    assert found == (None if decided is None else pytest.approx(decided))


def test_a_slow_fake_closes_again() -> None:
    states = steady(VoteSettings(), (FAKE, 10), (REAL, 10), step=1.0)
    closed = next(n for n, s in enumerate(states) if s.changed == "closed")
    # Two fake frames of the last eight are less than 30 %.
    assert (closed, states[closed].share) == (15, 0.25)


def test_a_face_that_hides_on_a_quick_stream_does_not_lengthen_the_window() -> None:
    states = steady(VoteSettings(), (REAL, 20), (UNKNOWN, 10))
    assert states[-1].judged == 6
    assert states[-1].state is UNKNOWN


def test_nothing_is_said_before_the_quorum() -> None:
    states = steady(VoteSettings(), (FAKE, 8))
    assert [s.state for s in states] == [UNKNOWN] * 7 + [FAKE]
    assert states[-1].changed == "opened"
    assert states[-1].since == 0.875
    assert states[0].since == 0.0


def test_a_burst_that_spans_too_little_time_says_nothing() -> None:
    states = steady(VoteSettings(), (FAKE, 17), step=1 / 32)
    assert [s.state for s in states] == [UNKNOWN] * 16 + [FAKE]


def test_exactly_half_does_not_open() -> None:
    settings = VoteSettings(quorum=4, min_span=0.0)
    assert steady(settings, (REAL, 2), (FAKE, 2))[-1].state is REAL
    assert steady(settings, (REAL, 2), (FAKE, 3))[-1].state is FAKE


def test_exactly_the_closing_share_does_not_close() -> None:
    settings = VoteSettings(window=10.0, quorum=3, min_span=0.0, min_hold=0.0)
    states = steady(settings, (FAKE, 3), (REAL, 8))
    assert states[9].share == 0.3
    assert states[9].state is FAKE
    assert states[10].changed == "closed"


def test_the_window_is_open_at_its_old_end() -> None:
    settings = VoteSettings(window=1.0, quorum=1, min_span=0.0)
    states = steady(settings, (FAKE, 1), (REAL, 4), step=0.25)
    assert [s.judged for s in states] == [1, 2, 3, 4, 4]
    assert states[3].share == 0.25
    assert states[4].share == 0.0
    assert states[4].fakes is None


def test_an_opened_fake_is_held() -> None:
    settings = VoteSettings(window=1.0, quorum=2, min_span=0.0, min_hold=2.0)
    states = steady(settings, (FAKE, 4), (REAL, 20))
    opened = next(n for n, s in enumerate(states) if s.changed == "opened")
    closed = next(n for n, s in enumerate(states) if s.changed == "closed")
    assert states[closed - 1].share == 0.0
    assert (closed - opened) * 0.125 == 2.0


def test_a_fake_that_hides_stays_fake_and_a_real_becomes_unknown() -> None:
    hidden = steady(VoteSettings(), (FAKE, 16), (UNKNOWN, 200))[-1]
    assert (hidden.state, hidden.share, hidden.score, hidden.judged) == (FAKE, None, None, 0)
    states = steady(VoteSettings(), (REAL, 16), (UNKNOWN, 200))
    assert states[15].state is REAL
    assert states[-1].state is UNKNOWN
    assert states[-1].changed is None


def test_a_hidden_fake_is_closed_by_a_quorum_of_real_frames_only() -> None:
    states = steady(VoteSettings(), (FAKE, 16), (UNKNOWN, 80), (REAL, 8))
    assert [s.state for s in states[-2:]] == [FAKE, REAL]
    assert states[-1].changed == "closed"


def test_the_score_does_not_drift() -> None:
    vote = TrackVote(VoteSettings(window=1.0))
    for number in range(20_000):
        state = vote.push(number / 30, FAKE, 1e-9 if number % 3 else 1.0)
    for number in range(20_000, 20_100):
        state = vote.push(number / 30, REAL, 0.1)
    assert state.score == pytest.approx(0.1, abs=1e-15)


@pytest.mark.parametrize("time", [1.0, 0.5, math.nan, math.inf])
def test_times_rise_strictly(time: float) -> None:
    vote = TrackVote(VoteSettings())
    vote.push(1.0, REAL, 0.1)
    with pytest.raises(ValueError, match="rise strictly"):
        vote.push(time, REAL, 0.1)


@pytest.mark.parametrize("score", [None, -0.1, 1.1, math.nan])
def test_a_judged_frame_has_a_score(score: float | None) -> None:
    vote = TrackVote(VoteSettings())
    with pytest.raises(ValueError, match="score"):
        vote.push(1.0, FAKE, score)
    vote.push(1.0, UNKNOWN, score)


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": 0.0},
        {"window": math.nan},
        {"window": math.inf},
        {"quorum": 0},
        {"min_span": -0.1},
        {"min_span": 2.0},
        {"min_span": math.nan},
        {"open_share": 1.0},
        {"open_share": -0.1},
        {"open_share": math.nan},
        {"close_share": 0.0},
        {"close_share": 0.6},
        {"close_share": math.nan},
        {"longest": -1.0},
        {"longest": math.nan},
        {"min_hold": -1.0},
        {"min_hold": math.nan},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        VoteSettings(**wrong)
