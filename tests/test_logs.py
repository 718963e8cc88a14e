"""Log lines: those of every module go one way, and a program that embeds the package keeps its own handlers."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys

import pytest

from streamguard.logs import get_logger, log_fields
from tests.support.training_data import ROOT

SET_UP = """
import logging
from streamguard.logs import get_logger, log_fields, set_up_logs
set_up_logs("info", FORM)
log = get_logger("streamguard.some")
log.debug("unseen")
with log_fields(stream="hall"):
    log.info("output down", retry=0.5)
logging.getLogger("library").warning("%d things", 3, extra={"port": 80})
logging.getLogger("library").info("unseen")
password = "hunter2"
try:
    raise ValueError("broken")
except ValueError:
    log.exception("sink failed", sink="mail")
"""


def written(form: str) -> list[str]:
    """What a process writes to stderr."""
    code = SET_UP.replace("FORM", repr(form))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_a_command_writes_a_json_object_a_line() -> None:
    lines = written("json")
    down, things, failed = (json.loads(line) for line in lines)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", down.pop("timestamp"))
    assert down == {
        "event": "output down", "retry": 0.5, "stream": "hall", "level": "info", "logger": "streamguard.some"
    }  # fmt: skip
    assert (things["event"], things["port"], things["logger"]) == ("3 things", 80, "library")
    assert (failed["event"], failed["sink"], failed["level"]) == ("sink failed", "mail", "error")
    assert failed["exception"][0]["exc_value"] == "broken"
    assert "hunter2" not in "".join(lines)


def test_a_command_writes_text_for_people() -> None:
    text = "\n".join(written("text"))
    assert re.search(r"info +\] output down +\[streamguard\.some\] retry=0\.5 stream=hall", text)
    assert "ValueError: broken" in text
    assert "unseen" not in text


def test_another_program_s_handlers_read_every_field(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "streamguard.some")
    log = get_logger("streamguard.some")
    log.info("output up")
    try:
        raise ValueError("broken")
    except ValueError:
        log.exception("sink failed", sink="mail", id=7)
    log.debug("unseen")
    assert caplog.messages == ["output up", "sink failed: sink=mail, id=7"]
    assert "ValueError: broken" in caplog.text
    with log_fields(stream="hall"):
        log.info("output up")
    assert [record.levelname for record in caplog.records] == ["INFO", "ERROR", "INFO"]


def test_every_module_logs_that_way() -> None:
    # A command may listen to a logger; who writes takes `get_logger`.
    other = re.compile(r"^\w+ = logging\.getLogger\(|import structlog|from structlog", re.MULTILINE)
    sources = {path: path.read_text() for path in (ROOT / "streamguard").rglob("*.py")}
    assert [path.name for path, text in sources.items() if other.search(text)] == ["logs.py"]
