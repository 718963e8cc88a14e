"""The bit rate of an encoder that many viewers share, by what they say they can receive."""

from __future__ import annotations

import math
from collections.abc import Sequence

_LEAST_SHARE, _LEAST = 0.125, 100_000
_SHORT, _BELOW, _RISE = 0.9, 0.9, 1.25


def least_rate(full: int) -> int:
    """The lowest rate an encoder is brought down to, in bits per second: an eighth of the full one, or 100 kbit/s."""
    return min(full, max(_LEAST, round(full * _LEAST_SHARE)))


def next_rate(now: int, full: int, sent: float, limits: Sequence[int | None]) -> int:
    """The rate to go on with: what the slowest quarter of the viewers can take, within bounds.

    Args:
        now: of the encoder, bits per second.
        full: what it has where all is well.
        sent: bits per second that really went out of late.
        limits: for each viewer, the bits per second that it can receive; None where its way is not full.

    Returns:
        `least_rate(full)` to `full`: just below the limit at the slowest quarter where that is well below what is sent;
        a quarter more than now where there is no limit; else as it is.
    """
    slowest = sorted(math.inf if limit is None else limit for limit in limits)[len(limits) // 4 :][:1]
    wanted: float = now
    if not slowest or slowest[0] == math.inf:
        wanted = now * _RISE
    elif slowest[0] < _SHORT * sent:
        wanted = min(now, _BELOW * slowest[0])
    return round(max(least_rate(full), min(wanted, full)))
