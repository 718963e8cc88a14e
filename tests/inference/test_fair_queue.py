"""Streams take turns."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamguard.inference.fair_queue import FairQueue


def filled(counts: dict[str, int]) -> FairQueue[str]:
    """A queue with so many items of each stream."""
    queue: FairQueue[str] = FairQueue()
    for stream, count in counts.items():
        for _ in range(count):
            queue.put(stream, stream)
    return queue


def test_one_of_each_stream_and_turn() -> None:
    queue = filled({"a": 4, "b": 1, "c": 2})
    assert "".join(queue.take(4)) == "abca"
    # The next call goes on where the last one stopped.
    assert "".join(queue.take(4)) == "caa"
    assert queue.remove("a", "a") is False


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 7), min_size=1), st.integers(1, 9))
def test_nothing_is_lost(counts: dict[str, int], batch: int) -> None:
    queue, taken = filled(counts), []
    while queue:
        found = queue.take(batch)
        assert 0 < len(found) <= batch
        taken += found
    assert Counter(taken) == counts
