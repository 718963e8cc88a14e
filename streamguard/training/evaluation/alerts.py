"""What a person who is warned would live through: seconds until the alert, and false alarms per hour.

The alerts are those of the live vote, written down while the clips were judged; nothing is voted on anew here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamguard.training.evaluation.bootstrap import Figure, draw, ratio_figure
from streamguard.training.evaluation.records import ClipRecord

_CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Alerts:
    """Alerts on real and on fake clips.

    Attributes:
        real_clips: real clips with a judged frame.
        real_hours: hours of real footage judged: a judged frame counts until the next one.
        false_alarms: fakes opened on real clips; a clip may raise several.
        per_hour, per_hour_low, per_hour_high: false alarms per hour with their exact 95 % Poisson interval (Garwood
            1936); None without real footage.
        fake_clips: fake clips, those without a judged frame included.
        alerted: the share of them on which a fake was opened, with its interval.
        never: how many of them raised no alert at all; they take no part in the delays.
        delay_median, delay_p90: seconds from a fake clip's first judged frame to its first alert, over the clips that
            were alerted; None when none was.
    """

    real_clips: int
    real_hours: float
    false_alarms: int
    per_hour: float | None
    per_hour_low: float | None
    per_hour_high: float | None
    fake_clips: int
    alerted: Figure
    never: int
    delay_median: float | None
    delay_p90: float | None


def alerts_of(clips: Sequence[ClipRecord], *, n_boot: int, seed: int) -> Alerts:
    """The alert figures of these clips.

    Args:
        clips: real and fake ones.
        n_boot, seed: of the resampling of the fake clips.
    """
    real = [clip for clip in clips if not clip.label and any(frame.judged for frame in clip.frames)]
    fake = [clip for clip in clips if clip.label]
    hours = sum(judged_seconds(clip) for clip in real) / 3600
    alarms = sum(len(clip.alerts) for clip in real)
    low, high = poisson_interval(alarms)
    delays = [delay for clip in fake if (delay := alert_delay(clip)) is not None]
    hit = np.array([float(bool(clip.alerts)) for clip in fake])
    drawn = draw([True] * len(fake), n_boot=n_boot, seed=seed)
    present = np.ones(len(fake), dtype=bool)
    return Alerts(
        real_clips=len(real),
        real_hours=hours,
        false_alarms=alarms,
        per_hour=alarms / hours if hours else None,
        per_hour_low=low / hours if hours else None,
        per_hour_high=high / hours if hours else None,
        fake_clips=len(fake),
        alerted=ratio_figure(hit, np.ones(len(fake)), drawn, present, "there is no fake clip"),
        never=len(fake) - sum(bool(clip.alerts) for clip in fake),
        delay_median=float(np.median(delays)) if delays else None,
        delay_p90=float(np.percentile(delays, 90)) if delays else None,
    )


def alert_delay(clip: ClipRecord) -> float | None:
    """Seconds from the clip's first judged frame to its first alert; None when there was none."""
    first = next((frame.time for frame in clip.frames if frame.judged), None)
    return clip.alerts[0] - first if clip.alerts and first is not None else None


def judged_seconds(clip: ClipRecord) -> float:
    """How long the clip was judged: each judged frame counts until the next frame, the last as long as most do."""
    times = np.array([frame.time for frame in clip.frames], dtype=np.float64)
    judged = np.array([frame.judged for frame in clip.frames], dtype=bool)
    if times.size < 2:
        return 0.0
    gaps = np.diff(times)
    return float(np.append(gaps, np.median(gaps))[judged].sum())


def poisson_interval(count: int, confidence: float = _CONFIDENCE) -> tuple[float, float]:
    """Exact limits of the mean of a Poisson variable seen once (Garwood 1936).

    The lower limit is the mean under which `count` or more are just too rare, the upper one that under which `count`
    or fewer are; both are found by bisection of the exact sum.

    Args:
        count: events, at least 0.
        confidence: above 0 and below 1.
    """
    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else _mean_where(count - 1, 1 - tail)
    return low, _mean_where(count, tail)


def _mean_where(count: int, chance: float) -> float:
    """The mean under which `count` events or fewer have this chance; the chance falls as the mean rises."""
    counts = np.arange(count + 1)
    # In logarithms: neither the power nor the factorial of a large count fits a float.
    factorials = np.array([math.lgamma(each + 1) for each in counts])
    low, high = 0.0, 10.0 + 2 * count + 10 * math.sqrt(count + 1)
    for _ in range(60):
        middle = (low + high) / 2
        at_most = float(np.exp(counts * math.log(middle) - middle - factorials).sum())
        low, high = (middle, high) if at_most > chance else (low, middle)
    return (low + high) / 2
