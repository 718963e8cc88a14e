"""The whole product on this very machine, with three times as many streams as fit."""

from __future__ import annotations

import pytest

from tests.benchmarks.overload import TIMES, overload, show


@pytest.mark.long
async def test_three_times_as_many_streams_as_fit() -> None:
    found = await overload("unet_lite0", None, seconds=30.0)
    show(found)
    assert found.streams >= TIMES * found.fit
    assert found.fairness >= 0.95
    assert found.health["status"] == "overloaded"
    # Nobody is queued behind all the others.
    assert max(found.latencies) < 2000
    assert found.refused_at is not None
    assert found.refused_at > found.streams
    assert "surely keeps 1." in found.refusal
    assert "Retry-After: 30" in found.refusal
