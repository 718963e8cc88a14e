"""Repair of presentation timestamps: whatever a source sends, media time rises strictly from 0."""

from __future__ import annotations

import math
from fractions import Fraction

_WRAP = 1 << 33
"""MPEG-TS timestamps are 33 bits of a 90 kHz clock (ISO/IEC 13818-1, 2.4.3.7)."""
_MAX_GAP_SECONDS = 10
_DEFAULT_INTERVAL = Fraction(1, 25)
_LATE_INTERVALS = 4
"""A frame that is late by no more than this is out of order or doubled; beyond, the source's clock was set back."""


class TimestampRepair:
    """Turns one epoch's timestamps into strictly rising media seconds that start at 0.0.

    Variable rate is kept as it is, and regular input comes out exactly, less its first timestamp. A missing
    timestamp advances by one frame interval; so does one that leaps (backward, or forward by more than 10 s), and
    time runs on from there. A doubled or slightly late timestamp is moved just behind its predecessor.

    Args:
        rate: nominal frames per second; None takes the interval observed last.
    """

    def __init__(self, rate: Fraction | float | None = None) -> None:
        self._nominal = 1 / Fraction(rate) if rate is not None and math.isfinite(rate) and rate > 0 else None
        self._observed = _DEFAULT_INTERVAL
        self._offset: Fraction | None = None
        self._last_pts: int | None = None
        # Exact, so that a step is judged by the source's own arithmetic.
        self._last: Fraction | None = None

    @property
    def offset(self) -> Fraction | None:
        """The newest timestamp in seconds less its media time; None before there was one."""
        return self._offset

    def expected(self, pts: int | None, time_base: Fraction | None) -> float | None:
        """The media time that a frame will have as far as can be told before those shown ahead of it; changes nothing.

        Args:
            pts, time_base: as of `repair`.

        Returns:
            None where the timestamp is none that goes on with those before.
        """
        if pts is None or not time_base or self._offset is None or self._last is None:
            return None
        time = pts * Fraction(time_base) - self._offset
        return float(time) if 0 < time - self._last <= self._max_gap else None

    def restart(self) -> None:
        """The next timestamp has nothing to do with those before: time runs on from there by one frame interval."""
        self._offset = self._last_pts = None

    def repair(self, pts: int | None, time_base: Fraction | None) -> float:
        """The media time in seconds of the next frame in presentation order.

        Args:
            pts: presentation timestamp in `time_base` units; None when the source gave none.
            time_base: seconds per unit.
        """
        if pts is None or not time_base or time_base < 0:
            self._last = self._after(self._interval) if self._last is not None else Fraction(0)
        else:
            self._last = self._repair(pts, Fraction(time_base))
            self._last_pts = pts
        return float(self._last)

    def _repair(self, pts: int, time_base: Fraction) -> Fraction:
        stamp = pts * time_base
        if self._last is None:
            self._offset = stamp
            return Fraction(0)
        if self._offset is None:
            return self._rebase(stamp)
        step = stamp - self._offset - self._last
        if step < 0 and self._last_pts is not None and self._last_pts - pts > _WRAP // 2:
            unwrapped = step + _WRAP * time_base
            if 0 < unwrapped <= self._max_gap:
                self._offset -= _WRAP * time_base
                step = unwrapped
        if step > self._max_gap or step < -_LATE_INTERVALS * self._interval:
            return self._rebase(stamp)
        if float(self._last + step) <= float(self._last):
            return self._after(min(Fraction(1, 1000), self._interval / 10))
        self._observed = step
        return self._last + step

    @property
    def _interval(self) -> Fraction:
        return self._nominal or self._observed

    @property
    def _max_gap(self) -> Fraction:
        return max(Fraction(_MAX_GAP_SECONDS), _LATE_INTERVALS * self._interval)

    def _rebase(self, stamp: Fraction) -> Fraction:
        time = self._after(self._interval)
        self._offset = stamp - time
        return time

    def _after(self, step: Fraction) -> Fraction:
        last = self._last or Fraction(0)
        # Beyond a float's resolution a step would not be seen.
        return max(last + step, Fraction(math.nextafter(float(last), math.inf)))
