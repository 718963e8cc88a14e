"""`streamguard config` as a process: what it prints, and its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from streamguard.errors import InvalidConfig, UnknownModel
from tests.cli.conftest import environment
from tests.support.training_data import ROOT

GOOD = '[[streams]]\nname = "door"\nsource = "rtsp://bob:s3cret@cam/x"\n'


def told(*arguments: object, **more: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "streamguard", "config", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**environment(), **more},
    )
    return done.returncode, done.stdout, done.stderr


def test_check(tmp_path: Path) -> None:
    path = tmp_path / "streamguard.toml"
    path.write_text(GOOD)
    assert told("check", path) == (0, f"{path}: all right; streams 1, rules 0\n", "")
    path.write_text(GOOD + GOOD + '[server]\nlistn = "x"\n')
    code, out, err = told("check", path)
    assert (code, out) == (7, "")
    lines = err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"streamguard: {path}, ") for line in lines)
    assert told("check", tmp_path / "none.toml")[0] == 7
    assert told("check") == (0, "environment: all right; streams 0, rules 0\n", "")


def test_check_finds_what_serve_would_refuse(tmp_path: Path) -> None:
    path = tmp_path / "streamguard.toml"
    path.write_text(f'[engine]\nmodel = "nope"\n[server]\nsinks = ["none"]\n[alerts]\nfolder = "{tmp_path}/a"\n')
    code, out, err = told("check", path)
    assert (code, out) == (7, "")
    assert [line.partition(", ")[2].partition(":")[0] for line in err.splitlines()] == [
        "engine.model",
        "server.sinks[0]",
    ]


def test_the_unit_is_not_started_again_for_what_a_start_does_not_mend() -> None:
    unit = (ROOT / "examples" / "broadcast_sidecar" / "streamguard.service").read_text()
    codes = {int(code) for code in unit.partition("\nRestartPreventExitStatus=")[2].splitlines()[0].split()}
    assert codes >= {2, UnknownModel.exit_code, InvalidConfig.exit_code}
    # Its failure would be another one than that of the service, which those codes do not hold for.
    assert "\nExecStartPre=-" in unit


def test_show(tmp_path: Path) -> None:
    path = tmp_path / "streamguard.toml"
    path.write_text(GOOD)
    code, out, err = told("show", path, "--json", STREAMGUARD_SERVER__LISTEN="127.0.0.1:9")
    assert (code, err) == (0, "")
    found = {row["key"]: (row["value"], row["origin"]) for row in json.loads(out)}
    assert found["server.listen"] == ("127.0.0.1:9", "environment STREAMGUARD_SERVER__LISTEN")
    assert found["streams.door.source"] == ("rtsp://bob:***@cam/x", str(path))
    code, out, err = told("show", path, COLUMNS="200")
    assert code == 0
    assert "rtsp://bob:***@cam/x" in out
    assert "s3cret" not in out + err
    path.write_text("[server]\nlistn = 1")
    code, out, err = told("show", path)
    assert (code, out) == (7, "")
    assert "`listen` is meant" in err
    assert len(err.splitlines()) == 1


def test_schema() -> None:
    code, out, _ = told("schema")
    assert code == 0
    assert json.loads(out)["title"] == "streamguard.toml"
