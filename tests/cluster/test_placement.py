"""Rules of placement: nobody moves without need, and loads are even."""

from __future__ import annotations

import time
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streamguard.cluster.placement import SLACK, Sitting, WorkerSeat, balance, place

SEATS = st.lists(
    st.builds(WorkerSeat, st.uuids().map(str), st.sampled_from("abc"), st.floats(0.5, 20), st.integers(1, 30)),
    min_size=1,
    max_size=8,
    unique_by=lambda seat: seat.id,
)


@st.composite
def seated(draw: st.DrawFn) -> tuple[list[WorkerSeat], list[Sitting]]:
    """Workers, and streams of which some have a place."""
    seats = draw(SEATS)
    room = {seat.id: seat.limit for seat in seats}
    sittings = []
    for number in range(draw(st.integers(0, 60))):
        at = draw(st.sampled_from([None, "gone", *room]))
        if at in room:
            room[at] -= 1
            at = at if room[at] >= 0 else None
        sittings.append(Sitting(f"s{number}", draw(st.integers(1, 10)), at))
    return seats, sittings


@given(seated())
def test_who_has_a_place_keeps_it_and_limits_hold(case: tuple[list[WorkerSeat], list[Sitting]]) -> None:
    seats, sittings = case
    limits = {seat.id: seat.limit for seat in seats}
    moves = place(sittings, seats)
    after = {each.stream: moves.get(each.stream, each.at) for each in sittings}
    loads = Counter(at for at in after.values() if at is not None)
    assert all(loads[worker] <= limits[worker] for worker in loads)
    homeless = {each.stream for each in sittings if each.at not in limits}
    displaced = set(moves) - homeless
    assert homeless <= set(moves)
    full = sum(limits.values()) < len(sittings)
    assert full or (not displaced and None not in moves.values())
    if full:
        # Nobody without a place comes before somebody who has one.
        without = [each.priority for each in sittings if after[each.stream] is None]
        assert max(without) <= min(each.priority for each in sittings if after[each.stream] is not None)


@given(seated())
def test_a_plan_that_was_followed_asks_for_nothing_more(case: tuple[list[WorkerSeat], list[Sitting]]) -> None:
    seats, sittings = case
    moves = place(sittings, seats)
    settled = [Sitting(each.stream, each.priority, moves.get(each.stream, each.at)) for each in sittings]
    assert all(at is None for at in place(settled, seats).values())


@given(SEATS, st.integers(0, 60))
def test_from_nothing_loads_follow_capacity(seats: list[WorkerSeat], count: int) -> None:
    roomy = [WorkerSeat(seat.id, "one", seat.capacity, 100) for seat in seats]
    moves = place([Sitting(f"s{n}", 1, None) for n in range(count)], roomy)
    loads = Counter(moves.values())
    fills = {seat.id: loads[seat.id] / seat.capacity for seat in roomy}
    for seat in roomy:
        # One stream less, and it would be among the emptiest.
        assert not loads[seat.id] or (loads[seat.id] - 1) / seat.capacity <= min(fills.values()) + 1e-9


@given(seated())
def test_balance_evens_out_and_comes_to_rest(case: tuple[list[WorkerSeat], list[Sitting]]) -> None:
    seats, sittings = case
    at: dict[str, str | None] = {each.stream: each.at for each in sittings if each.at in {seat.id for seat in seats}}
    limits = {seat.id: seat.limit for seat in seats}
    for _ in range(200):
        moves = balance([Sitting(name, 1, where) for name, where in at.items()], seats, 3)
        assert len(moves) <= 3
        if not moves:
            break
        at.update(moves)
        assert all(count <= limits[worker or ""] for worker, count in Counter(at.values()).items())
    else:
        raise AssertionError("it never comes to rest")


def test_a_new_node_gets_streams_and_a_fixed_stream_stays() -> None:
    seats = [WorkerSeat("a", "r1", 10, 30), WorkerSeat("b", "r2", 10, 30)]
    full = [Sitting(f"s{n}", 1 + (n == 0), "a", fixed=n < 2) for n in range(10)]
    moves = balance(full, seats, 100)
    assert set(moves.values()) == {"b"}
    assert len(moves) in {4, 5}
    assert not {"s0", "s1"} & set(moves)
    assert 0.1 * (10 - 2 * len(moves)) <= SLACK


def test_a_domain_that_is_emptier_comes_first() -> None:
    seats = [WorkerSeat("a1", "a", 10, 30), WorkerSeat("a2", "a", 10, 30), WorkerSeat("b1", "b", 20, 30)]
    moves = place([Sitting(f"s{n}", 1, None) for n in range(20)], seats)
    assert Counter(moves.values()) == {"a1": 5, "a2": 5, "b1": 10}


def test_ten_thousand_streams_are_placed_within_a_tenth_of_a_second() -> None:
    seats = [WorkerSeat(f"w{n}", f"rack{n % 20}", 50.0, 64) for n in range(300)]
    sittings = [Sitting(f"s{n}", 1 + n % 3, None) for n in range(10_000)]
    best = min(_seconds(sittings, seats) for _ in range(3))
    assert best < 0.1


def _seconds(sittings: list[Sitting], seats: list[WorkerSeat]) -> float:
    # Of this process alone: others run beside the tests.
    began = time.process_time()
    moves = place(sittings, seats)
    assert len(moves) == len(sittings)
    return time.process_time() - began
