"""One detector is the default, everywhere."""

from __future__ import annotations

from typer.main import get_command

from streamguard.cli import app
from streamguard.config import Config
from streamguard.models import DEFAULT_MODEL, available


def test_every_command_and_the_server_take_the_same_detector() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]  # typer makes a group
    defaults = {
        name: option.default
        for name, command in commands.items()
        for option in command.params
        if option.name in {"model", "detector"} and isinstance(option.default, str)
    }
    assert {"watch", "scan", "demo", "evaluate"} <= set(defaults)
    assert set(defaults.values()) == {DEFAULT_MODEL}
    assert Config().engine.model == DEFAULT_MODEL
    assert DEFAULT_MODEL in available()
