"""One detector is the default, everywhere."""

from __future__ import annotations

from streamguard.cli.lazy import COMMANDS, load
from streamguard.config import Config
from streamguard.models import DEFAULT_MODEL, available


def test_every_command_and_the_server_take_the_same_detector() -> None:
    defaults = {
        name: option.default
        for name in COMMANDS
        for option in load(name).params
        if option.name in {"model", "detector"} and isinstance(option.default, str)
    }
    assert {"watch", "scan", "demo", "evaluate"} <= set(defaults)
    assert set(defaults.values()) == {DEFAULT_MODEL}
    assert Config().engine.model == DEFAULT_MODEL
    assert DEFAULT_MODEL in available()
