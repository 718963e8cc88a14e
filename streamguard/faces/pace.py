"""Pace of the face detector on a live stream: slower where there is no time for all frames."""

from __future__ import annotations

_BUSY, _IDLE = 0.2, 0.05
_MOST = 3
LONGEST = 0.75
"""Seconds after which it runs in any case: half of what a track is remembered without being detected again."""
WHOLE = 1.5
"""Seconds after which it looks at the whole picture, for people who have come in."""
WHILE_MOVING = 0.25
"""Seconds after which it runs where a face moves: flow over longer steps loses it."""


def next_pace(every: int, least: int, judged: int, missed: int) -> int:
    """The k of the next round, where the detector runs on every k-th judged frame.

    One more where more than a fifth of the frames had to be left out, one less where hardly any were. Never below
    `least`, never above three times that.

    Args:
        every: k of the last round, at least 1.
        least: k without load, at least 1.
        judged: frames judged in the last round.
        missed: frames left out in it because newer ones had come.
    """
    share = missed / (judged + missed) if judged + missed else 0.0
    step = 1 if share > _BUSY else -1 if share < _IDLE else 0
    return max(least, min(every + step, _MOST * least))
