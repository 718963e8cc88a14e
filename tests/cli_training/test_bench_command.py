"""`streamguard bench`: figures for every stage."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from streamguard.cli import app
from streamguard.cli.bench import STAGES
from tests.support.training_data import streamguard


def test_a_short_bench_of_one_model_and_engine(detector: Path, real: Path) -> None:
    done = streamguard("bench", "--model", detector, "--engine", "openvino", "--seconds", 1, "--clip", real)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    rows = {line.split()[1]: line.split() for line in done.stdout.splitlines() if len(line.split()) > 2}
    assert set(STAGES) <= set(rows)
    for words in ("Crops per second", "torch", "openvino", "320x240", "whole pipeline", "x real time"):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--engine", "abacus"], 6, "no engine of that name"),
        (["--clip", "none.mp4"], 3, "none.mp4"),
        (["--model", "nonsense"], 5, "no detector of that name"),
    ],
)
def test_what_is_not_there_is_told_before_anything_is_timed(arguments: list[str], code: int, words: str) -> None:
    result = CliRunner().invoke(app, ["bench", *arguments])
    assert getattr(result.exception, "exit_code", None) == code
    assert words in str(result.exception)
    assert "Crops per second" not in result.output


def test_a_second_is_the_least() -> None:
    assert CliRunner().invoke(app, ["bench", "--seconds", "0.1"]).exit_code == 2
