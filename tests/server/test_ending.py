"""`streamguard serve` is told to end while it begins, and told again while it ends."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.server.test_operations import Program

WAITING = """
import asyncio, pathlib, sys, time

def waits(what):
    print(f"it is {what}", file=sys.stderr, flush=True)
    while not pathlib.Path(sys.argv[0]).with_name("go").exists():
        yield

"""
LOADING = f"""{WAITING}
from streamguard.pipeline.guard import Guard
load = Guard.load

def slow(*arguments, **more):
    for _ in waits("loading"):
        time.sleep(0.01)
    return load(*arguments, **more)

Guard.load = slow
from streamguard.cli import main
main()
"""
DRAINING = f"""{WAITING}
from streamguard.server.app import Server
drain = Server.drain

async def slow(self):
    for _ in waits("draining"):
        await asyncio.sleep(0.01)
    await drain(self)

Server.drain = slow
from streamguard.cli import main
main()
"""


def started(detector: Path, folder: Path, script: str) -> Program:
    """A server that waits for a file at some place."""
    path = folder / "waiting.py"
    path.write_text(script)
    return Program(detector, start=(str(path),), XDG_STATE_HOME=str(folder / "state"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_while_it_loads(detector: Path, tmp_path: Path, number: signal.Signals) -> None:
    program = started(detector, tmp_path, LOADING)
    try:
        program.says("it is (loading)")
        program.process.send_signal(number)
        (tmp_path / "go").touch()
        assert program.end() == 0
        assert not [line for line in program.lines if "Traceback" in line or "listening" in line]
    finally:
        program.process.kill()
        program.end()


@pytest.mark.parametrize("times", [2, 3])
def test_told_again_while_it_ends(detector: Path, tmp_path: Path, times: int) -> None:
    program = started(detector, tmp_path, DRAINING)
    try:
        program.url()
        program.process.send_signal(signal.SIGTERM)
        program.says("it is (draining)")
        program.process.send_signal(signal.SIGTERM)
        program.says("once more (ends it at once)")
        if times == 3:
            program.process.send_signal(signal.SIGTERM)
            assert program.end() == 128 + signal.SIGTERM
        else:
            (tmp_path / "go").touch()
            assert program.end() == 0
            assert '"event": "stopped"' in "".join(program.lines)
            # What databases and writers leave behind when they are cut off.
            assert not [path for path in (tmp_path / "state").rglob("*") if path.suffix in {".partial", ".db-wal"}]
    finally:
        program.process.kill()
        program.end()
