"""A soak from its plan to its report."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from streamguard.errors import SourceTimeout
from streamguard.pipeline.guard import Guard
from streamguard.server.app import Server, serving
from tests.soak import report as reports
from tests.soak.alerts import AlertBook
from tests.soak.breaker import Breaker
from tests.soak.faults import Fault, Scene, chosen
from tests.soak.ledger import FaultRecord, Ledger
from tests.soak.measure import Growth, Held, held
from tests.soak.receiver import Receiver
from tests.soak.sources import GeneratedSource, Source
from tests.soak.stage import Plan, breakable_guard, config_of, made, material_of, sources_of

_TICK = 0.5
_SERIES = 180
"""Moments whose memory is told."""
_START = 120.0
"""Seconds within which every stream must have been judged for the first time."""
_LAST = 5.0
"""Seconds that the last messages have where the run is cut short."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is.

    Attributes:
        phase: what is done now.
        seconds: passed since the first fault could come.
        fault: what is broken now; empty where nothing is.
        faults: until now.
    """

    phase: str
    seconds: float = 0.0
    fault: str = ""
    faults: int = 0


async def soak(plan: Plan, folder: Path, tell: Callable[[Progress], None]) -> reports.SoakReport:
    """Watch the streams, break things, and say what was lost.

    Cancelling it ends it early, with the report of what there was.

    Args:
        plan: what and how.
        folder: an empty folder for clips, alerts and evidence.
        tell: called on the loop about twice a second; must be quick.

    Raises:
        ConfigError: a fault of an unknown name, or one that no stream allows for.
        StreamguardError: the server cannot be started, or a stream is not there to begin with.
    """
    kinds = chosen(plan.faults)
    async with AsyncExitStack() as stack:
        if not plan.urls:
            tell(Progress("making the clips"))
            await made(material_of(plan), folder)
        tell(Progress("starting"))
        sources = [await stack.enter_async_context(source) for source in sources_of(plan, folder)]
        receiver = await stack.enter_async_context(Receiver())
        breaker = Breaker()
        guard = await stack.enter_async_context(await asyncio.to_thread(breakable_guard, plan, breaker))
        server = await stack.enter_async_context(serving(config_of(plan, sources, receiver, folder), guard))
        assert server.hub.desk is not None
        assert server.hub.desk.evidence is not None
        scene = Scene(breaker, guard.engine.name, receiver, server.hub.desk.evidence)
        return await _Soak(plan, kinds, sources, server, guard, scene, tell).run()


class _Soak:
    def __init__(
        self,
        plan: Plan,
        kinds: Sequence[Fault],
        sources: Sequence[Source],
        server: Server,
        guard: Guard,
        scene: Scene,
        tell: Callable[[Progress], None],
    ) -> None:
        self._plan, self._sources, self._server, self._guard = plan, sources, server, guard
        self._scene, self._tell = scene, tell
        self._kinds = [kind for kind in kinds if any(kind.possible(source) for source in sources)]
        self._random = random.Random(plan.seed)
        self._ledger, self._growth = Ledger(), Growth()
        self._alerts = AlertBook(server, scene.receiver)
        self._faults: list[FaultRecord] = []
        self._series: list[tuple[float, Held]] = []
        self._broken = ""
        self._began, self._before = time.monotonic(), (0, 0, 0)

    async def run(self) -> reports.SoakReport:
        for source in self._sources:
            stream = self._server.hub.find(source.name)
            stream.reports.listen(self._ledger.follow(source.name, source.age))
        sampling: asyncio.Task[None] | None = None
        interrupted = False
        try:
            await self._until_judged()
            self._began, self._before = time.monotonic(), self._counts()
            sampling = asyncio.create_task(self._sample(), name="soak samples")
            await self._break_things()
            await self._until_back()
        except asyncio.CancelledError:
            # The report is still made, and has time limits: in Python 3.11 they take an open cancellation for theirs.
            interrupted, task = True, asyncio.current_task()
            assert task is not None
            task.uncancel()
        finally:
            if sampling is not None:
                sampling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await sampling
        return await self._report(interrupted=interrupted)

    def _counts(self) -> tuple[int, int, int]:
        counts = [stream.counts for stream in self._server.hub.streams()]
        received, judged, dropped = (
            sum(each) for each in zip(*((c.received, c.judged, c.dropped) for c in counts), strict=True)
        )
        return received, judged, dropped

    @property
    def _passed(self) -> float:
        return time.monotonic() - self._began

    async def _until_judged(self) -> None:
        try:
            async with asyncio.timeout(_START):
                while any(not self._ledger.streams[source.name].judged for source in self._sources):
                    self._tell(Progress("waiting for the first verdicts"))
                    await asyncio.sleep(_TICK)
        except TimeoutError:
            missing = [source.name for source in self._sources if not self._ledger.streams[source.name].judged]
            states = "; ".join(self._server.hub.find(name).status().detail for name in missing)
            cause = f"no face of it has been judged within {_START:g} s"
            raise SourceTimeout(", ".join(missing), f"{cause} ({states})" if states else cause) from None

    async def _sample(self) -> None:
        while True:
            now = held()
            if self._passed >= self._plan.warm_up and self._calm:
                self._growth.add(now)
            if self._passed >= len(self._series) * self._plan.seconds / _SERIES:
                self._series.append((self._passed, now))
            self._tell(Progress("soaking", min(self._passed, self._plan.seconds), self._broken, len(self._faults)))
            await asyncio.sleep(_TICK)

    @property
    def _calm(self) -> bool:
        up = all(stream.state == "up" for stream in self._server.hub.streams())
        well = self._guard.engine_health.state == "ok"
        return up and well and not self._broken and not self._ledger.awaited

    async def _break_things(self) -> None:
        plan, order = self._plan, cycle(range(len(self._sources)))
        waiting: list[Fault] = []
        due = plan.every / 2
        # What begins in the last seconds could not be seen to end.
        while due + plan.every <= plan.seconds and self._kinds:
            await asyncio.sleep(max(0.0, due - self._passed))
            if not waiting:
                waiting = self._random.sample(self._kinds, len(self._kinds))
            kind = waiting.pop()
            source = self._sources[next(order)]
            while not kind.possible(source):
                source = self._sources[next(order)]
            await self._fault(kind, source)
            due += plan.every
        await asyncio.sleep(max(0.0, plan.seconds - self._passed))

    async def _fault(self, kind: Fault, source: Source) -> None:
        names = {"stream": (source.name,), "all": tuple(each.name for each in self._sources), "none": ()}[kind.hits]
        record = FaultRecord(kind.name, self._passed, names)
        self._faults.append(record)
        self._broken = f"{kind.name} ({source.name})" if kind.hits == "stream" else kind.name
        seconds = self._plan.every * self._random.uniform(*kind.share)
        if kind.name == "resolution-change":
            record.wants_size = {source.name: self._ledger.streams[source.name].width}
        await kind.begin(self._scene, source, seconds)
        try:
            await asyncio.sleep(seconds)
        finally:
            await kind.end(self._scene, source, seconds)
            record.lasted, self._broken = self._passed - record.at, ""
            self._ledger.mended(record)

    async def _until_back(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2 * reports.BACK_WITHIN):
                while self._ledger.awaited:  # noqa: ASYNC110 - as the samples, it looks now and then
                    await asyncio.sleep(_TICK)

    async def _report(self, *, interrupted: bool) -> reports.SoakReport:
        plan, seconds, ended = self._plan, self._passed, time.monotonic()
        received, judged, dropped = (now - then for now, then in zip(self._counts(), self._before, strict=True))
        process = reports.process_document(self._growth.figures(), self._series)
        self._tell(Progress("waiting for the last messages", seconds, "", len(self._faults)))
        for source in self._sources:
            await self._server.hub.close(source.name)
        alerts = await self._alerts.settled(
            min(plan.settle, _LAST) if interrupted else plan.settle, cut_short=interrupted
        )
        generated = all(isinstance(source, GeneratedSource) for source in self._sources)
        records = list(self._ledger.streams.values())
        verdicts = reports.verdict_document(records, seconds, numbered=generated)
        faults = reports.fault_documents(self._faults, ended)
        health = self._guard.engine_health
        return reports.SoakReport(
            seconds=round(seconds, 1),
            streams=len(self._sources),
            model=self._guard.model_label,
            interrupted=interrupted,
            frames=reports.FramesDocument(
                on_air=round(seconds * plan.rate * len(self._sources)) if generated else None,
                received=received,
                judged=judged,
                dropped=dropped,
            ),
            verdicts=verdicts,
            alerts=alerts,
            process=process,
            engine=reports.EngineDocument(
                judging=self._guard.engine_label,
                failures=dict(health.failures),
                loads={f"{name} {'loaded' if ok else 'failed'}": count for (name, ok), count in health.loads.items()},
            ),
            faults=faults,
            bars=reports.bars(faults, verdicts, alerts, process),
        )
