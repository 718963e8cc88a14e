"""Health, metrics, logs, the end in good order; and nothing left after many sessions."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamguard.server.app import Server
from tests.server.conftest import ServeWith
from tests.server.peers import SDP, Peer, PortraitTrack, masked, published, until
from tests.support.training_data import ROOT, environment
from tests.support.warm import warm_python

SESSIONS = 200


def open_files() -> int:
    """File descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def memory_used() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_health(server: Server, http: aiohttp.ClientSession) -> None:
    for path in ("/health/live", "/health/ready"):
        response = await http.get(path)
        assert (response.status, (await response.json())["status"]) == (200, "ok")
    server.hub.drain()
    assert (await http.get("/health/live")).status == 200
    response = await http.get("/health/ready")
    assert (response.status, (await response.json())["status"]) == (503, "draining")
    assert (await http.post("/api/v1/streams", json={"source": "x.mp4"})).status == 503


async def test_threads_take_short_turns_while_a_server_runs(serve_with: ServeWith) -> None:
    before = sys.getswitchinterval()
    async with serve_with():
        assert sys.getswitchinterval() < before
    assert sys.getswitchinterval() == before


async def test_metrics(http: aiohttp.ClientSession) -> None:
    async with published(http) as peer, Peer(http) as viewer:
        await viewer.play("cam", codec="h264")
        await until(lambda: any(message["state"] == "FAKE" for message in peer.messages))
        await until(lambda: masked(viewer))
        response = await http.get("/metrics")
        assert response.content_type == "text/plain"
        families = {family.name: family for family in text_string_to_metric_families(await response.text())}
    values = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert all(name.startswith(("streamguard_", "process_")) for name in families)
    assert all(family.documentation for family in families.values())
    stream = ("stream", "cam")
    assert values["streamguard_frames_judged_total", stream] > 0
    assert values["streamguard_stream_state", ("state", "up"), stream] == 1
    assert values["streamguard_stream_fake", stream] == 1
    assert values["streamguard_viewers", ("overlay", "live"), stream] == 1
    assert values["streamguard_sessions", ("kind", "whip")] == 1
    assert values["streamguard_events_total", ("kind", "fake.opened")] == 1
    assert values["streamguard_verdict_latency_seconds_count", stream] > 0
    assert values["streamguard_stage_seconds_total", ("stage", "encode"), stream] > 0
    assert 5 <= values["streamguard_detector_interval_frames", stream] <= 15
    model = ("model", "green")
    assert values["streamguard_batch_size_count", model] == values["streamguard_batches_total", model] > 0
    labels = {name for family in families.values() for sample in family.samples for name in sample.labels}
    assert "track" not in labels


def threads_used() -> int:
    """Threads, without those of the pools of database and event loop: they open a few as they are needed."""
    pools = ("_connection_worker", "asyncio_")
    return sum(not any(pool in thread.name for pool in pools) for thread in threading.enumerate())


@pytest.mark.slow
async def test_many_sessions_opened_and_dropped_leave_nothing(serve_with: ServeWith) -> None:
    limits = {"max_sessions": 60, "max_streams": 60, "connect_timeout": 2.0}
    async with serve_with(**limits) as (server, http), published(http) as keeper:
        await until(lambda: keeper.messages)

        async def one(number: int) -> None:
            peer = Peer(http)
            if number % 4 == 0:
                # Posts an offer and is never heard of again.
                track = PortraitTrack(seconds=0.1)
                body = (await peer.offer(send=track)).encode()
                posted = await http.post(f"/whip/s{number}", data=body, headers={"Content-Type": SDP})
                assert posted.status == 201
                if number % 8 == 0:
                    await http.delete(posted.headers["Location"])
            else:
                await peer.play("cam", ("live", "exact", "none")[number % 3])
                if number % 2:
                    await until(lambda: peer.frames)
            await peer.close()

        async def round_of(numbers: range) -> tuple[int, int, int, int]:
            for start in range(numbers.start, numbers.stop, 10):
                await asyncio.gather(*(one(n) for n in range(start, min(start + 10, numbers.stop))))
            await until(lambda: server.book.count() == 1 and len(server.hub.streams()) == 1, 60)
            await until(lambda: server.hub.find("cam").status().viewers == 0)
            gc.collect()
            return len(asyncio.all_tasks()), threads_used(), open_files(), memory_used()

        # The first ones load codecs and fill pools.
        tasks, threads, files, memory = await round_of(range(40))
        after = await round_of(range(40, SESSIONS))
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        await until(lambda: threads_used() <= threads)
        assert open_files() <= files + 4
        assert after[3] - memory < 60e6
        assert server.hub.find("cam").state == "up"
        assert keeper.messages[-1]["state"] == "FAKE"


class Program:
    """`streamguard serve` as a process of its own."""

    def __init__(
        self, detector: Path, *arguments: str, start: Sequence[str] = ("-m", "streamguard"), **more: str
    ) -> None:
        line = [*warm_python(), *start, "serve", "--port", "0", "--model", str(detector)]
        self.process = subprocess.Popen(
            [*line, "--engine", "torch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), **more},
            cwd=ROOT,
        )
        self.lines: list[str] = []
        self._limit = threading.Timer(90, self.process.kill)
        self._limit.start()

    def url(self) -> str:
        """Where it listens, once it does."""
        return self.says(r"open (http\S+)")

    def says(self, pattern: str) -> str:
        """Wait until it says that; its first group."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if match := re.search(pattern, line):
                return match[1]
        pytest.fail("".join(self.lines))

    def end(self) -> int:
        """The exit code; what it wrote is in `lines`."""
        _, rest = self.process.communicate()
        self._limit.cancel()
        self._limit.join()
        self.lines += rest.splitlines(keepends=True)
        return self.process.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_program_drains(detector: Path, half_fake: Path, tmp_path: Path, number: signal.Signals) -> None:
    config = tmp_path / "guard.toml"
    config.write_text(f'[[streams]]\nname = "clip"\nsource = "{half_fake}"\n')
    program = Program(detector, "--config", str(config), STREAMGUARD_SERVER__MAX_STREAMS="5")
    try:
        url = await asyncio.to_thread(program.url)
        async with aiohttp.ClientSession(url) as http, published(http) as peer, Peer(http) as viewer:
            await viewer.play("clip")
            await until(lambda: viewer.frames and peer.messages)
            events = await http.get("/api/v1/streams/clip/events")
            program.process.send_signal(number)
            # The readers of events are told, not cut off.
            assert b"ended" in await events.read()
            assert await asyncio.to_thread(program.end) == 0
            await until(lambda: viewer.track is not None and viewer.track.readyState == "ended")
    finally:
        program.process.kill()
        program.end()
    logged = [json.loads(line) for line in program.lines if line.startswith("{")]
    assert len(logged) == len(program.lines) - 1
    assert {"listening", "session opened", "stream state", "session closed", "draining", "stopped"} <= {
        line["event"] for line in logged
    }
    assert not [line for line in logged if line["level"] in {"warning", "error"}]


def test_faults_are_one_line_and_an_exit_code(detector: Path, tmp_path: Path) -> None:
    program = Program(detector, "--host", "0.0.0.0")
    assert program.end() == 7
    assert "needs a token" in program.lines[-1]
    assert len(program.lines) == 1
    program = Program(tmp_path)
    assert program.end() == 7
    assert os.linesep in program.lines[0]
