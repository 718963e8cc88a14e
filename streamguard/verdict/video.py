"""The verdict on a whole file, and when in it the fakes are.

Source of the rule: Preste, deepfake detection by segmentation (a video is fake when more than half of its
frames are). The rule alone hides a short fake in a long file, so the fake intervals stand beside it.
"""

from __future__ import annotations

import enum
import math
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TypeAlias

from streamguard.errors import ConfigError
from streamguard.types import FaceVerdict, Reason, Verdict
from streamguard.verdict.curve import ScoreCurve, ScoreSample
from streamguard.verdict.stream import StreamState

Interval: TypeAlias = tuple[float, float]
"""Media seconds of the first and the last fake frame of a run."""


class Finding(enum.StrEnum):
    """Finding about a file or a face in it, for people: the majority rule and the sliding vote taken together.

    FAKE: most judged frames are. FAKE_IN_PART: most are not, but the sliding vote held a stretch for fake. UNSURE: most
    are fake or show signs too weak to be called fake. NO_SIGN_FOUND: none of these. NOT_JUDGED: nobody knows.
    """

    FAKE = "FAKE"
    FAKE_IN_PART = "FAKE_IN_PART"
    UNSURE = "UNSURE"
    NO_SIGN_FOUND = "NO_SIGN_FOUND"
    NOT_JUDGED = "NOT_JUDGED"

    @property
    def words(self) -> str:
        """Words for people; no face is called real."""
        return "FAKE IN PART" if self is Finding.FAKE_IN_PART else _SAID[self].words

    @property
    def label(self) -> str:
        """The words where space is tight."""
        return "FAKE IN PART" if self is Finding.FAKE_IN_PART else _SAID[self].label


_SAID = {
    Finding.FAKE: Verdict.FAKE,
    Finding.UNSURE: Verdict.UNSURE,
    Finding.NO_SIGN_FOUND: Verdict.REAL,
    Finding.NOT_JUDGED: Verdict.UNKNOWN,
}


def finding(verdict: Verdict, *, in_part: bool) -> Finding:
    """Return the finding for people.

    Args:
        verdict: by the majority rule.
        in_part: the sliding vote held a stretch for fake.
    """
    if in_part and verdict is not Verdict.FAKE:
        return Finding.FAKE_IN_PART
    return next(each for each, said in _SAID.items() if said is verdict)


@dataclass(frozen=True, slots=True)
class TrackSummary:
    """Summary of one track of a file.

    Attributes:
        track: the track id.
        verdict: FAKE if more than half of its judged frames are fake, else UNSURE if more than half are fake or
            unsure, else REAL; UNKNOWN with too few judged.
        share: fake frames among the judged ones, 0..1; None when none was judged.
        judged, fake, unsure, unknown: frames; fake and unsure ones are judged ones too, and no frame is both.
        first, last: media seconds of its first and last frame.
        score: mean calibrated fake probability of its judged frames, 0..1; None when none was judged.
        fake_intervals: when the sliding vote held it for fake.
        finding: what people are told of it.
        unjudged: its frames that were not judged, by reason.
        scores: its score over time.
    """

    track: int
    verdict: Verdict
    share: float | None
    judged: int
    fake: int
    unsure: int
    unknown: int
    first: float
    last: float
    score: float | None
    fake_intervals: tuple[Interval, ...]
    finding: Finding
    unjudged: Mapping[Reason, int]
    scores: tuple[ScoreSample, ...]


@dataclass(frozen=True, slots=True)
class FileVerdict:
    """Verdict on a file.

    Attributes:
        verdict: FAKE if more than half of its judged frames are fake, else UNSURE if more than half are fake or
            unsure, else REAL; UNKNOWN with too few judged.
        share: fake frames among the judged ones, 0..1; None when none was judged.
        frames: frames pushed.
        judged: frames with at least one judged face.
        fake: frames with at least one fake face.
        unsure: frames with at least one unsure face and no fake one.
        score: mean over the judged frames of their highest calibrated score, 0..1; None when none was judged.
        tracks: by first appearance.
        fake_intervals: the tracks' intervals, merged where they overlap or touch, in order.
        contains_fake: the sliding vote opened somewhere, whatever the verdict on the whole.
        finding: what people are told of it.
        faceless: frames without a face.
        unjudged: faces that were not judged, by reason, summed over the frames.
        scores: the highest score of each frame, over time.
    """

    verdict: Verdict
    share: float | None
    frames: int
    judged: int
    fake: int
    unsure: int
    score: float | None
    tracks: tuple[TrackSummary, ...]
    fake_intervals: tuple[Interval, ...]
    contains_fake: bool
    finding: Finding
    faceless: int
    unjudged: Mapping[Reason, int]
    scores: tuple[ScoreSample, ...]


@dataclass(slots=True)
class _Count:
    judged: int = 0
    fake: int = 0
    unsure: int = 0
    score_sum: float = 0.0

    def add(self, states: Set[Verdict], score: float) -> None:
        self.judged += 1
        if Verdict.FAKE in states:
            self.fake += 1
        elif Verdict.UNSURE in states:
            self.unsure += 1
        self.score_sum += score

    @property
    def share(self) -> float | None:
        return self.fake / self.judged if self.judged else None

    @property
    def score(self) -> float | None:
        return self.score_sum / self.judged if self.judged else None

    def verdict(self, min_judged: int) -> Verdict:
        if self.judged < min_judged:
            return Verdict.UNKNOWN
        if 2 * self.fake > self.judged:
            return Verdict.FAKE
        return Verdict.UNSURE if 2 * (self.fake + self.unsure) > self.judged else Verdict.REAL


@dataclass(slots=True)
class _TrackTally:
    first: float
    last: float
    count: _Count = field(default_factory=_Count)
    unjudged: Counter[Reason] = field(default_factory=Counter)
    curve: ScoreCurve = field(default_factory=ScoreCurve)
    unknown: int = 0
    runs: list[Interval] = field(default_factory=list)
    open: Interval | None = None

    def intervals(self) -> tuple[Interval, ...]:
        return merge([*self.runs, self.open] if self.open is not None else self.runs)


class VideoTally:
    """Counts a file's frames. Memory grows with the number of tracks and intervals, not with frames.

    Args:
        min_judged: judged frames below which nothing is said, at least 1.

    Raises:
        ConfigError: `min_judged` below 1.
    """

    def __init__(self, *, min_judged: int = 1) -> None:
        if min_judged < 1:
            raise ConfigError("video tally", f"min_judged {min_judged} is not at least 1", "Choose 1 or more")
        self._min_judged = min_judged
        self._tracks: dict[int, _TrackTally] = {}
        self._count = _Count()
        self._curve = ScoreCurve()
        self._frames = self._faceless = 0
        self._time = -math.inf
        self._opened = False

    @property
    def frames(self) -> int:
        """Frames pushed so far."""
        return self._frames

    def push(self, verdicts: Sequence[FaceVerdict], state: StreamState) -> None:
        """Counts one frame.

        Args:
            verdicts: one for each face in the frame.
            state: what `StreamVote.push` returned for the same frame and verdicts.

        Raises:
            ValueError: the frame's time does not rise.
        """
        if not state.time > self._time:
            raise ValueError(f"frame times rise strictly: {state.time} s came after {self._time} s")
        self._time = state.time
        self._frames += 1
        self._faceless += not verdicts
        self._transitions(state)
        judged = [verdict for verdict in verdicts if verdict.state is not Verdict.UNKNOWN]
        highest = max((verdict.score or 0.0 for verdict in judged), default=None)
        self._curve.push(state.time, highest)
        if highest is not None:
            self._count.add({verdict.state for verdict in judged}, highest)
        for verdict in verdicts:
            self._face(state.time, verdict)

    def result(self) -> FileVerdict:
        """Verdict on the frames pushed so far; an open fake ends at its last fake frame."""
        tracks = tuple(self._summary(number, track) for number, track in self._tracks.items())
        verdict = self._count.verdict(self._min_judged)
        return FileVerdict(
            verdict=verdict,
            share=self._count.share,
            frames=self._frames,
            judged=self._count.judged,
            fake=self._count.fake,
            unsure=self._count.unsure,
            score=self._count.score,
            tracks=tracks,
            fake_intervals=merge([run for track in tracks for run in track.fake_intervals]),
            contains_fake=self._opened,
            finding=finding(verdict, in_part=self._opened),
            faceless=self._faceless,
            unjudged=sum((track.unjudged for track in self._tracks.values()), Counter[Reason]()),
            scores=self._curve.samples(),
        )

    def _summary(self, number: int, track: _TrackTally) -> TrackSummary:
        verdict, intervals = track.count.verdict(self._min_judged), track.intervals()
        return TrackSummary(
            track=number,
            verdict=verdict,
            share=track.count.share,
            judged=track.count.judged,
            fake=track.count.fake,
            unsure=track.count.unsure,
            unknown=track.unknown,
            first=track.first,
            last=track.last,
            score=track.count.score,
            fake_intervals=intervals,
            finding=finding(verdict, in_part=bool(intervals)),
            unjudged=dict(track.unjudged),
            scores=track.curve.samples(),
        )

    def _face(self, time: float, verdict: FaceVerdict) -> None:
        track = self._tracks.setdefault(verdict.face.track, _TrackTally(time, time))
        track.last = time
        if verdict.state is Verdict.UNKNOWN:
            track.unknown += 1
            track.curve.push(time, None)
            if verdict.reason is not None:
                track.unjudged[verdict.reason] += 1
            return
        track.curve.push(time, verdict.score or 0.0)
        track.count.add({verdict.state}, verdict.score or 0.0)
        if verdict.state is Verdict.FAKE and track.open is not None:
            track.open = (track.open[0], time)

    def _transitions(self, state: StreamState) -> None:
        for transition in state.transitions:
            if transition.kind == "opened":
                self._opened = True
                # the vote opens late by half a window: the run began with the window's first fake frame
                window = state.tracks[transition.track].fakes or (transition.time, transition.time)
                track = self._tracks.setdefault(transition.track, _TrackTally(state.time, state.time))
                track.open = window
            elif transition.kind == "closed":
                closing = self._tracks.get(transition.track)
                if closing is not None and closing.open is not None:
                    closing.runs.append(closing.open)
                    closing.open = None


def merge(intervals: Sequence[Interval]) -> tuple[Interval, ...]:
    """The union of intervals, in order, those that overlap or touch made one.

    Args:
        intervals: (start, end) with start <= end, in any order.
    """
    merged: list[Interval] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return tuple(merged)
