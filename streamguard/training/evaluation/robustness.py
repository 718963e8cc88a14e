"""Robustness: the figures when the clips are compressed or made smaller."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streamguard.training.evaluation.alerts import Alarms, Delays, alarms_by, delays_of
from streamguard.training.evaluation.records import Evaluation
from streamguard.training.evaluation.summary import ALL, N_BOOT, SummaryRow, rows_of
from streamguard.training.sending import Sending


@dataclass(frozen=True, slots=True)
class Condition:
    """One way of sending and what it costs.

    Attributes:
        sending: as asked for.
        reached: median bits per second over the clips, of H.264; None for JPEG.
        too_small: clips that were not larger than asked and so were left out.
        rows: the figures of each set, and of all at the end; none where no clip could be sent so.
        as_they_are: the same of the same clips unsent: what `rows` are to be compared with.
        alarms: on real clips, by set; all at the end.
        delays: on all fake clips.
    """

    sending: Sending
    reached: float | None
    too_small: int
    rows: tuple[SummaryRow, ...]
    as_they_are: tuple[SummaryRow, ...]
    alarms: tuple[Alarms, ...]
    delays: Delays


def condition(
    sending: Sending, base: Evaluation, sent: Evaluation, *, n_boot: int = N_BOOT, seed: int = 0
) -> Condition:
    """One condition's figures beside those of the same clips as they are.

    Args:
        sending: see `Condition`.
        base, sent: the same detector over the clips as they are, and over those of them that were sent.
        n_boot, seed: of the resampling.
    """
    names = {clip.name for clip in sent.clips}
    rates = [clip.bit_rate for clip in sent.clips if clip.bit_rate is not None]
    clips = [clip for clip in base.clips if not clip.still]
    unsent = [clip for clip in clips if clip.name in names]
    return Condition(
        sending=sending,
        reached=float(np.median(rates)) if rates else None,
        too_small=sum(sending.size(clip.width, clip.height) is None for clip in clips),
        rows=rows_of(sent.clips, programs=False, n_boot=n_boot, seed=seed),
        as_they_are=rows_of(unsent, programs=False, n_boot=n_boot, seed=seed),
        alarms=alarms_by(sent.clips, programs=False),
        delays=delays_of(ALL, sent.clips, n_boot=n_boot, seed=seed),
    )
