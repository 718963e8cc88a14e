"""A worker: the server of one machine, whose streams are said by leases."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from ulid import ULID

from streamguard import __version__
from streamguard.clock import time_kept_by
from streamguard.cluster.leases import WorkerPlace, WorkerRow
from streamguard.cluster.member import ClusterMember, SharedClock
from streamguard.cluster.roster import Roster
from streamguard.cluster.shared import shared_database, shared_key, terms_of
from streamguard.cluster.store import LeaseStore, WorkerCard
from streamguard.config import Config, Location
from streamguard.config.whole import contradictions
from streamguard.errors import ConfigError, OutboxError, SourceError, StreamguardError, UnknownStream
from streamguard.logs import get_logger
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.measure import first_cost
from streamguard.server.app import Server, serving
from streamguard.server.problems import Problem

log = get_logger("streamguard.cluster")
RETRY = 60.0
"""Seconds after which a detector that could not be loaded is tried again."""
_SETTLE = 3.0
_LEVEL, _SEAT = 64, 40
"""Characters of a name at a broker, and of these, those that tell the worker."""
_SMOOTH = 0.1
"""Weight of the newest measurement of how much a machine can judge; single ones waver."""


def worker_config(config: Config, place: WorkerPlace) -> Config:
    """The configuration of one worker: its own address, its own name at a broker, and no streams of its own.

    Raises:
        ConfigError: it must not listen there as it is.
    """
    host = config.cluster.host or place.host
    port = config.cluster.port + place.number if config.cluster.port else 0
    listen = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    own = place.seat.replace("/", "-").replace(":", "-")
    server: dict[str, object] = {"listen": listen}
    if (mqtt := config.server.mqtt) is not None:
        # Two of one name at a broker would be taken for doubles, and one of them be silent.
        seat = re.sub(r"[^A-Za-z0-9_-]", "-", own)[-_SEAT:]
        server["mqtt"] = mqtt.model_copy(update={"name": f"{mqtt.name[: _LEVEL - _SEAT - 1]}-{seat}"})
    made = config.model_copy(
        update={
            "server": config.server.model_copy(update=server),
            "checks": config.checks.model_copy(update={"folder": config.checks.place / own}),
            "streams": [],
            "rules": [],
        }
    )
    for found in contradictions(made):
        raise ConfigError(found.keys[0], found.cause, found.remedy)
    return made


async def work(config: Config, place: WorkerPlace, stop: asyncio.Event) -> None:
    """Be a worker until `stop` is set, the cluster says so, or a later life has begun here.

    Args:
        config: of the whole cluster.
        place: where this is.
        stop: asks to end in good order.

    Raises:
        ConfigError, OutboxError, OutputError: it cannot begin.
    """
    url, terms, clock = shared_database(config), terms_of(config.cluster), SharedClock()
    own = worker_config(config, place)
    await asyncio.to_thread(Path(own.checks.place).mkdir, 0o700, True, True)
    sealer = await asyncio.to_thread(shared_key, config)
    async with AsyncExitStack() as stack:
        stack.enter_context(time_kept_by(clock))
        store = await stack.enter_async_context(LeaseStore.open(url, terms))
        asked = time.monotonic()
        clock.read(await store.now(), asked, time.monotonic())
        row = WorkerRow(str(ULID()), place.seat, place.domain, 0, 0.0, able=False, limit=config.server.max_streams)
        card = WorkerCard(place.node, "", __version__, pid=os.getpid(), detail="the detector is being loaded")
        row = replace(row, life=await store.join(row, card))
        stack.push_async_callback(_left, store, row.id)
        guard = await _guard(config, store, row, card, stop)
        if guard is None:
            return
        await stack.enter_async_context(guard)
        await _warmed(guard)
        member = ClusterMember(store, url, replace(row, able=True), clock)
        server = await stack.enter_async_context(serving(own, guard, None, member))
        opener = WorkerStreams(server, Roster(store.database, sealer), place, config)
        server.more_metrics.append(partial(member_metrics, member, server, clock))
        async with _running(member, opener) as running:
            stopping = asyncio.create_task(stop.wait(), name="stop")
            try:
                await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopping.cancel()
                member.over.set()


@asynccontextmanager
async def _running(member: ClusterMember, opener: WorkerStreams) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(member.run(opener), name="cluster member")
    try:
        yield task
    finally:
        member.over.set()
        await task


async def _guard(
    config: Config, store: LeaseStore, row: WorkerRow, card: WorkerCard, stop: asyncio.Event
) -> Guard | None:
    """Return the judge; while there is none, the worker tells why and gets no streams. None where it is to stop."""
    wanted, beat = config.engine, store.terms.beat
    opening = partial(Guard.load, wanted.model, wanted.engine, threads=wanted.threads, cache=wanted.cache)
    while not stop.is_set():
        loading = asyncio.create_task(asyncio.to_thread(opening), name="detector")
        again = time.monotonic() + RETRY
        while not stop.is_set() or not loading.done():
            done, _ = await asyncio.wait({loading}, timeout=beat)
            if done and loading.exception() is None:
                return loading.result()
            if done:
                error = loading.exception()
                if not isinstance(error, StreamguardError):
                    loading.result()
                if time.monotonic() >= again:
                    break
                card = replace(card, detail=str(error))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(beat):
                        await stop.wait()
            with contextlib.suppress(OutboxError):
                answer = await store.beat(row, card, {})
                if answer.replaced or answer.order == "stop":
                    stop.set()
    return None


async def _warmed(guard: Guard) -> None:
    """Judge a few crops: the first stream that comes from a worker that died must not wait for what is made once."""
    try:
        await first_cost(guard)
    except Exception as error:
        # What fails here fails in the streams, too, which tell it.
        log.warning("the detector could not be tried", error=str(error))


async def _left(store: LeaseStore, worker: str) -> None:
    try:
        await store.leave(worker)
    except StreamguardError as error:
        # The others find out by themselves.
        log.warning("the cluster could not be told that this worker ends", detail=str(error))


class WorkerStreams:
    """The worker's streams, opened as those of a configuration are.

    Args:
        server: runs them.
        roster: knows how each is fetched and judged.
        place: where this is.
        config: of the whole cluster.
    """

    def __init__(self, server: Server, roster: Roster, place: WorkerPlace, config: Config) -> None:
        self._server, self._roster, self._place, self._config = server, roster, place, config
        self._turn = asyncio.Lock()
        self._capacity: float | None = None
        self._ended: set[asyncio.Task[None]] = set()

    async def open(self, stream: str) -> int:
        """As of `StreamOpener`."""
        wanted = (await self._roster.find([stream])).get(stream)
        if wanted is None:
            raise UnknownStream(stream, "it was removed in this moment", "nothing is to be done")
        settings, redirects = wanted.settings, True
        if wanted.origin == "api":
            try:
                source = await self._server.policy.checked(settings.source.get_secret_value())
            except Problem as problem:
                raise SourceError(stream, problem.detail, problem.remedy) from None
            settings = settings.model_copy(update={"source": Location(source)})
            redirects = self._server.policy.redirects
        async with self._turn:
            await self._server.configured.open_one(settings, origin=wanted.origin, redirects=redirects)
        if wanted.origin == "api":
            self._follow(stream)
        return wanted.revision

    async def close(self, stream: str, *, moved: bool) -> None:
        """As of `StreamOpener`."""
        await self._server.configured.close_one(stream, moved=moved)
        await self._server.hub.close(stream, moved=moved)

    async def settle(self) -> None:
        """As of `StreamOpener`."""
        desk = self._server.hub.desk
        if desk is not None:
            with contextlib.suppress(OutboxError, TimeoutError):
                async with asyncio.timeout(_SETTLE):
                    await desk.alerts.settle()

    def told(self, row: WorkerRow) -> tuple[WorkerRow, WorkerCard]:
        """As of `StreamOpener`."""
        hub, load = self._server.hub, self._server.hub.load.state()
        measured = self._config.server.admission == "measured"
        room = load.room if measured else max(0, row.limit - load.streams)
        guess = float(row.limit if not measured else min(row.limit, os.cpu_count() or 1))
        newest = float(load.streams + room) if room is not None else guess
        before = self._capacity if self._capacity is not None else newest
        self._capacity = (1 - _SMOOTH) * before + _SMOOTH * newest
        bad = next((each for each in hub.guards() if each.engine_health.state == "failed"), None)
        why = "an engine hangs" if hub.stuck else bad.engine_health.detail if bad is not None else ""
        card = WorkerCard(
            node=self._place.node,
            url=self._url(),
            version=__version__,
            model=hub.guard.model_label,
            engine=hub.guard.engine_label,
            pid=os.getpid(),
            streams=load.streams,
            room=room,
            detail=why,
        )
        return replace(row, capacity=max(1.0, self._capacity), able=not why and not hub.draining), card

    def _url(self) -> str:
        wanted = self._config.cluster.worker_url
        if wanted is None:
            return self._server.url
        host, _, port = self._server.url.partition("://")[2].rpartition(":")
        return wanted.replace("{host}", host).replace("{port}", port)

    def _follow(self, name: str) -> None:
        stream = self._server.hub.find(name)

        def over() -> None:
            if stream.state == "ended" and not stream.closed:
                task = asyncio.create_task(self._forget(name), name=f"end of {name}")
                self._ended.add(task)
                task.add_done_callback(self._ended.discard)

        stream.when_over(over)

    async def _forget(self, name: str) -> None:
        with contextlib.suppress(StreamguardError):
            await self._roster.remove(name)


def member_metrics(member: ClusterMember, server: Server, clock: SharedClock) -> Iterator[Metric]:
    """The present values of a worker's part in the cluster."""
    counts: Any = member.counts
    beats = CounterMetricFamily("streamguard_cluster_heartbeats", "Heartbeats of this worker.", labels=["result"])
    beats.add_metric(["answered"], counts["beats"])
    beats.add_metric(["missed"], counts["missed"])
    yield beats
    yield GaugeMetricFamily("streamguard_cluster_leases", "Streams that this worker holds.", len(member.holdings.held))
    alone = member.holdings.alone(time.monotonic())
    yield GaugeMetricFamily("streamguard_cluster_alone_seconds", "Since the database was last heard of.", alone)
    yield GaugeMetricFamily(
        "streamguard_cluster_clock_skew_seconds", "How far this machine's clock is ahead of the database's.", clock.skew
    )
    changes = CounterMetricFamily("streamguard_cluster_streams", "Streams, by what was done.", labels=["done"])
    for done in ("opened", "closed", "failed"):
        changes.add_metric([done], counts[done])
    yield changes
    refused = server.hub.desk.alerts.refused if server.hub.desk is not None else 0
    yield CounterMetricFamily(
        "streamguard_cluster_events_refused", "Late events, of streams that another worker held by then.", refused
    )
