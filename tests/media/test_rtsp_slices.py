"""Pictures cut into several slices, as many cameras send them, arrive whole."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest

from streamguard.media import SourceOptions, open_source
from streamguard.types import UInt8Array
from tests.support.media_files import make_video
from tests.support.portraits import RATE, SIZE, portrait_pictures
from tests.support.rtsp_server import RtspServer

SLICED = {"slices": {"slices": "4"}, "threads": {"x264-params": "sliced-threads=1:threads=4"}}
FRAMES = 30


def slices(path: Path) -> set[int]:
    """How many slices the file's pictures have (NAL unit types 1 and 5; ITU-T H.264, table 7-1)."""
    counts = set()
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            data, place, count = bytes(packet), 0, 0
            while place < len(data):
                count += data[place + 4] & 31 in (1, 5)
                place += 4 + int.from_bytes(data[place : place + 4], "big")
            counts |= {count} if data else set()
    return counts


def furthest(luma: UInt8Array, originals: list[UInt8Array]) -> float:
    """Mean difference of the upper half from the file's picture that is nearest."""
    half = luma.shape[0] // 2
    return min(float(np.abs(luma[:half].astype(int) - each[:half]).mean()) for each in originals)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("kind", SLICED)
@pytest.mark.parametrize("repeat_headers", [False, True], ids=["as is", "headers repeated"])
def test_they_are_those_of_the_file(
    tmp_path: Path, kind: str, transport: Literal["tcp", "udp"], repeat_headers: bool
) -> None:
    pictures = portrait_pictures(2.0)
    path = make_video(tmp_path / "a.mp4", size=SIZE, rate=RATE, pictures=pictures, options=SLICED[kind])
    assert min(slices(path)) > 2
    with open_source(path) as source:
        originals = [frame.picture.y for frame in source]
    with RtspServer(path, rate=RATE, transport=transport, repeat_headers=repeat_headers) as server:
        with open_source(server.url, SourceOptions(transport=transport)) as source:
            frames = [frame for frame, _ in zip(source, range(FRAMES), strict=False)]
        assert source.decode_errors == 0
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert max(furthest(frame.picture.y, originals) for frame in frames) < 0.01
