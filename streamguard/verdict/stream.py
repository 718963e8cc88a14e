"""The vote of a whole stream: its tracks' votes, and the moments a fake opens, goes on and closes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from streamguard.errors import ConfigError
from streamguard.types import Closing, FaceVerdict, Verdict
from streamguard.verdict.vote import TrackState, TrackVote, VoteSettings


@dataclass(frozen=True, slots=True)
class Transition:
    """Something worth telling about one track.

    Attributes:
        kind: a fake opened, is still open, or closed.
        track: the face's track id.
        time: media seconds.
        share: share of fake frames, 0..1, in the newest window that held judged frames.
        score: mean calibrated fake probability of that window, 0..1.
        cause: why a fake closed; None of the others.
    """

    kind: Literal["opened", "updated", "closed"]
    track: int
    time: float
    share: float
    score: float
    cause: Closing | None = None


@dataclass(frozen=True, slots=True)
class StreamState:
    """State of a stream after a frame.

    Attributes:
        time: media seconds of the frame.
        state: FAKE if any track is FAKE, else UNSURE if any is, else REAL if any is, else UNKNOWN.
        tracks: the state of every track in sight, and of those lost from sight for less than `forget_after`.
        transitions: what this frame brought, in the order it happened.
    """

    time: float
    state: Verdict
    tracks: Mapping[int, TrackState]
    transitions: tuple[Transition, ...]


@dataclass(slots=True)
class _VotedTrack:
    vote: TrackVote
    seen: float
    told: float = 0.0
    share: float = 0.0
    score: float = 0.0


class StreamVote:
    """The votes of one stream's tracks, fed frame by frame.

    Memory is bounded: a track is dropped once it is out of sight for `forget_after`, and when more than
    `max_tracks` are held the longest unseen one goes first (those that are not FAKE before those that are).
    A dropped FAKE closes.

    Args:
        settings: how each track's frames are counted.
        update_every: seconds between two 'updated' transitions of an open track.
        forget_after: seconds out of sight after which a track ends; the same id seen later starts anew.
        hold_lost: those after which a track ends that is FAKE, at least `forget_after`.
        max_tracks: tracks held, faces of the present frame aside.

    Raises:
        ConfigError: a period that is not a finite number above 0, or fewer than one track.
    """

    def __init__(
        self,
        settings: VoteSettings | None = None,
        *,
        update_every: float = 60.0,
        forget_after: float = 5.0,
        hold_lost: float = 12.0,
        max_tracks: int = 256,
    ) -> None:
        for name, value in (("update_every", update_every), ("forget_after", forget_after)):
            if not (math.isfinite(value) and value > 0):
                raise ConfigError("stream vote", f"{name} {value} s is not above 0", "Correct the value")
        if not (math.isfinite(hold_lost) and hold_lost >= forget_after):
            raise ConfigError("stream vote", f"hold_lost {hold_lost} s is below forget_after", "Correct the value")
        if max_tracks < 1:
            raise ConfigError("stream vote", f"max_tracks {max_tracks} is not at least 1", "Correct the value")
        self._settings = settings if settings is not None else VoteSettings()
        self._update_every, self._max_tracks = update_every, max_tracks
        self._forget_after, self._hold_lost = forget_after, hold_lost
        self._tracks: dict[int, _VotedTrack] = {}
        self._time: float | None = None

    def push(self, time: float, verdicts: Sequence[FaceVerdict]) -> StreamState:
        """Counts one frame; tracks that are not in it let time pass without a vote.

        Args:
            time: media seconds, strictly rising until `close_all`.
            verdicts: one for each face in the frame (none when it shows no face).

        Raises:
            ValueError: a time that is not finite or does not rise, two verdicts for one track, or a judged
                face without a score in 0..1. Nothing of such a frame is counted.
        """
        if not math.isfinite(time) or (self._time is not None and time <= self._time):
            raise ValueError(f"frame times rise strictly: {time} s came after {self._time} s")
        present: dict[int, FaceVerdict] = {}
        for verdict in verdicts:
            if verdict.face.track in present:
                raise ValueError(f"track {verdict.face.track} has two verdicts in one frame")
            if verdict.state is not Verdict.UNKNOWN and (verdict.score is None or not 0.0 <= verdict.score <= 1.0):
                raise ValueError(f"a judged face has a score in 0..1, not {verdict.score}")
            present[verdict.face.track] = verdict
        self._time = time

        transitions = self._forget(time, present)
        for number in present:
            if number not in self._tracks:
                self._tracks[number] = _VotedTrack(TrackVote(self._settings), time)
        states = {
            number: self._count(time, number, track, present.get(number), transitions)
            for number, track in self._tracks.items()
        }
        return StreamState(time, _worst(states), states, tuple(transitions))

    def close_all(self, time: float, cause: Closing = Closing.STREAM_ENDED) -> tuple[Transition, ...]:
        """Ends every track, at the end of an epoch or of the stream; the next frame's time may start again.

        Args:
            time: media seconds, not before the last frame.
            cause: of the closings.

        Returns:
            'closed' for every track that was open.

        Raises:
            ValueError: a time that is not finite or lies before the last frame.
        """
        if not math.isfinite(time) or (self._time is not None and time < self._time):
            raise ValueError(f"a stream ends after its last frame: {time} s is before {self._time} s")
        closed: list[Transition] = []
        for number in list(self._tracks):
            self._drop(time, number, closed, cause)
        self._time = None
        return tuple(closed)

    def _count(
        self,
        time: float,
        number: int,
        track: _VotedTrack,
        verdict: FaceVerdict | None,
        transitions: list[Transition],
    ) -> TrackState:
        if verdict is None:
            state = track.vote.push(time, Verdict.UNKNOWN, None)
        else:
            track.seen = time
            state = track.vote.push(time, verdict.state, verdict.score)
        if state.share is not None and state.score is not None:
            track.share, track.score = state.share, state.score
        kind: Literal["opened", "updated", "closed"] | None = state.changed
        if kind is None and state.state is Verdict.FAKE and time - track.told >= self._update_every:
            kind = "updated"
        if kind is not None:
            track.told = time
            cause = Closing.CLEARED if kind == "closed" else None
            transitions.append(Transition(kind, number, time, track.share, track.score, cause))
        return state

    def _forget(self, time: float, present: Mapping[int, FaceVerdict]) -> list[Transition]:
        transitions: list[Transition] = []
        for number in [n for n, track in self._tracks.items() if time - track.seen >= self._longest_away(track)]:
            self._drop(time, number, transitions, Closing.LOST)
        absent = [n for n in self._tracks if n not in present]
        excess = len(absent) + len(present) - self._max_tracks
        if excess > 0:
            absent.sort(
                key=lambda n: (self._tracks[n].vote.state is Verdict.FAKE, self._tracks[n].seen),
            )
            for number in absent[:excess]:
                self._drop(time, number, transitions, Closing.LOST)
        return transitions

    def _longest_away(self, track: _VotedTrack) -> float:
        # The tracker knows a lost face again for ten seconds: until then it may come back under the same alert.
        return self._hold_lost if track.vote.state is Verdict.FAKE else self._forget_after

    def _drop(self, time: float, number: int, transitions: list[Transition], cause: Closing) -> None:
        track = self._tracks.pop(number)
        if track.vote.state is Verdict.FAKE:
            transitions.append(Transition("closed", number, time, track.share, track.score, cause))


def _worst(states: Mapping[int, TrackState]) -> Verdict:
    found = {state.state for state in states.values()}
    for verdict in (Verdict.FAKE, Verdict.UNSURE, Verdict.REAL):
        if verdict in found:
            return verdict
    return Verdict.UNKNOWN
