"""An engine that does not answer: no verdict comes of it, streams go on, and at last a restart is asked for."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path

import pytest

from streamguard.inference import Recovery
from streamguard.types import EventKind, Reason
from tests.server.peers import until
from tests.server.test_operations import Program
from tests.server.test_recovery import breakable, judged, metrics
from tests.support.settings import sections, toml

HANGING = """
import ctypes, sys
from streamguard.inference.torch_engine import TorchEngine

def infer(self, crops):
    print("it judges for ever", file=sys.stderr, flush=True)
    ctypes.CDLL(None).pause()

TorchEngine.infer = infer
from streamguard.cli import main
main()
"""


async def test_an_engine_that_hangs_is_loaded_again(detector: Path, real: Path) -> None:
    streams = [{"name": "a", "source": str(real)}, {"name": "b", "source": str(real)}]
    recovery = Recovery(pause=0.05, stable=1000.0, answer=2.0)
    async with breakable(detector, recovery, streams=streams) as (server, http, breaker):
        both = server.hub.streams()
        await until(lambda: all(judged(stream) for stream in both))
        seen: list[Reason | None] = []
        both[0].reports.listen(lambda report: seen.extend(face.reason for face in report.faces))
        breaker.hang_present()
        try:
            await until(lambda: server.hub.guard.engine_health.loads.get(("torch", True)) == 1)
            # Judged again, while the first call still hangs.
            seen.clear()
            await until(lambda: None in seen)
            assert breaker.hung == 1
        finally:
            breaker.release()
        assert server.events.counts[EventKind.STREAM_DEGRADED] >= 1
        engines = await (await http.get("/api/v1/engines")).json()
        assert (engines["state"], engines["detail"]) == ("ok", "")
        assert {each["name"]: each["failures"] for each in engines["engines"]}["torch"] == 1
        assert (await http.get("/health/live")).status == 200
        assert (await (await http.get("/health/ready")).json())["engine"] == "ok"


async def test_where_too_much_hangs_a_restart_is_asked_for(
    detector: Path, real: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = threading.Event()
    recovery = Recovery(pause=0.05, stable=1000.0, answer=1.0)
    try:
        async with breakable(detector, recovery, streams=[{"name": "a", "source": str(real)}]) as (
            server,
            http,
            breaker,
        ):
            (stream,) = server.hub.streams()
            await until(lambda: judged(stream))
            assert not server.hub.stuck
            monkeypatch.setattr(breaker, "hold", lambda number: opened.wait())
            await until(lambda: server.hub.stuck, 120)
            response = await http.get("/health/live")
            assert (response.status, (await response.json())["status"]) == (503, "stuck")
            response = await http.get("/health/ready")
            assert (response.status, (await response.json())["status"]) == (503, "no-engine")
            engines = await (await http.get("/api/v1/engines")).json()
            assert engines["state"] == "failed"
            assert "has not answered for 1 s; only a restart of the process helps" in engines["detail"]
            assert 'model="green",state="failed"} 1.0' in await metrics(http)
            await until(lambda: not judged(stream))
            assert stream.state == "up"
            assert sum(server.hub.guard.engine_health.failures.values()) == 3
        # The server ended, with every call still under way.
    finally:
        opened.set()


async def test_the_program_ends_while_its_engine_hangs(detector: Path, real: Path, tmp_path: Path) -> None:
    config, script = tmp_path / "guard.toml", tmp_path / "hanging.py"
    config.write_text(toml(sections(streams=[{"name": "clip", "source": str(real)}], admission="off")))
    script.write_text(HANGING)
    program = Program(detector, "--config", str(config), start=(str(script),))
    try:
        await asyncio.to_thread(program.says, "it judges (for ever)")
        program.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(program.end) == 0
    finally:
        program.process.kill()
        program.end()
