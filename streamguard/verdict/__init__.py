"""Mask -> frame verdict -> sliding vote -> opened, updated, closed. Pure: no input or output, no clock."""

from __future__ import annotations

from streamguard.verdict.curve import ScoreSample
from streamguard.verdict.incidents import IncidentBook, PastIncident
from streamguard.verdict.rule import FrameRule, ScoreCalibration, level_above, raw_score, unjudged
from streamguard.verdict.stream import StreamState, StreamVote, Transition
from streamguard.verdict.video import FileVerdict, Finding, Interval, TrackSummary, VideoTally, finding
from streamguard.verdict.vote import TrackState, TrackVote, VoteSettings

__all__ = [
    "FileVerdict",
    "Finding",
    "FrameRule",
    "IncidentBook",
    "Interval",
    "PastIncident",
    "ScoreCalibration",
    "ScoreSample",
    "StreamState",
    "StreamVote",
    "TrackState",
    "TrackSummary",
    "TrackVote",
    "Transition",
    "VideoTally",
    "VoteSettings",
    "finding",
    "level_above",
    "raw_score",
    "unjudged",
]
