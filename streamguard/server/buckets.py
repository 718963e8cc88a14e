"""Histograms as Prometheus writes them."""

from __future__ import annotations

from collections.abc import Iterable


def cumulated(limits: Iterable[float], counts: Iterable[int]) -> list[tuple[str, float]]:
    """Prometheus' buckets: each holds those below it, too; the last one has no limit.

    Args:
        limits: upper limits, rising.
        counts: how many fell into each, and beyond the last: one more than the limits.
    """
    total, buckets = 0, []
    for limit, count in zip((*(f"{each:g}" for each in limits), "+Inf"), counts, strict=True):
        total += count
        buckets.append((limit, float(total)))
    return buckets
