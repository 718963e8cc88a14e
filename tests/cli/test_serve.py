"""`serve` tells what it would be refused before it loads anything."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from streamguard.errors import OutputError
from streamguard.server.listening import check_listening
from tests.cli.conftest import Run, assert_one_line
from tests.support.settings import config_of


def test_an_address_that_is_taken_is_told_before_a_detector_is_looked_for(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", port, "--model", "none")
    assert_one_line(result, 9, f"127.0.0.1:{port}: cannot listen there")


def test_what_the_check_finds_serve_tells_too(run: Run, tmp_path: Path) -> None:
    config = tmp_path / "serve.toml"
    config.write_text('[server]\nlisten = "127.0.0.1:0"\nsinks = ["none"]\n[engine]\nmodel = "nope"\n')
    assert_one_line(run("serve", "--config", config), 7, "engine.model", "nope", "and 1 more")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_an_address_that_is_free_is_left_free(host: str) -> None:
    settings = config_of(host=host, port=0).server
    for _ in range(2):
        check_listening(settings)


def test_an_address_of_another_machine() -> None:
    settings = config_of(host="192.0.2.1", port=0, tokens=[{"token": "x" * 16, "scopes": ["view"]}]).server
    with pytest.raises(OutputError, match="cannot listen"):
        check_listening(settings)
