"""A start without PyTorch, whose import takes longer than all the rest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from streamguard import models
from streamguard.inference import EngineOptions
from streamguard.inference.parity import record_answers
from streamguard.inference.torch_engine import TorchEngine

_START = """
import asyncio, sys
from pathlib import Path
import streamguard.server.app
from streamguard.pipeline.guard import Guard

async def judge() -> None:
    async with Guard.open(sys.argv[1], cache=Path(sys.argv[2])) as guard:
        async for item in guard.watch(sys.argv[3]):
            break

asyncio.run(judge())
print(*sorted({name.partition(".")[0] for name in sys.modules} & {"torch", "matplotlib", "sklearn"}))
"""


def started(*arguments: Path) -> str:
    """Names of heavy libraries that a server with a judged stream has imported."""
    command = [sys.executable, "-c", _START, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


def test_neither_a_first_start_nor_a_later_one_imports_torch(detector: Path, real: Path, tmp_path: Path) -> None:
    model = models.load(str(detector))
    record_answers(model.spec, TorchEngine(model, EngineOptions(max_batch=4)))
    assert started(detector, tmp_path / "cache", real) == ""
    assert list((tmp_path / "cache").rglob("model.xml"))
    assert started(detector, tmp_path / "cache", real) == ""
