"""More streams than the machine can judge: all are judged evenly, it is told, and one more is refused."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamguard.pipeline.capacity import Cost, Means
from streamguard.pipeline.cpu_usage import CpuReading, processors
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.stream import Counts
from streamguard.pipeline.usage import Usage
from streamguard.server.app import Server, serving
from streamguard.streams.load import LoadMeter
from streamguard.streams.meter import ENOUGH, WINDOW, Sampling, StreamMeter
from streamguard.types import UInt8Array
from tests.server.peers import SDP, Peer, PortraitTrack, until
from tests.server.test_protocol import problem
from tests.support.figures import jain
from tests.support.portraits import green_detector
from tests.support.settings import config_of

SECONDS_PER_CROP = 0.142
FIT = 6
"""Streams that surely get a verdict a second from an engine that takes so long."""


class SlowEngine:
    """Calls every face real, and takes its time."""

    name, precision, device, max_batch = "slow", "float32", "none", 4

    def describe(self) -> str:
        """One line."""
        return "slow"

    def infer(self, crops: UInt8Array) -> UInt8Array:
        """Nothing is fake."""
        time.sleep(SECONDS_PER_CROP * len(crops))
        return np.zeros(crops.shape[:3], np.uint8)

    def close(self) -> None:
        """Nothing is held."""


class IdleMachine:
    """Has processors to spare, whatever else runs beside the tests: the engine alone is scarce."""

    def read(self) -> CpuReading:
        """A hundredth of one processor is used, and two are idle."""
        now = time.monotonic()
        return CpuReading(now, 0.01 * now, 0.001 * now, 0.0, 2.0 * now)


@pytest.fixture(autouse=True)
def _processors_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamguard.streams.load.CpuClock", IdleMachine)


@asynccontextmanager
async def slow_server(**settings: Any) -> AsyncIterator[tuple[Server, aiohttp.ClientSession]]:
    """A server whose engine judges so many faces a second, and no more."""
    async with (
        Guard(green_detector(), SlowEngine(), max_batch=4) as guard,
        serving(config_of(**{"port": 0, "admission": "measured", **settings}), guard) as server,
        aiohttp.ClientSession(server.url) as http,
    ):
        yield server, http


async def test_streams_are_judged_evenly_and_one_more_is_refused(real: Path) -> None:
    # Three times as much as there is: 21 of 7 frames a second.
    asked = 3 / SECONDS_PER_CROP / FIT
    async with slow_server() as (server, http):
        for number in range(FIT):
            new = {"source": str(real), "name": f"s{number}", "judged_per_second": asked}
            assert (await http.post("/api/v1/streams", json=new)).status == 201
        streams = server.hub.streams()
        await until(lambda: all(stream.counts.judged > 3 for stream in streams), 90)
        before = [stream.counts.judged for stream in streams]
        await until(lambda: sum(stream.counts.judged for stream in streams) >= sum(before) + 60, 120)
        judged = [stream.counts.judged - start for stream, start in zip(streams, before, strict=True)]
        assert jain(judged) >= 0.95
        assert all(stream.counts.dropped for stream in streams)
        # No more than a few frames were on their way at any time.
        assert server.hub.guard.turns.busy <= server.hub.guard.turns.limit < 2 * FIT

        await until(lambda: server.hub.load.state().reduced == FIT, 60)
        ready = await http.get("/health/ready")
        health = await ready.json()
        assert (ready.status, health["status"]) == (200, "overloaded")
        assert health["load"]["streams"] == health["load"]["reduced"] == FIT
        assert health["load"]["asked"] > 2 * health["load"]["judged"]
        document = await (await http.get("/api/v1/streams/s0")).json()
        assert document["sampling"]["reduced"]
        assert document["sampling"]["most"] == pytest.approx(asked)
        assert document["sampling"]["judged"] < document["sampling"]["asked"] <= asked * 1.3
        assert document["latency_ms"]["p95"] < 3000

        new = {"source": str(real), "name": "more", "judged_per_second": asked}
        # What a face costs is measured over some seconds, more or less exactly.
        await until(lambda: server.hub.load.state().room == 0, 60)
        refused = await http.post("/api/v1/streams", json=new)
        told = await problem(refused, 503)
        assert told["type"].endswith(":overloaded")
        assert f"each of its {FIT + 1} streams would be judged " in told["detail"]
        assert "server.admission" in told["remedy"]
        assert int(refused.headers["Retry-After"]) >= 10
        async with Peer(http) as publisher:
            offer = await publisher.offer(send=PortraitTrack(seconds=0.1))
            await until(lambda: server.hub.load.state().room == 0, 60)
            posted = await http.post("/whip/more", data=offer.encode(), headers={"Content-Type": SDP})
            assert "Retry-After" in posted.headers
            again = await problem(posted, 503)
            assert again["detail"].startswith(told["detail"].partition("judged")[0])
        assert server.book.count() == 0
        assert len(server.hub.streams()) == FIT

        families = text_string_to_metric_families(await (await http.get("/metrics")).text())
        values = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
        assert values["streamguard_overloaded",] == 1
        assert values["streamguard_streams_refused_total", "load"] == 2
        assert values["streamguard_streams_refused_total", "streams"] == 0
        assert values["streamguard_sampling_reduced", "s0"] == 1
        asked_for = values["streamguard_asked_frames_per_second", "s0"]
        assert values["streamguard_judged_frames_per_second", "s0"] < asked_for
        assert values["streamguard_judged_frame_engine_seconds",] == pytest.approx(SECONDS_PER_CROP, rel=0.5)
        assert values["streamguard_contended_seconds_total",] > 0

        # There is room again when streams have gone.
        for name in ("s0", "s1"):
            assert (await http.delete(f"/api/v1/streams/{name}")).status == 204
        assert (await http.post("/api/v1/streams", json=new)).status == 201


async def test_streams_of_the_file_are_all_taken_with_a_warning(real: Path, caplog: pytest.LogCaptureFixture) -> None:
    entries = [{"name": f"s{number}", "source": str(real)} for number in range(2 * FIT)]
    async with slow_server(streams=entries) as (server, http):
        assert len(server.hub.streams()) == 2 * FIT
        await problem(await http.post("/api/v1/streams", json={"source": str(real), "name": "more"}), 503)
    warned = [line for line in caplog.messages if line.startswith("more streams than the machine can judge")]
    # What a face costs is measured anew while they are added, more or less exactly: the last is too many in any case.
    assert f"stream=s{2 * FIT - 1}," in warned[-1]
    assert not [line for line in warned for number in range(FIT) if f"stream=s{number}," in line]


@pytest.mark.parametrize("settings", [{"admission": "off", "max_streams": FIT + 2}, {"max_streams": 1}])
async def test_a_limit_can_be_set_in_place_of_measuring(real: Path, settings: dict[str, Any]) -> None:
    async with slow_server(**settings) as (server, http):
        for number in range(settings["max_streams"]):
            posted = await http.post("/api/v1/streams", json={"source": str(real), "name": f"s{number}"})
            assert posted.status == 201
        told = await problem(await http.post("/api/v1/streams", json={"source": str(real)}), 503)
        assert told["detail"] == f"There are {settings['max_streams']} streams already."
        assert server.hub.refused["streams"] == 1


class Stream:
    """A stream that is up, and judged as often as it says."""

    state, over = "up", False

    def __init__(self, most: float | None = None) -> None:
        self._most = most

    def sampling(self) -> Sampling:
        """As asked for."""
        return Sampling(self._most, 5.0, 5.0, reduced=False)


def meter_of(streams: list[Stream], cost: Cost, means: Means, monkeypatch: pytest.MonkeyPatch) -> LoadMeter:
    """A meter that has measured this."""
    meter = LoadMeter(lambda: streams, list)
    usage = Usage(cost, means, 0.0, 0.5, 5.0, 0.0)
    monkeypatch.setattr(meter, "_usage", lambda samplings: usage)
    return meter


def test_who_asks_for_less_than_one_a_second_takes_less_room(monkeypatch: pytest.MonkeyPatch) -> None:
    cost, means = Cost(0.0, 0.1, 0.0, 0.0), Means(1.0)
    assert not meter_of([Stream() for _ in range(7)], cost, means, monkeypatch).refusal()
    full = meter_of([Stream() for _ in range(8)], cost, means, monkeypatch).refusal()
    assert "each of its 9 streams would be judged 1.11 times a second; 1.15 are wanted" in full
    assert not meter_of([Stream(0.5) for _ in range(17)], cost, means, monkeypatch).refusal()
    assert meter_of([Stream(0.5) for _ in range(19)], cost, means, monkeypatch).refusal()
    # A server that stands idle takes a stream, however slow it is.
    assert not meter_of([], Cost(0.0, 5.0, 0.0, 0.0), means, monkeypatch).refusal()


def test_before_anything_is_measured_nobody_is_refused() -> None:
    streams = [Stream() for _ in range(1000)]
    meter = LoadMeter(lambda: streams, list)
    assert not meter.refusal()
    assert meter.state().load is None
    assert meter.state().room is None
    assert processors() > 0


def test_a_stream_comes_off_short_only_where_there_was_no_time() -> None:
    now = [0.0]

    def fed(received: float, judged: float, dropped: float, most: float | None) -> Sampling:
        now[0] = 0.0
        meter = StreamMeter(lambda: now[0])
        for second in range(1, 12):
            now[0] = float(second)
            meter.judged(0.1)
            meter.mark(Counts(int(received * second), int(judged * second), int(dropped * second)))
        return meter.sampling(most)

    assert fed(25, 2, 20, 5).reduced
    assert fed(25, 2, 20, None).reduced
    assert not fed(25, ENOUGH, 20, None).reduced
    assert fed(25, ENOUGH, 20, 10).reduced
    # A slow camera is judged whole; one that stutters lost its frames before they came here.
    assert not fed(2, 2, 0, None).reduced
    assert not fed(25, 2, 0, 5).reduced
    assert fed(25, 2, 20, 5) == Sampling(5, 5.0, 2.0, reduced=True)
    short = StreamMeter(lambda: now[0])
    short.judged(0.1)
    now[0] += WINDOW / 2
    short.mark(Counts(100, 1, 99))
    assert not short.sampling(5).reduced
