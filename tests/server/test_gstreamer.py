"""Another implementation plays: GStreamer's `webrtcbin`."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.server.conftest import ServeWith
from tests.server.peers import until
from tests.support.portraits import SIZE

PIPE = asyncio.subprocess.PIPE
PLAYER = Path(__file__).parents[1] / "support" / "gst_whep_player.py"
MISSING = 77


@pytest.mark.parametrize("codec", ["VP8", "H264"])
async def test_gstreamer_plays(serve_with: ServeWith, half_fake: Path, codec: str) -> None:
    python = "/usr/bin/python3"
    if shutil.which(python) is None:
        pytest.skip(f"no {python} to run GStreamer with")
    async with serve_with(streams=[{"name": "clip", "source": str(half_fake)}]) as (server, _):
        line = [python, str(PLAYER), f"{server.url}/whep/clip?overlay=live", codec, "30"]
        player = await asyncio.create_subprocess_exec(*line, stdout=PIPE, stderr=PIPE)
        said, trouble = await player.communicate()
        if player.returncode == MISSING:
            pytest.skip(f"GStreamer lacks {said.decode().removeprefix('MISSING ').strip()}")
        assert player.returncode == 0, trouble.decode()
        assert said.decode() == f"FRAMES 30 {SIZE[0]}x{SIZE[1]}\n"
        # Its DELETE was taken, or its silence noticed.
        await until(lambda: server.book.count() == 0)
