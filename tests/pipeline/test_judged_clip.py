"""Kept clips, judged again."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from streamguard.errors import StreamguardError
from streamguard.pipeline.guard import Guard
from streamguard.pipeline.judged_clip import judged_clip
from tests.support.portraits import portrait_clip

RATE = 15
"""Judged frames of a second, at the most."""


async def test_the_score_tells_where_the_fake_begins(tmp_path: Path, detector: Path) -> None:
    path = portrait_clip(tmp_path / "half.mp4", 2.0, (1.0, 2.0))
    async with Guard.open(str(detector), "torch") as guard:
        judged = await judged_clip(guard, path.read_bytes(), "clip.mp4")
        assert 20 <= len(judged.frames) <= 2 * RATE + 1
        assert all((frame.score or 0.0) < 0.5 for frame in judged.frames if frame.time < 0.9)
        assert all((frame.score or 0.0) > 0.5 for frame in judged.frames if frame.time > 1.1)
        painted = tmp_path / "painted.mp4"
        painted.write_bytes(judged.video)
        with av.open(str(painted)) as video:
            assert sum(1 for _ in video.decode(video=0)) == len(judged.frames)
        with pytest.raises(StreamguardError):
            await judged_clip(guard, b"no video at all", "clip.mp4")
