"""Streams take turns, each with its share."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamguard.inference.fair_queue import FairQueue


def filled(shares: dict[str, int], items: int) -> FairQueue[str]:
    """A queue with so many items of each stream."""
    queue: FairQueue[str] = FairQueue()
    for _ in range(items):
        for stream, share in shares.items():
            queue.put(stream, stream, share)
    return queue


def test_a_share_of_two_is_taken_twice_as_often() -> None:
    queue = filled({"a": 1, "b": 2, "c": 1}, 20)
    assert "".join(queue.take(8)) == "abbcabbc"
    assert Counter(queue.take(20)) == {"a": 5, "b": 10, "c": 5}


def test_a_share_may_change_and_is_forgotten() -> None:
    queue = filled({"a": 5, "b": 1}, 3)
    assert "".join(queue.take(6)) == "aaabbb"
    queue.put("a", "a")
    queue.put("a", "a")
    queue.put("b", "b")
    assert "".join(queue.take(3)) == "aba"
    assert queue.remove("a", "a") is False


@given(st.dictionaries(st.sampled_from("abcd"), st.integers(1, 4), min_size=1), st.integers(1, 7), st.integers(1, 9))
def test_nothing_is_lost(shares: dict[str, int], items: int, batch: int) -> None:
    queue, taken = filled(shares, items), []
    while queue:
        found = queue.take(batch)
        assert 0 < len(found) <= batch
        taken += found
    assert Counter(taken) == dict.fromkeys(shares, items)
