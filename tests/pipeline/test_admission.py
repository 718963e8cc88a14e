"""Admission on simulated machines: no stream is refused where there is room, and none let in where there is not."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from streamguard.pipeline.capacity import ADMITTED_RATE, Cost, load_share
from streamguard.pipeline.usage import UsageMeter
from streamguard.streams.load import LoadMeter
from tests.pipeline.simulated_machine import SimulatedMachine, SimulatedStream

MILLI = 1e-3
machines = st.builds(
    SimulatedMachine,
    processors=st.sampled_from([1.0, 2.0, 4.0, 16.0]),
    cost=st.builds(
        Cost,
        stream=st.floats(5 * MILLI, 60 * MILLI),
        frame=st.floats(5 * MILLI, 80 * MILLI),
        detection=st.floats(1 * MILLI, 20 * MILLI),
        engine=st.floats(1 * MILLI, 30 * MILLI),
    ),
    base=st.floats(0, 0.1),
    others=st.floats(0, 0.5),
    beginning=st.floats(0, 1.5),
    jostle=st.floats(0, 1),
)
arrivals = st.lists(st.tuples(st.integers(0, 12), st.sampled_from([None, 0.5, 2.0, 5.0, 10.0])), max_size=14)


def metered(machine: SimulatedMachine) -> LoadMeter:
    """A meter that knows what it has measured at the start, and five quiet seconds."""
    meter = LoadMeter(lambda: machine.streams, list)
    cost = machine.cost
    meter._first = Cost(0.0, cost.frame, cost.detection, cost.engine)
    meter._meter = UsageMeter(cost.detection, machine.processors, first=meter._first)
    meter._meter.add(machine.reading())
    passes(machine, meter, 5)
    return meter


def passes(machine: SimulatedMachine, meter: LoadMeter, seconds: int) -> None:
    """So much time."""
    for _ in range(seconds):
        meter._meter.add(machine.step())
        meter.state()


def true_load(machine: SimulatedMachine) -> float:
    """Of the machine with one stream more, each judged as often as is promised to it."""
    rates = [min(ADMITTED_RATE, each.most or ADMITTED_RATE) for each in machine.streams]
    return load_share(machine.cost, machine.means, [*rates, ADMITTED_RATE])


@settings(max_examples=40)
@given(machines, arrivals)
def test_nobody_is_refused_where_there_is_room(
    machine: SimulatedMachine, arrivals: list[tuple[int, float | None]]
) -> None:
    meter = metered(machine)
    for pause, most in arrivals:
        passes(machine, meter, pause)
        if true_load(machine) > 0.7:
            break
        assert not meter.refusal()
        machine.streams.append(SimulatedStream(most))


@settings(max_examples=40)
@given(machines, st.sampled_from([None, 2.0, 5.0]))
def test_nobody_is_let_in_where_there_is_none(machine: SimulatedMachine, most: float | None) -> None:
    meter = metered(machine)
    while true_load(machine) < 1.3 and len(machine.streams) < 60:
        machine.streams.append(SimulatedStream(most))
    passes(machine, meter, 20)
    if true_load(machine) >= 1.3:
        assert meter.refusal()


def test_two_limited_streams_and_several_more_added_quickly() -> None:
    """Two whose frames fall due at the same moments wait for each other all the time, and keep nobody from the rest."""
    machine = SimulatedMachine(2.0, Cost(0.01, 0.006, 0.004, 0.003), beginning=0.3, jostle=1.0)
    meter = metered(machine)
    for _ in range(2):
        machine.streams.append(SimulatedStream(5.0))
    passes(machine, meter, 15)
    for _ in range(10):
        assert not meter.refusal()
        machine.streams.append(SimulatedStream(5.0))


def test_streams_that_come_and_go_all_the_time_are_reckoned_all_the_same() -> None:
    machine = SimulatedMachine(2.0, Cost(0.02, 0.2, 0.01, 0.01))
    meter = metered(machine)
    for number in range(100):
        machine.streams = [SimulatedStream(None, age=9) for _ in range(9 + number % 2)]
        passes(machine, meter, 2)
    assert meter.refusal()
