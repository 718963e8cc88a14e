"""Another implementation publishes: FFmpeg's `whip` muxer."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import av
import pytest

from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.server.test_auth import TOKENS, certificate
from tests.support.portraits import SIZE
from tests.support.training_data import environment

SEND = str(TOKENS[2]["token"])
PIPE = asyncio.subprocess.PIPE


async def test_ffmpeg_publishes_and_is_judged(serve_with: ServeWith, tmp_path: Path) -> None:
    if "whip" not in av.formats_available:
        pytest.skip("this FFmpeg has no whip muxer")
    async with serve_with(tokens=TOKENS) as (server, _):
        line = [sys.executable, "-m", "tests.server.ffmpeg_publisher", f"{server.url}/whip/ff"]
        files = map(str, certificate(tmp_path))
        ffmpeg = await asyncio.create_subprocess_exec(*line, *files, SEND, stdin=PIPE, stderr=PIPE, env=environment())
        assert ffmpeg.stdin is not None
        try:
            await until(lambda: server.events.counts["fake.opened"] or ffmpeg.returncode is not None)
            assert server.hub.find("ff").status().size[0] == SIZE[0]
        finally:
            ffmpeg.stdin.close()
            _, trouble = await ffmpeg.communicate()
        assert ffmpeg.returncode == 0, trouble.decode()
        # Its end is a DELETE of the session.
        await until(lambda: not server.hub.streams() and server.book.count() == 0)
