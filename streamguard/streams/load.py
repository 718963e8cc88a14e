"""Load of the machine and room for one more stream, measured every second while streams are judged."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from streamguard.channel import cancel_and_wait
from streamguard.logs import get_logger
from streamguard.pipeline.capacity import ADMITTED_RATE, LEAST_RATE, Cost, Means, load_share, most_streams, shared_rate
from streamguard.pipeline.cpu_usage import CpuClock, processors
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.measure import first_cost
from streamguard.pipeline.usage import Reading, Usage, UsageMeter
from streamguard.streams.meter import Sampling

log = get_logger("streamguard.load")
_TICK = 1.0
_SHORT = 0.9
"""Share of what is asked for below which a stream comes off short."""
_LASTING = 3
"""Seconds after which a change is worth a line in the log."""


class Judged(Protocol):
    """A stream, as far as the load is concerned."""

    @property
    def state(self) -> str:
        """`up` while pictures come; `ended` and `failed` are final."""
        ...

    @property
    def over(self) -> bool:
        """Return whether it asks for nothing any more."""
        ...

    def sampling(self) -> Sampling:
        """Return the rates of its judged frames."""
        ...


@dataclass(frozen=True, slots=True)
class LoadState:
    """Load of the machine.

    Attributes:
        streams: that are not over.
        overloaded: whether streams are judged less often than asked for, because there is not the time.
        reduced: how many.
        asked, judged: frames per second, of all streams.
        load: share of processors or engine in use, whichever is scarcer, 0 to 1; None before it is measured.
        room: how many more streams fit with `ADMITTED_RATE` for each; None before it is measured.
        usage: what it was made of.
    """

    streams: int
    overloaded: bool
    reduced: int
    asked: float
    judged: float
    load: float | None
    room: int | None
    usage: Usage | None


class LoadMeter:
    """Measures for as long as it runs: `await start()`, later `await aclose()`.

    Args:
        streams: those there are.
        guards: those that judge; they share their turns.
    """

    def __init__(self, streams: Callable[[], Sequence[Judged]], guards: Callable[[], list[Guard]]) -> None:
        self._streams, self._guards = streams, guards
        self._clock = CpuClock()
        self._first: Cost | None = None
        self._meter = UsageMeter(0.0)
        self._task: asyncio.Task[None] | None = None
        self._told, self._changed = False, 0

    async def start(self, *, measure: bool) -> None:
        """Begin.

        Args:
            measure: judge a few crops first, so that there is a cost before the first stream.
        """
        if measure:
            try:
                self._first = await first_cost(self._guards()[0])
            except Exception as error:
                # Detectors may be plugins. What fails here fails in the streams, too, which tell it.
                log.warning("the cost of judging could not be measured", error=str(error))
        self._meter = UsageMeter(self._first.detection if self._first else 0.0, processors(), first=self._first)
        self._task = asyncio.create_task(self._run(), name="load")

    async def aclose(self) -> None:
        """Stop. Safe to call twice."""
        await cancel_and_wait(self._task)

    def state(self) -> LoadState:
        """Return the load now."""
        streams = [stream for stream in self._streams() if not stream.over]
        samplings = [stream.sampling() for stream in streams if stream.state == "up"]
        reduced = sum(each.reduced for each in samplings)
        usage = self._usage(samplings)
        return LoadState(
            streams=len(streams),
            overloaded=reduced > 0,
            reduced=reduced,
            asked=sum(each.asked for each in samplings),
            judged=sum(each.judged for each in samplings),
            load=usage.load if usage else None,
            room=max(0, most_streams(usage.cost, usage.means, ADMITTED_RATE) - len(streams)) if usage else None,
            usage=usage,
        )

    def refusal(self) -> str:
        """Return the reason why one more stream might leave some below `LEAST_RATE`; empty where there is none.

        A server without streams takes one in any case.
        """
        streams = [stream for stream in self._streams() if not stream.over]
        samplings = [stream.sampling() for stream in streams]
        usage = self._usage([each for each, stream in zip(samplings, streams, strict=True) if stream.state == "up"])
        cost, means = (usage.cost, usage.means) if usage else (self._first, Means(processors()))
        if not streams or cost is None:
            return ""
        least = [min(ADMITTED_RATE, each.most or ADMITTED_RATE) for each in samplings] + [ADMITTED_RATE]
        if load_share(cost, means, least) <= 1:
            return ""
        rate = shared_rate(cost, means, least)
        return (
            f"This machine is full: with one more, each of its {len(least)} streams would be judged {rate:.2f} times a "
            f"second; {ADMITTED_RATE:g} are wanted, so that each surely keeps {LEAST_RATE:g}. Measured: "
            f"{means.processors:.2f} processors for judging; a "
            f"stream takes {cost.stream * 1e3:.0f} ms a second to decode, a judged frame "
            f"{(cost.frame + cost.detection) * 1e3:.0f} ms of them and {cost.engine * 1e3:.0f} ms of the engine."
        )

    def _usage(self, samplings: list[Sampling]) -> Usage | None:
        short = any(each.judged < _SHORT * each.asked for each in samplings)
        return self._meter.usage([each.judged for each in samplings], short=short)

    async def _run(self) -> None:
        while True:
            try:
                self._measure()
                self._tell()
            except Exception:
                # Streams are judged on, whatever is known of the load.
                log.exception("the load could not be measured")
            await asyncio.sleep(_TICK)

    def _measure(self) -> None:
        guards = self._guards()
        engine = {guard.model_label: guard.batcher.stats().busy_seconds for guard in guards}
        turns = guards[0].turns
        states = Counter(stream.state for stream in self._streams())
        up, starting = states["up"], states["starting"]
        self._meter.add(Reading(self._clock.read(), turns.done, engine, turns.contended, up, starting))

    def _tell(self) -> None:
        state = self.state()
        self._changed = 0 if state.overloaded == self._told else self._changed + 1
        if self._changed < _LASTING:
            return
        self._told = state.overloaded
        figures = {"asked": round(state.asked, 1), "judged": round(state.judged, 1), "streams": state.streams}
        if state.overloaded:
            log.warning("overloaded: streams are judged less often than asked for", reduced=state.reduced, **figures)
        else:
            log.info("no longer overloaded", **figures)
