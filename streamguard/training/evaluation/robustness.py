"""What is left of the figures when the clips are compressed or made smaller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streamguard.training.evaluation.alerts import Alerts, alerts_of
from streamguard.training.evaluation.bootstrap import Figure, Resamples, auc_figure, draw, ratio_figure
from streamguard.training.evaluation.records import ClipRecord, Evaluation
from streamguard.training.evaluation.summary import N_BOOT, frame_scores


@dataclass(frozen=True, slots=True)
class SentFigures:
    """The figures of the clips as they were sent in one way, or as they are.

    Attributes:
        clips, frames, judged: how much took part.
        auc: of frames.
        recall: share of the judged fake frames that were called fake.
        false_positives: share of the judged real frames that were called fake.
        alerts: of the live vote.
    """

    clips: int
    frames: int
    judged: int
    auc: Figure
    recall: Figure
    false_positives: Figure
    alerts: Alerts


@dataclass(frozen=True, slots=True)
class Condition:
    """One way of sending and what it costs.

    Attributes:
        name: as asked for: `250k`, `360p`, `q50`.
        height, bit_rate, quality: lines of the shorter side, bits per second, JPEG quality; None where untouched.
        reached: median bits per second over the clips, of H.264; None for JPEG.
        too_small: clips that were not larger than asked and so were left out.
        sent: the figures.
        as_they_are: the figures of the same clips unsent: what `sent` is to be compared with.
    """

    name: str
    height: int | None
    bit_rate: int | None
    quality: int | None
    reached: float | None
    too_small: int
    sent: SentFigures
    as_they_are: SentFigures


def condition(
    name: str,
    asked: tuple[int | None, int | None, int | None],
    base: Evaluation,
    sent: Evaluation,
    *,
    n_boot: int = N_BOOT,
    seed: int = 0,
) -> Condition:
    """One condition's figures beside those of the same clips as they are.

    Args:
        name: see `Condition`.
        asked: its height, bit rate and quality.
        base, sent: the same detector over the clips as they are, and over those of them that were sent.
        n_boot, seed: of the resampling.
    """
    height, bit_rate, quality = asked
    names = {clip.name for clip in sent.clips}
    rates = [clip.bit_rate for clip in sent.clips if clip.bit_rate is not None]
    return Condition(
        name=name,
        height=height,
        bit_rate=bit_rate,
        quality=quality,
        reached=float(np.median(rates)) if rates else None,
        too_small=sum(height is not None and min(clip.width, clip.height) <= height for clip in base.clips),
        sent=sent_figures(sent.clips, n_boot=n_boot, seed=seed),
        as_they_are=sent_figures([clip for clip in base.clips if clip.name in names], n_boot=n_boot, seed=seed),
    )


def sent_figures(clips: Sequence[ClipRecord], *, n_boot: int = N_BOOT, seed: int = 0) -> SentFigures:
    """The figures of these clips; arguments as `condition`."""
    drawn = draw([clip.label for clip in clips], n_boot=n_boot, seed=seed)
    return SentFigures(
        clips=len(clips),
        frames=sum(len(clip.frames) for clip in clips),
        judged=sum(frame.judged for clip in clips for frame in clip.frames),
        auc=auc_figure([frame_scores(clip) for clip in clips], drawn),
        recall=_share(clips, drawn, fake=True),
        false_positives=_share(clips, drawn, fake=False),
        alerts=alerts_of(clips, n_boot=n_boot, seed=seed),
    )


def _share(clips: Sequence[ClipRecord], drawn: Resamples, *, fake: bool) -> Figure:
    """Share of the judged fake (or real) frames that were called fake."""
    verdicts = [[bool(frame.fake) for frame in clip.frames if frame.judged and frame.label is fake] for clip in clips]
    said = np.array([sum(each) for each in verdicts], dtype=np.float64)
    size = np.array([len(each) for each in verdicts], dtype=np.float64)
    return ratio_figure(said, size, drawn, size > 0, f"nothing {'fake' if fake else 'real'} was judged")
