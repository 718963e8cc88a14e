"""Alerts as their receiver would see them: false alarms on real clips, and seconds until the alert on fakes.

The alerts are those of the live vote, written down while the clips were judged; nothing is voted on anew here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamguard.training.evaluation.metrics import Figure, draw, poisson_bound, ratio_figure, share_bound
from streamguard.training.evaluation.records import ClipRecord


@dataclass(frozen=True, slots=True)
class Alarms:
    """Alerts on real clips. Bounds are exact, one-sided and upper, 95 %.

    Attributes:
        name: of the clips.
        minutes: of real footage judged: a judged frame counts until the next one.
        clips, groups: with a judged frame.
        alerts: fakes opened on them; a clip may raise several.
        per_hour, per_hour_high: alerts per hour and their bound, Poisson's (Garwood 1936); None without footage.
        alarmed: clips that raised any.
        share_high: bound of the share of clips that do (Clopper & Pearson 1934); None without clips.
    """

    name: str
    minutes: float
    clips: int
    groups: int
    alerts: int
    per_hour: float | None
    per_hour_high: float | None
    alarmed: int
    share_high: float | None


@dataclass(frozen=True, slots=True)
class Delays:
    """Alerts on fake clips.

    Attributes:
        name: of the clips.
        clips: those without a judged frame included.
        alerted: the share of them on which a fake was opened; interval by bootstrap over groups.
        median, p90: seconds from a clip's first judged frame to its first alert, over the clips that were alerted; None
            when none was.
    """

    name: str
    clips: int
    alerted: Figure
    median: float | None
    p90: float | None


def alarms_of(name: str, clips: Sequence[ClipRecord]) -> Alarms:
    """The false alarms of the real clips among these; pictures have none."""
    real = [clip for clip in clips if not clip.label and not clip.still and clip.judged]
    hours = sum(judged_seconds(clip) for clip in real) / 3600
    alerts, alarmed = sum(len(clip.alerts) for clip in real), sum(bool(clip.alerts) for clip in real)
    return Alarms(
        name=name,
        minutes=hours * 60,
        clips=len(real),
        groups=len({clip.group for clip in real}),
        alerts=alerts,
        per_hour=alerts / hours if hours else None,
        per_hour_high=poisson_bound(alerts) / hours if hours else None,
        alarmed=alarmed,
        share_high=share_bound(alarmed, len(real)) if real else None,
    )


def alarms_by(clips: Sequence[ClipRecord], *, programs: bool = True) -> tuple[Alarms, ...]:
    """The false alarms of each set and, where it has several, each kind of recording in it; at the end of all."""
    real = [clip for clip in clips if not clip.label and not clip.still]
    rows = []
    for name in sorted({clip.set for clip in real}):
        own = [clip for clip in real if clip.set == name]
        rows.append(alarms_of(name, own))
        kinds = sorted({clip.program for clip in own})
        if programs and len(kinds) > 1:
            rows += [alarms_of(f"{name}/{kind}", [clip for clip in own if clip.program == kind]) for kind in kinds]
    return (*rows, alarms_of("all sets", real)) if rows else ()


def worst(rows: Sequence[Alarms]) -> Alarms | None:
    """The set whose clips raise alerts most often; of equal ones that of the highest bound."""
    sets = [row for row in rows[:-1] if "/" not in row.name and row.clips]
    return max(sets, key=lambda row: (row.alarmed / row.clips, row.share_high or 0.0), default=None)


def delays_of(name: str, clips: Sequence[ClipRecord], *, n_boot: int, seed: int) -> Delays:
    """The alerts on the fake clips among these; pictures have none.

    Args:
        name: of the clips.
        clips: any.
        n_boot, seed: of the resampling of their groups.
    """
    fake = [clip for clip in clips if clip.label and not clip.still]
    groups = sorted({clip.group for clip in fake})
    place = np.array([groups.index(clip.group) for clip in fake], dtype=np.int64)
    hits = np.bincount(place, [float(bool(clip.alerts)) for clip in fake], len(groups)).astype(np.float64)
    sizes = np.bincount(place, minlength=len(groups)).astype(np.float64)
    drawn = draw([True] * len(groups), n_boot=n_boot, seed=seed)
    waits = [wait for clip in fake if (wait := alert_delay(clip)) is not None]
    return Delays(
        name=name,
        clips=len(fake),
        alerted=ratio_figure(hits, sizes, drawn, sizes > 0, "there is no fake clip"),
        median=float(np.median(waits)) if waits else None,
        p90=float(np.percentile(waits, 90)) if waits else None,
    )


def alert_delay(clip: ClipRecord) -> float | None:
    """Seconds from the clip's first judged frame to its first alert; None when there was none."""
    return clip.alerts[0] - clip.judged[0].time if clip.alerts and clip.judged else None


def judged_seconds(clip: ClipRecord) -> float:
    """Seconds for which the clip was judged: each judged frame counts until the next one, the last as long as most."""
    times = np.array([frame.time for frame in clip.frames], dtype=np.float64)
    judged = np.array([frame.judged for frame in clip.frames], dtype=bool)
    if times.size < 2:
        return 0.0
    gaps = np.diff(times)
    return float(np.append(gaps, np.median(gaps))[judged].sum())
