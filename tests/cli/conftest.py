"""The command line as a user has it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from streamguard.errors import one_line
from tests.support.warm import warm_python

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., "subprocess.Popen[str]"]
LIMIT = 240


@pytest.fixture
def run(tmp_path: Path, detector: Path) -> Run:
    """Run a command to its end in the test's folder, with the exact detector on the reference engine."""

    def go(*arguments: object, model: object = detector, engine: str = "torch") -> subprocess.CompletedProcess[str]:
        line = [*warm_python(), "-m", "streamguard", *map(str, arguments), *chosen(arguments, model, engine)]
        return subprocess.run(
            line, capture_output=True, text=True, cwd=tmp_path, env=environment(), timeout=LIMIT, check=False
        )

    return go


@pytest.fixture
def start(tmp_path: Path, detector: Path) -> Iterator[Start]:
    """Start a command; it is killed at the test's end if it still runs."""
    with ExitStack() as stack:

        def go(*arguments: object, **options: Any) -> subprocess.Popen[str]:
            process = subprocess.Popen(
                [*warm_python(), "-m", "streamguard", *map(str, arguments), *chosen(arguments, detector, "torch")],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=environment(), **options,
            )  # fmt: skip
            stack.callback(end, process)
            return process

        yield go


def end(process: subprocess.Popen[str]) -> None:
    """Kill what still runs and close its pipes."""
    if process.poll() is None:
        process.kill()
    process.communicate(timeout=LIMIT)


def chosen(arguments: tuple[object, ...], model: object, engine: str) -> list[str]:
    """The options that name detector and engine, for the commands that judge."""
    return ["--model", str(model), "--engine", engine] if arguments[0] in {"scan", "watch"} else []


def environment() -> dict[str, str]:
    """The tests' own, with a terminal of 80 columns."""
    return {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}


def assert_one_line(result: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """One line on stderr with thing, cause and remedy; the exit code; no traceback anywhere."""
    assert "Traceback" not in result.stdout + result.stderr
    lines = result.stderr.splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("streamguard: ")
    assert lines[0].endswith(".")
    assert lines[0] == one_line(lines[0])
    for part in parts:
        assert part in lines[0]
    assert result.returncode == code
