"""Figures in words and digits, alike in the terminal and in the report."""

from __future__ import annotations

from streamguard.training.evaluation.alerts import Alerts
from streamguard.training.evaluation.bootstrap import Figure
from streamguard.training.evaluation.records import ClipRecord
from streamguard.training.evaluation.summary import clip_verdict

NONE = "\N{EN DASH}"
DISCLAIMER = (
    "Automated estimate that may be wrong. These figures hold for the clips listed here; "
    "other people, generators, cameras and bit rates can give others."
)


def number(value: float | None, digits: int = 3) -> str:
    """The number, or a dash where there is none."""
    return NONE if value is None else f"{value:.{digits}f}"


def interval(figure: Figure) -> str:
    """The interval as "0.812 to 0.934"; empty where there is none."""
    return "" if figure.low is None or figure.high is None else f"{figure.low:.3f} to {figure.high:.3f}"


def truth(label: bool) -> str:
    """What a clip is."""
    return "fake" if label else "real"


def outcome(clip: ClipRecord) -> str:
    """What the video rule said of a clip: "right", "missed", "false alarm" or "not judged"."""
    verdict = clip_verdict(clip)
    if verdict is None:
        return "not judged"
    if verdict == clip.label:
        return "right"
    return "missed" if clip.label else "false alarm"


def bit_rate(clip: ClipRecord) -> str:
    """The bit rate in kbit/s, or a dash."""
    return NONE if clip.bit_rate is None else f"{clip.bit_rate / 1000:.0f} kbit/s"


def per_hour(alerts: Alerts) -> str:
    """False alarms per hour, or a dash without real footage."""
    return number(alerts.per_hour, 1)


def per_hour_interval(alerts: Alerts) -> str:
    """The interval as "0.0 to 12.3"; empty without real footage."""
    if alerts.per_hour_low is None or alerts.per_hour_high is None:
        return ""
    return f"{alerts.per_hour_low:.1f} to {alerts.per_hour_high:.1f}"


def seconds(value: float | None) -> str:
    """Seconds to a hundredth, or a dash."""
    return NONE if value is None else f"{value:.2f} s"
