"""The cluster in simulated time, with faults by lot: whose events count, and how long a stream is without a judge."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamguard.cluster.holdings import Holdings
from streamguard.cluster.leases import LeaseTerms, PlanClock, StreamLease, WorkerRow, plan_leases, turn_over
from tests.cluster.simulator import BOUND, World

FAULTS = st.lists(
    st.tuples(
        st.sampled_from(["kill", "pause", "cut", "lossy", "away", "drain", "churn", "clock", "join"]),
        st.integers(0, 5),
        st.floats(0.0, 8.0),
        st.floats(0.5, 20.0),
    ),
    max_size=8,
)


@settings(max_examples=25)
@given(st.integers(0, 2**32), FAULTS)
def test_whatever_happens_no_two_owners_count_and_every_stream_is_judged_again(
    seed: int, faults: list[tuple[str, int, float, float]]
) -> None:
    # `SimulatedDatabase.record` fails where two owners would count.
    world = World.made(seed, workers=6, streams=24, racks=3)
    world.run(BOUND)
    assert world.unjudged == []
    for number, (kind, which, pause, lasts) in enumerate(faults):
        _happen(world, kind, which, lasts, number)
        world.run(pause)
    # All that was broken heals, but for who was told to leave.
    world.run(21.0)
    world.run(BOUND)
    accepted = world.database.accepted.copy()
    # One may be on its way to an emptier worker just now.
    world.run(10.0)
    assert all(world.database.accepted[name] > accepted[name] for name in world.database.leases)


def _happen(world: World, kind: str, which: int, lasts: float, number: int) -> None:
    worker, database = world.workers[which], world.database
    if kind == "kill" and not worker.dead:
        worker.kill()
        world.at(lasts, worker.live)
    elif kind == "pause" and not (worker.dead or worker.paused):
        worker.paused = True
        world.at(lasts, worker.go_on)
    elif kind == "cut":
        worker.wire.cut = True
        world.at(lasts, lambda: setattr(worker.wire, "cut", False))
    elif kind == "lossy":
        worker.wire.loss = worker.wire.latency = 0.5
        world.at(lasts, lambda: setattr(worker.wire, "loss", 0.0))
    elif kind == "away":
        database.away = True
        world.at(lasts, lambda: setattr(database, "away", False))
    elif kind == "drain" and not worker.dead and which:
        # The first one always stays.
        row = database.workers.get(worker.id)
        if row is not None:
            database.workers[worker.id] = replace(row, order="drain")
    elif kind == "churn":
        world.end_stream(f"stream{number}")
        world.add_stream(f"new{number}")
    elif kind == "clock":
        database.offset += (-1) ** number * lasts * 100
    elif kind == "join":
        world.add_worker(f"more{number}/0", f"rack{number % 3}", 10.0)


@pytest.mark.parametrize("fault", ["kill", "pause", "cut"])
def test_a_lost_worker_moves_its_own_streams_and_no_others(fault: str) -> None:
    world = World.made(7, workers=10, streams=100, racks=5)
    world.run(BOUND)
    before, world.gaps = world.database.moves.copy(), []
    worker = world.workers[3]
    fallen = world.fell([worker])
    _happen(world, fault, 3, 60.0, 0)
    world.run(BOUND)
    moved = world.database.moves - before
    assert set(moved) == set(fallen)
    assert set(moved.values()) == {1}
    assert {gap.stream for gap in world.gaps} == set(fallen)
    assert statistics.median(gap.seconds for gap in world.gaps) < 10
    refused = world.database.refused
    world.run(50.0)
    # Cut off or paused, it went on to believe; nothing of it counted.
    assert (world.database.refused > refused) is (fault != "kill")


def test_a_database_that_is_away_for_a_minute_moves_nobody() -> None:
    world = World.made(8, workers=10, streams=100, racks=5)
    world.run(30.0)
    before = world.database.moves.copy()
    world.database.away = True
    world.run(60.0)
    assert world.unjudged == []
    world.database.away = False
    world.run(30.0)
    assert world.database.moves == before
    assert world.unjudged == []


def test_a_worker_that_was_drained_keeps_nothing_and_the_gap_is_short() -> None:
    world = World.made(9, workers=4, streams=40, racks=2)
    world.run(BOUND)
    worker = world.workers[0]
    fallen, world.gaps = world.fell([worker]), []
    world.database.workers[worker.id] = replace(world.database.workers[worker.id], order="drain")
    world.run(BOUND)
    assert worker.judging == {}
    assert len(world.gaps) == len(fallen)
    assert max(gap.seconds for gap in world.gaps) < 6


def test_a_new_worker_takes_its_share() -> None:
    world = World.made(10, workers=3, streams=60, racks=3)
    world.run(BOUND)
    world.add_worker("new/0", "rack9", 30.0)
    world.run(200.0)
    loads = world.loads()
    assert min(loads) >= 10
    assert world.unjudged == []
    before = world.database.moves.copy()
    world.run(120.0)
    assert world.database.moves == before


def test_who_is_without_a_detector_gets_nothing_and_a_later_life_ends_an_earlier_one() -> None:
    terms, now = LeaseTerms(), 100.0
    steady = PlanClock(now - 1, now - 50)
    old = WorkerRow("old", "n/0", "r", 10, now)
    new = WorkerRow("new", "n/0", "r", 20, now)
    blind = WorkerRow("blind", "m/0", "r", 10, now, able=False)
    leases = [StreamLease("s", owner="old", target="old", epoch=4), StreamLease("t", target=None)]
    changes = plan_leases([old, new, blind], leases, steady, now, terms)
    assert changes.lost == ("old",)
    assert {(each.stream, each.owner, each.target) for each in changes.leases} == {
        ("s", None, "new"),
        ("t", None, "new"),
    }
    taken = turn_over("new", changes.leases, {}, now, iter(range(5, 9)).__next__)
    assert Counter(each.owner for each in taken.leases) == {"new": 2}
    assert {each.epoch for each in taken.leases} == {5, 6}


def test_with_nowhere_to_go_a_drained_worker_keeps_its_streams() -> None:
    terms, now = LeaseTerms(), 100.0
    only = WorkerRow("w", "n/0", "r", 10, now, order="drain")
    lease = StreamLease("s", owner="w", target="w", epoch=4)
    sent = StreamLease("p", owner="w", target="w", epoch=5, published=True)
    changes = plan_leases([only], [lease, sent], PlanClock(now - 1, now - 50), now, terms)
    # Whoever sends one to it is to come back by the front door.
    assert {(each.stream, each.owner, each.target) for each in changes.leases} == {("p", "w", None)}


def test_streams_are_forgotten_once_they_are_closed() -> None:
    holdings = Holdings("w", LeaseTerms(), 0.0)
    lease = StreamLease("s", owner="w", target="w", epoch=3)
    assert holdings.learn([lease], 1.0).open == (lease,)
    ending = replace(lease, ending=True, target=None)
    assert holdings.learn([ending], 2.0).close == ("s",)
    assert not holdings.given_up
    holdings.closed("s")
    changes = turn_over("w", [ending], holdings.given_up, 5.0, lambda: 9)
    assert (changes.leases, changes.forgotten) == ((), ("s",))
    assert holdings.learn([], 3.0).open == ()
    assert not holdings.given_up
