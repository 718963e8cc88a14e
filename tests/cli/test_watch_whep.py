"""`streamguard watch` on a WHEP endpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run, assert_one_line
from tests.server.page.serving import served
from tests.server.test_auth import TOKENS, VIEW


def test_a_stream_of_a_server_is_watched(
    run: Run, half_fake: Path, detector: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams = [{"name": "clip", "source": str(half_fake)}]
    with served(tmp_path, detector, tokens=TOKENS, streams=streams) as server:
        url = f"whep+{server.url}/whep/clip?overlay=none"
        assert_one_line(run("watch", url), 3, "asks for a token")
        assert_one_line(run("watch", url, "--token", "not-the-right-one-0123"), 3, "refuses the one given")
        monkeypatch.setenv("STREAMGUARD_SOURCE_TOKEN", VIEW)
        result = run("watch", url, "--jsonl", "--seconds", 15)
    assert (result.returncode, result.stderr) == (0, "")
    assert VIEW not in result.stdout
    kinds = [json.loads(line)["kind"] for line in result.stdout.splitlines()]
    assert kinds[0] == "stream.up"
    assert "fake.opened" in kinds
