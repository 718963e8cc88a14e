"""What every command shares: help, version, completion, exit codes, reports on standard output."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import streamguard
from streamguard.cli.lazy import EXIT_CODES
from streamguard.pipeline.scan_documents import ScanDocument
from tests.cli.conftest import Run, assert_one_line, environment


def told(*arguments: str, **more: str) -> str:
    """What the command line prints, and nothing on stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "streamguard", *arguments],
        capture_output=True,
        text=True,
        env={**environment(), **more},
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_version_and_exit_codes() -> None:
    assert told("--version") == f"{streamguard.__version__}\n"
    said = told("-h")
    assert said.startswith("Usage: streamguard ")
    for code, meaning in EXIT_CODES.items():
        assert f"{code:>7}  {meaning}\n" in said


def test_a_command_tells_its_own_exit_codes() -> None:
    said = told("evidence", "key", "-h")
    for code, here in ((0, True), (3, False), (11, True)):
        assert (f"{code:>7}  {EXIT_CODES[code]}" in said) is here


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_of_a_shell(shell: str) -> None:
    # Asked for by name: there is no shell to recognise above a test.
    said = told("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert f"_STREAMGUARD_COMPLETE=complete_{shell}" in said


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("streamguard sc", ["scan"]),
        ("streamguard scan --ov", ["--overlay"]),
        ("streamguard webhook re", ["resume", "replay"]),
        ("streamguard config s", ["show", "schema"]),
    ],
)
def test_a_word_is_completed(typed: str, offered: list[str]) -> None:
    place = str(len(typed.split()) - 1)
    said = told(COMP_WORDS=typed, COMP_CWORD=place, _STREAMGUARD_COMPLETE="complete_bash")
    assert said.split() == offered


def test_a_report_on_standard_output_stands_alone(run: Run, half_fake: Path, tmp_path: Path) -> None:
    done = run("scan", half_fake, tmp_path / "none.mp4", "--json", "-")
    found, missing = ScanDocument.model_validate(json.loads(done.stdout)).files
    assert (found.verdict, found.frames) == ("FAKE", 120)
    assert missing.fault is not None
    assert_one_line(done, 3, "none.mp4")
    assert list(tmp_path.iterdir()) == []
