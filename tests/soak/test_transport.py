"""A file as the MPEG-TS of a live encoder: every picture, over and over, none before it was taken."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from streamguard.errors import NoVideo, SourceNotFound
from streamguard.media import open_source
from tests.support.media_files import make_video
from tests.support.transport import transport_units


@pytest.mark.parametrize("b_frames", [0, 2])
def test_a_clip_is_looped_without_a_seam(tmp_path: Path, b_frames: int) -> None:
    path = make_video(tmp_path / "a.mp4", frames=20, rate=25, b_frames=b_frames)
    units, rate = transport_units(path, 2.0)
    assert rate == 25.0
    assert len(units) == 60
    moments = [moment for moment, _ in units]
    assert all(later - sooner == pytest.approx(0.04) for sooner, later in pairwise(moments))
    # An encoder that reorders holds pictures back.
    assert moments[0] == pytest.approx(0.04 * b_frames)
    assert all(len(unit) % 188 == 0 < len(unit) for _, unit in units)
    played = tmp_path / "a.ts"
    played.write_bytes(b"".join(unit for _, unit in units))
    with open_source(played) as source:
        times = [frame.time for frame in source]
        assert source.decode_errors == 0
    assert times == pytest.approx([n / 25 for n in range(60)])


def test_what_holds_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NoVideo):
        transport_units(make_video(tmp_path / "a.mp4", audio_only=True), 1.0)
    with pytest.raises(SourceNotFound):
        transport_units(tmp_path / "none.mp4", 1.0)
