"""Mask -> frame verdict -> sliding vote -> opened, updated, closed. Pure: no input or output, no clock."""

from __future__ import annotations

from streamguard.verdict.rule import Calibration, FrameRule, level_above, raw_score, unjudged
from streamguard.verdict.stream import StreamState, StreamVote, Transition
from streamguard.verdict.video import FileVerdict, Interval, TrackSummary, VideoTally
from streamguard.verdict.vote import TrackState, TrackVote, VoteSettings

__all__ = [
    "Calibration",
    "FileVerdict",
    "FrameRule",
    "Interval",
    "StreamState",
    "StreamVote",
    "TrackState",
    "TrackSummary",
    "TrackVote",
    "Transition",
    "VideoTally",
    "VoteSettings",
    "level_above",
    "raw_score",
    "unjudged",
]
