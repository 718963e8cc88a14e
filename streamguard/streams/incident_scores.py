"""The score over time of an incident while it is open: about one sample a second, bounded."""

from __future__ import annotations

from streamguard.alerts import Sample, Samples
from streamguard.alerts.incident_rows import MOST_SAMPLES, joined, thinned


class ScoreSeries:
    """Samples since an incident opened. Where there are too many, they are joined in pairs, then and from then on."""

    def __init__(self) -> None:
        self._samples: list[Sample] = []
        self._step = 1.0

    def add(self, frame: Sample) -> None:
        """Count one judged frame."""
        last = self._samples[-1] if self._samples else None
        if last is not None and last.epoch == frame.epoch and 0 <= frame.time - last.time < self._step:
            self._samples[-1] = joined(last, frame)
            return
        self._samples.append(frame)
        if len(self._samples) > MOST_SAMPLES:
            self._samples = list(thinned(self._samples, MOST_SAMPLES))
            self._step *= 2

    def samples(self) -> Samples:
        """Return the samples, oldest first."""
        return tuple(self._samples)
