"""The sliding vote of one track: many frames' verdicts become one that does not flicker.

The majority rule over frames is Preste's video rule, taken over a window of seconds so that it holds for live
video of any rate; separate thresholds to open and to close make it a Schmitt trigger.

How many frames must agree decides how often a verdict is wrong, how long that takes only when it comes. So a stream of
which few frames are judged keeps the quorum and gets a longer window: it reaches back to the last `quorum` frames of
the stream, whether the face was judged in them or not, but no further than `longest`. Wherever `window` holds a quorum
of the stream's frames, nothing is different; a face that is merely out of sight for a while never lengthens it.

UNSURE frames are judged ones that are not fake: they open and close nothing. They decide only what is said of a face
that is not called fake.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Literal

from streamguard.errors import ConfigError
from streamguard.types import Verdict

# scores are summed as integers: a float sum that is added to and taken from for hours drifts
_UNIT = 1 << 53


@dataclass(frozen=True, slots=True)
class VoteSettings:
    """Settings for counting a track's frames.

    Attributes:
        window: seconds; the votes of (now - window, now] count.
        longest: seconds that the window is lengthened to where it holds fewer than `quorum` frames of the stream:
            with 8 and 10 s a face is decided from 0.8 frames per second on. Up to `window`: never.
        quorum: judged frames the window must hold before anything is said, at least 1.
        min_span: seconds between the first and the last of them, so that a burst says nothing.
        open_share: a fake opens when the share of fake frames is strictly greater, 0..1 (1 excluded).
        close_share: a fake closes when the share is strictly smaller; above 0, not above `open_share`.
        min_hold: seconds an opened fake stays open at least.

    Raises:
        ConfigError: a value outside its range.
    """

    window: float = 2.0
    quorum: int = 8
    min_span: float = 0.5
    open_share: float = 0.5
    close_share: float = 0.3
    min_hold: float = 2.0
    longest: float = 10.0

    def __post_init__(self) -> None:
        checks = (
            (math.isfinite(self.window) and self.window > 0, f"window {self.window} s is not above 0"),
            (math.isfinite(self.longest) and self.longest >= 0, f"longest {self.longest} s is not a time"),
            (self.quorum >= 1, f"quorum {self.quorum} is not at least 1"),
            (0 <= self.min_span < self.window, f"min_span {self.min_span} s is not within the window"),
            (0 <= self.open_share < 1, f"open_share {self.open_share} is not in 0..1 (1 excluded)"),
            (
                0 < self.close_share <= self.open_share,
                f"close_share {self.close_share} is not above 0 and at most open_share {self.open_share}",
            ),
            (math.isfinite(self.min_hold) and self.min_hold >= 0, f"min_hold {self.min_hold} s is negative"),
        )
        for right, cause in checks:
            if not right:
                raise ConfigError("vote settings", cause, "Correct the value")


@dataclass(frozen=True, slots=True)
class TrackState:
    """State of the vote on one track after a frame.

    Attributes:
        state: UNKNOWN until a quorum, then FAKE with hysteresis; where not FAKE, UNSURE while `suspect_share` is above
            `open_share`, else REAL.
        share: fake frames among the judged ones of the window, 0..1; None when the window holds none.
        score: mean calibrated fake probability of the window's judged frames, 0..1; None when there are none.
        judged: judged frames in the window.
        changed: what this very frame did to the verdict.
        since: media seconds of the frame that brought the present state.
        fakes: media seconds of the window's first and last fake frame; None when there is none.
        suspect_share: fake and unsure frames among the judged ones, as `share`.
    """

    state: Verdict
    share: float | None
    score: float | None
    judged: int
    changed: Literal["opened", "closed"] | None
    since: float
    fakes: tuple[float, float] | None
    suspect_share: float | None = None


class TrackVote:
    """The vote of one track, fed frame by frame; constant time per frame on average.

    When the judged frames fall below the quorum an open FAKE stays FAKE (a face that hides must not clear
    itself), and what is REAL or UNSURE becomes UNKNOWN.

    Args:
        settings: how frames are counted.
    """

    def __init__(self, settings: VoteSettings) -> None:
        self._settings = settings
        # Frames of the window, newest last: time, and the vote where the face was judged in it.
        self._frames: deque[tuple[float, tuple[Verdict, int] | None]] = deque()
        self._judged: deque[float] = deque()
        self._fakes: deque[float] = deque()
        self._unsure = 0
        self._score_sum = 0
        self._state = Verdict.UNKNOWN
        self._since = 0.0
        self._time: float | None = None

    @property
    def state(self) -> Verdict:
        """The verdict after the last frame."""
        return self._state

    def push(self, time: float, state: Verdict, score: float | None) -> TrackState:
        """Counts one frame and says what the window now holds.

        Args:
            time: media seconds, strictly rising.
            state: the frame's verdict; UNKNOWN does not vote, but time passes.
            score: calibrated fake probability 0..1 of a judged frame; not looked at when UNKNOWN.

        Raises:
            ValueError: a time that is not finite or does not rise, or a judged frame without a score in 0..1.
        """
        if not math.isfinite(time) or (self._time is not None and time <= self._time):
            raise ValueError(f"frame times rise strictly: {time} s came after {self._time} s")
        if state is not Verdict.UNKNOWN and (score is None or not 0.0 <= score <= 1.0):
            raise ValueError(f"a judged frame has a score in 0..1, not {score}")
        if self._time is None:
            self._since = time
        self._time = time
        vote = None
        if state is not Verdict.UNKNOWN and score is not None:
            vote = state, round(score * _UNIT)
            self._judged.append(time)
            self._score_sum += vote[1]
            self._unsure += state is Verdict.UNSURE
            if state is Verdict.FAKE:
                self._fakes.append(time)
        self._frames.append((time, vote))
        self._expire(time)
        return self._decide(time)

    def _expire(self, now: float) -> None:
        frames, settings = self._frames, self._settings
        oldest = now - max(settings.window, settings.longest)
        while frames[0][0] <= oldest or (frames[0][0] <= now - settings.window and len(frames) > settings.quorum):
            _, vote = frames.popleft()
            if vote is not None:
                state, units = vote
                self._judged.popleft()
                self._score_sum -= units
                self._unsure -= state is Verdict.UNSURE
                if state is Verdict.FAKE:
                    self._fakes.popleft()

    def _decide(self, time: float) -> TrackState:
        settings, judged, fake = self._settings, len(self._judged), len(self._fakes)
        share = fake / judged if judged else None
        suspect = (fake + self._unsure) / judged if judged else None
        quorum = judged >= settings.quorum and self._judged[-1] - self._judged[0] >= settings.min_span
        unsure = suspect is not None and suspect > settings.open_share
        not_fake = Verdict.UNSURE if unsure else Verdict.REAL
        before = self._state
        if before is Verdict.FAKE:
            held = time - self._since >= settings.min_hold
            if quorum and share is not None and share < settings.close_share and held:
                self._state = not_fake
        elif not quorum or share is None:
            self._state = Verdict.UNKNOWN
        else:
            self._state = Verdict.FAKE if share > settings.open_share else not_fake
        changed: Literal["opened", "closed"] | None = None
        if self._state is not before:
            self._since = time
            if self._state is Verdict.FAKE:
                changed = "opened"
            elif before is Verdict.FAKE:
                changed = "closed"
        return TrackState(
            state=self._state,
            share=share,
            score=self._score_sum / (judged * _UNIT) if judged else None,
            judged=judged,
            changed=changed,
            since=self._since,
            fakes=(self._fakes[0], self._fakes[-1]) if self._fakes else None,
            suspect_share=suspect,
        )
