"""Pictures that nobody needs, and no other picture is made from, are not decoded; the others come out the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamguard.media import open_source
from streamguard.pipeline.sampling import Cap, Demand
from streamguard.types import UInt8Array
from tests.support.media_files import make_video
from tests.support.rtsp_server import RtspServer

RATE, FRAMES = 25, 100


def clip(path: Path, b_frames: int, pyramid: str = "normal", codec: str = "libx264") -> Path:
    """Pictures of noise that moves, so that each differs and B-frames pay."""
    random = np.random.default_rng(3)
    wide = random.integers(0, 255, (48, 64 + 2 * FRAMES, 3), np.uint8)
    pictures = [np.ascontiguousarray(wide[:, 2 * number : 2 * number + 64]) for number in range(FRAMES)]
    options = {"b-pyramid": pyramid, "x264-params": "scenecut=0:b-adapt=0"} if codec == "libx264" else {}
    return make_video(path, pictures=pictures, rate=RATE, gop=50, b_frames=b_frames, codec=codec, options=options)


class Judge:
    """Takes so many pictures a second, as a stream's judge does; everything else is spared."""

    def __init__(self, most: float) -> None:
        self.demand, self._cap = Demand(), Cap(most)
        self.demand.judge = self._cap.wants
        self.left_out = 0
        self.taken: dict[int, tuple[float, UInt8Array]] = {}

    def read(self, url: str | Path, *, spare: bool) -> None:
        """Judge a source to its end."""
        with open_source(url) as source:
            source.only(self.demand, self.demand.spares if spare else None)
            for frame in source:
                if self._cap.due(frame.time):
                    self._cap.taken(frame.time)
                    self.taken[frame.index] = frame.time, np.array(frame.picture.y)
            self.left_out = source.left_out


@pytest.mark.parametrize("container", ["mp4", "ts", "mkv"])
@pytest.mark.parametrize(
    ("b_frames", "pyramid", "share"), [(0, "none", 0.0), (1, "none", 0.25), (3, "none", 0.5), (3, "normal", 0.33)]
)
@pytest.mark.parametrize("most", [1.0, 5.0, 12.5, 25.0])
def test_the_judged_pictures_are_the_same(
    tmp_path: Path, container: str, b_frames: int, pyramid: str, share: float, most: float
) -> None:
    path = clip(tmp_path / f"a.{container}", b_frames, pyramid)
    whole, sparing = Judge(most), Judge(most)
    whole.read(path, spare=False)
    sparing.read(path, spare=True)
    assert whole.demand.received == sparing.demand.received == FRAMES
    assert [time for time, _ in whole.taken.values()] == [time for time, _ in sparing.taken.values()]
    for (_, expected), (_, found) in zip(whole.taken.values(), sparing.taken.values(), strict=True):
        assert np.array_equal(expected, found)
    if most == 25.0 or not b_frames:
        assert sparing.left_out == 0
    elif most == 1.0:
        assert sparing.left_out >= share * FRAMES


def test_other_codecs_are_decoded_whole(tmp_path: Path) -> None:
    judge = Judge(1.0)
    judge.read(clip(tmp_path / "a.mp4", 3, codec="mpeg4"), spare=True)
    assert judge.demand.received == FRAMES
    assert judge.left_out == 0


def test_pictures_are_spared_of_a_real_sender(tmp_path: Path) -> None:
    with RtspServer(clip(tmp_path / "a.mp4", 3, "none")) as server:
        judge, seen = Judge(1.0), 0
        with open_source(server.url) as source:
            source.only(lambda time: True, judge.demand.spares)
            for frame in source:
                seen += 1
                judge._cap.taken(frame.time)
                if frame.index >= 60:
                    break
            assert source.decode_errors == 0
            assert source.left_out > 20
            assert seen + source.left_out >= 60


@pytest.mark.parametrize(("seconds", "together"), [(0.02, 4), (0.0, 0)])
def test_pictures_that_nobody_needs_are_decoded_with_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, together: int
) -> None:
    """Unless that would keep the next one waiting for longer than it may."""
    monkeypatch.setattr("streamguard.media.decoder._HELD_SECONDS", seconds)
    judge, waiting = Judge(5.0), []
    with open_source(clip(tmp_path / "a.mp4", 0)) as source:

        def spared(time: float) -> bool:
            waiting.append(round(time * RATE) - source._decoder.decoded)
            return judge.demand.spares(time)

        source.only(judge.demand, spared)
        for frame in source:
            if judge._cap.due(frame.time):
                judge._cap.taken(frame.time)
    assert max(waiting) == together
    assert judge.demand.received == FRAMES
