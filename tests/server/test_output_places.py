"""Where outputs lead: folders that are not there yet, places that are taken, and what the log says of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from streamguard.config import read_config
from streamguard.errors import InvalidConfig
from tests.server.peers import until
from tests.server.test_reload import entry, reloadable, reloaded
from tests.server.test_reload_signal import served
from tests.support.settings import sections, toml
from tests.support.warm import warm_python


def written(path: Path, **settings: Any) -> Path:
    """The file with these settings."""
    path.write_text(toml(sections(**settings)))
    return path


async def test_a_missing_folder_keeps_no_guard_from_starting(detector: Path, real: Path, tmp_path: Path) -> None:
    share, port = tmp_path / "share", {"port": 0}
    streams = [entry("a", real, outputs=[str(share / "hls"), str(tmp_path / "a.ts")])]
    config = written(tmp_path / "guard.toml", model=str(detector), engine="torch", streams=streams, **port)
    check = [*warm_python(), "-m", "streamguard", "config", "check", str(config)]
    checked = await asyncio.to_thread(subprocess.run, check, capture_output=True, text=True, check=False)
    assert (checked.returncode, "all right" in checked.stdout) == (0, True)
    assert f"streams.a.outputs: {share / 'hls'} is not there yet" in checked.stderr
    async with served(config) as server:
        told = json.loads(await server.said('"event": "output down"'))
        assert (told["level"], told["stream"], told["output"]) == ("warning", "a", str(share / "hls" / "live.m3u8"))
        assert "its folder does not exist" in told["detail"]
        assert told["retry"] >= 0
        (share / "hls").mkdir(parents=True)
        while "hls" not in (told := json.loads(await server.said('"event": "output up"')))["output"]:
            continue
        assert (told["level"], told["stream"]) == ("info", "a")
        # Another stream may not have what one has.
        written(config, model=str(detector), engine="torch", streams=[*streams, {**streams[0], "name": "b"}], **port)
        refused = await server.reloaded()
        assert refused["event"] == "configuration not reloaded"
        assert "`a` and `b`" in refused["problems"][0]


@pytest.mark.parametrize(
    ("first", "second", "told"),
    [
        (["hls"], ["hls/"], "streams.b.outputs: two outputs lead to the same place, hls/: `a` and `b`"),
        (["a.ts"], ["x.m3u8", "./a.ts"], "`a` and `b`"),
        (["rtsp://me:s3cret@host/x"], ["rtsp://host:554/x"], "`a` and `b`"),
        (["rtmp://h/live/s3cret"], ["rtmp://h/live/s3cret"], "rtmp://h/live/***: `a` and `b`"),
        (["udp://239.0.0.1:5", "udp://239.0.0.1:5?ttl=2"], [], "`a` twice"),
        ([""], [], "streams.a.outputs: output: it is empty"),
    ],
)
def test_what_is_refused(tmp_path: Path, real: Path, first: list[str], second: list[str], told: str) -> None:
    streams = [entry("a", real, outputs=first), entry("b", real, outputs=second)]
    with pytest.raises(InvalidConfig) as error:
        read_config(written(tmp_path / "guard.toml", streams=streams))
    (problem,) = error.value.problems
    assert told in str(problem)
    assert "s3cret" not in str(problem)


async def test_two_streams_swap_their_places(detector: Path, real: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one.ts", tmp_path / "two.ts"
    streams = [entry("a", real, outputs=[str(one)]), entry("b", real, outputs=[str(two)])]
    async with reloadable(detector, tmp_path, streams=streams) as (server, http, file):
        await until(lambda: one.exists() and two.exists())
        file.write(streams=[entry("a", real, outputs=[str(two)]), entry("b", real, outputs=[str(one)])])
        assert await reloaded(http) == {"streams_changed": ["a", "b"]}
        restreams = [server.hub.find(name).restream for name in ("a", "b")]
        assert [each.targets[0].file for each in restreams if each is not None] == [two, one]
        await until(lambda: all(each is not None and each.outputs[0].sent for each in restreams))
        assert all(each is not None and each.outputs[0].failures == 0 for each in restreams)
