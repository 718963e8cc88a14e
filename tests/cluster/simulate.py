"""Faults at full size in simulated time, as a table and a plot: `python -m tests.cluster.simulate --streams 10000`."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from streamguard.files import write_text
from tests.cluster.simulator import BOUND, SimulatedWorker, World
from tests.support.command import run_command

SETTLED = 20.0


@dataclass
class Told:
    """What became of one fault.

    Attributes:
        name: of the fault.
        fell: streams that lost their judge by it.
        gaps: seconds without one.
        moves: streams that changed their worker.
        refused: late events of those who were no longer the owners.
        left: streams without a judge at the end.
        spread: fullest and emptiest worker, for the mean of them.
        seconds: that the computer took.
    """

    name: str
    fell: int
    gaps: list[float]
    moves: int
    refused: int
    left: int
    spread: tuple[float, float]
    seconds: float

    def row(self) -> str:
        """A line of the table."""
        median = f"{statistics.median(self.gaps):.1f} s" if self.gaps else "-"
        worst = f"{max(self.gaps):.1f} s" if self.gaps else "-"
        low, high = self.spread
        return (
            f"| {self.name} | {self.fell} | {self.moves} | {median} | {worst} | {self.refused} | {self.left} | "
            f"{low:.2f} to {high:.2f} |"
        )


HEAD = (
    "| fault | streams that fell | streams moved | median gap | worst gap | late events refused | left over | load, of "
    "the mean |\n|---|---|---|---|---|---|---|---|"
)


def rack_lost(world: World) -> list[SimulatedWorker]:
    """All workers of one rack are gone at once."""
    fallen = [each for each in world.workers if each.domain == "rack3"]
    for worker in fallen:
        worker.kill()
    return fallen


def worker_lost(world: World) -> list[SimulatedWorker]:
    """One worker is gone."""
    world.workers[5].kill()
    return [world.workers[5]]


def paused(world: World) -> list[SimulatedWorker]:
    """Ten workers stand still for a minute, and then go on."""
    for worker in world.workers[20:30]:
        worker.paused = True
        world.at(60.0, worker.go_on)
    return world.workers[20:30]


def parted(world: World) -> list[SimulatedWorker]:
    """A third of the workers cannot reach the database for half a minute."""
    cut = world.workers[: len(world.workers) // 3]
    for worker in cut:
        worker.wire.cut = True
        world.at(30.0, lambda worker=worker: setattr(worker.wire, "cut", False))  # type: ignore[misc]
    return cut


def lossy(world: World) -> list[SimulatedWorker]:
    """A tenth of all messages is lost for a minute, and each takes up to half a second."""
    for worker in world.workers:
        worker.wire.loss, worker.wire.latency = 0.1, 0.5
        world.at(60.0, lambda worker=worker: setattr(worker.wire, "loss", 0.0))  # type: ignore[misc]
    return []


def away(world: World) -> list[SimulatedWorker]:
    """The database is away for a minute."""
    world.database.away = True
    world.at(60.0, lambda: setattr(world.database, "away", False))
    return []


def churn(world: World) -> list[SimulatedWorker]:
    """Each second a worker dies and another comes back, and ten streams come and go, for a minute."""
    for second in range(60):
        number = (37 * second) % len(world.workers)

        def happens(number: int = number, second: int = second) -> None:
            worker = world.workers[number]
            if not worker.dead:
                world.fell([worker])
                worker.kill()
                world.at(20.0, worker.live)
            for each in range(10):
                world.end_stream(f"stream{second * 10 + each}")
                world.add_stream(f"more{second * 10 + each}")

        world.at(float(second), happens)
    return []


def clock_set(world: World) -> list[SimulatedWorker]:
    """The database's clock jumps back by an hour, while a worker dies."""
    world.database.offset -= 3600.0
    return worker_lost(world)


FAULTS: dict[str, tuple[Callable[[World], list[SimulatedWorker]], float]] = {
    "one worker dies": (worker_lost, 30.0),
    "a rack of 15 workers dies": (rack_lost, 30.0),
    "10 workers stand still for a minute": (paused, 75.0),
    "a third of the network is cut off for 30 s": (parted, 60.0),
    "a tenth of all messages lost for a minute": (lossy, 75.0),
    "the database is away for a minute": (away, 75.0),
    "a worker dies each second, 60 times; 600 streams come and go": (churn, 95.0),
    "the database's clock is set back by an hour, and a worker dies": (clock_set, 30.0),
}


def simulated(name: str, workers: int, streams: int) -> Told:
    """One fault in a cluster of its own."""
    fault, lasts = FAULTS[name]
    began = time.process_time()
    world = World.made(1, workers, streams, racks=max(4, workers // 15))
    world.run(SETTLED)
    assert not world.unjudged
    world.gaps, before = [], Counter(world.database.moves)
    refused = world.database.refused
    fell = world.fell(fault(world))
    world.run(lasts)
    left = set(world.unjudged)
    for _ in range(6):
        # Some are on their way to an emptier worker.
        world.run(1.0)
        left &= set(world.unjudged)
    gaps = [gap.seconds for gap in world.gaps]
    loads = world.loads()
    mean = statistics.mean(loads)
    return Told(
        name,
        len(fell) or len(gaps),
        gaps,
        len(world.database.moves - before),
        world.database.refused - refused,
        len(left),
        (min(loads) / mean, max(loads) / mean),
        time.process_time() - began,
    )


def plot(told: list[Told], path: Path) -> None:
    """How soon streams are judged again, as curves."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    for each in told:
        if each.gaps:
            times = sorted(each.gaps)
            axes.step(times, [(n + 1) / len(times) for n in range(len(times))], where="post", label=each.name)
    axes.axvline(BOUND, color="black", linestyle=":", label=f"bound, {BOUND:g} s")
    axes.set(xlabel="seconds without a judge", ylabel="share of the streams concerned", xlim=(0, BOUND + 1))
    axes.legend(fontsize=7, loc="lower right")
    figure.savefig(path, dpi=110, pil_kwargs={"quality": 80})


def main(
    streams: Annotated[int, typer.Option(min=1)] = 10_000,
    workers: Annotated[int, typer.Option(min=12)] = 300,
    table: Annotated[Path | None, typer.Option(help="Where the table goes.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Where the plot goes.")] = None,
) -> None:
    """Simulate every fault; print the table."""
    told = []
    print(HEAD, flush=True)
    for name in FAULTS:
        told.append(simulated(name, workers, streams))
        print(told[-1].row(), f"<!-- {told[-1].seconds:.0f} s -->", flush=True)
    if table is not None:
        write_text(table, "\n".join([HEAD, *(each.row() for each in told)]) + "\n")
    if picture is not None:
        plot(told, picture)


if __name__ == "__main__":
    run_command(main)
