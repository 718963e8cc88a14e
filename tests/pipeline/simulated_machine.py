"""A machine on which streams are judged, as far as its counters tell: with what it costs to begin one."""

from __future__ import annotations

from dataclasses import dataclass, field

from streamguard.pipeline.capacity import Cost, Means, detections, load_share, shared_rate
from streamguard.pipeline.cpu_usage import CpuReading
from streamguard.pipeline.usage import Reading
from streamguard.streams.meter import Sampling

FPS = 25.0
BEGINNING = 2
"""Seconds in which a stream's source is opened and its networks are loaded."""


@dataclass
class SimulatedStream:
    """A stream that asks for `most` frames a second, None for all."""

    most: float | None
    age: int = 0
    judged: float = 0.0
    over: bool = False

    @property
    def state(self) -> str:
        """As of a live stream."""
        return "up" if self.age else "starting"

    @property
    def asked(self) -> float:
        """Frames per second."""
        return min(FPS, self.most or FPS)

    def sampling(self) -> Sampling:
        """As a meter tells it."""
        return Sampling(self.most, self.asked, self.judged, reduced=False)


@dataclass
class SimulatedMachine:
    """Counters that go on by a second with each `step`.

    Attributes:
        processors: of the machine.
        cost: true cost of judging.
        base: processors that the server takes for itself.
        others: processors that other programs take.
        beginning: processors that a stream takes while it begins, beside what it takes anyway.
        jostle: share of the time in which a stream waits for another one's frame although there is time for all.
    """

    processors: float
    cost: Cost
    base: float = 0.0
    others: float = 0.0
    beginning: float = 0.0
    jostle: float = 0.0
    streams: list[SimulatedStream] = field(default_factory=list)
    now: float = 0.0
    used: float = 0.0
    decoding: float = 0.0
    idle: float = 0.0
    done: float = 0.0
    busy: float = 0.0
    contended: float = 0.0

    @property
    def means(self) -> Means:
        """What there is for judging."""
        return Means(max(1e-6, self.processors - self.base - self.others))

    def reading(self) -> Reading:
        """The counters now."""
        cpu = CpuReading(self.now, self.used, self.decoding, 0.0, self.idle)
        starting = sum(each.state == "starting" for each in self.streams)
        up = len(self.streams) - starting
        return Reading(cpu, int(self.done), {"m@1": self.busy}, self.contended, up, starting)

    def step(self) -> Reading:
        """One second later."""
        up = [each for each in self.streams if each.state == "up"]
        beginning = [each for each in self.streams if each.age < BEGINNING]
        most = shared_rate(self.cost, self.means, [each.asked for each in up])
        rates = [min(most, each.asked) for each in up]
        for each, rate in zip(up, rates, strict=True):
            # Hardly anything is judged until the networks are there.
            each.judged = rate if each not in beginning else 0.2 * rate
        rates = [each.judged for each in up]
        decoding = self.cost.stream * len(up)
        frames = sum(rates) * self.cost.frame + sum(map(detections, rates)) * self.cost.detection
        used = min(self.processors - self.others, self.base + decoding + frames + self.beginning * len(beginning))
        full = load_share(self.cost, self.means, [each.asked for each in up]) > 1 if up else False
        self.used += used
        self.decoding += decoding
        self.idle += max(0.0, self.processors - self.others - used)
        self.done += sum(rates)
        self.busy += min(1.0, sum(rates) * self.cost.engine)
        self.contended += 1.0 if full or (beginning and up) else self.jostle
        self.now += 1.0
        for each in self.streams:
            each.age += 1
        return self.reading()
