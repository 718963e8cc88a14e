"""HLS segments as browsers take them: the same packets on the same clock, in another box."""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from streamguard.errors import CorruptMedia
from streamguard.media.output.segment import browser_segment
from tests.support.flash_beep import flash_beep_clip
from tests.support.media_files import make_video


def as_segment(clip: Path, begin: float) -> bytes:
    """The clip's packets as MPEG-TS whose clock begins there."""
    memory = io.BytesIO()
    options = {"muxdelay": "0", "avoid_negative_ts": "disabled"}
    with av.open(str(clip)) as source, av.open(memory, "w", format="mpegts", container_options=options) as file:
        tracks = {one.index: file.add_stream_from_template(one, opaque=True) for one in source.streams}
        for packet in source.demux():
            if packet.dts is None or packet.pts is None or packet.time_base is None:
                continue
            shift = round(Fraction(begin) / packet.time_base)
            packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
            packet.stream = tracks[packet.stream_index]
            file.mux(packet)
    return memory.getvalue()


def times(data: bytes, kind: str, format: str) -> list[float]:
    """When each frame of a track is shown."""
    with av.open(io.BytesIO(data), "r", format=format) as file:
        stream: Any = next(one for one in file.streams if one.type == kind)
        return [float(frame.pts * frame.time_base) for frame in file.decode(stream)]


@pytest.mark.parametrize("begin", [0.0, 7200.0, 95_000.0])
def test_picture_and_sound_keep_their_times(tmp_path: Path, begin: float) -> None:
    segment = as_segment(flash_beep_clip(tmp_path / "a.mp4", 2), begin)
    made = browser_segment(segment)
    for kind in ("video", "audio"):
        before, after = times(segment, kind, "mpegts"), times(made.data, kind, "mp4")
        assert len(after) == len(before) > 40
        assert after == pytest.approx(before, abs=1e-4)
    assert made.start == pytest.approx(
        min(times(segment, "video", "mpegts")[0], times(segment, "audio", "mpegts")[0]), abs=0.1
    )
    assert made.type.startswith('video/mp4; codecs="avc1.')
    assert made.type.endswith(',mp4a.40.2"')


def test_the_codec_is_told_as_the_parameters_tell_it(tmp_path: Path) -> None:
    clip = make_video(tmp_path / "a.mp4", frames=20)
    with av.open(str(clip)) as file:
        # AVCDecoderConfigurationRecord (ISO 14496-15): a version, then profile, constraints and level.
        extradata = file.streams.video[0].codec_context.extradata or b""
    made = browser_segment(as_segment(clip, 0.0))
    assert made.type == f'video/mp4; codecs="avc1.{extradata[1:4].hex()}"'


def test_sound_that_browsers_do_not_play_is_left_out(tmp_path: Path) -> None:
    segment = as_segment(flash_beep_clip(tmp_path / "a.mkv", 1, codec="ac3"), 0.0)
    made = browser_segment(segment)
    assert "," not in made.type
    with av.open(io.BytesIO(made.data)) as file:
        assert [stream.type for stream in file.streams] == ["video"]


@pytest.mark.parametrize("data", [b"", b"hello", b"\x47" + bytes(187), b"\x47" * 1880])
def test_what_is_no_segment(data: bytes) -> None:
    with pytest.raises(CorruptMedia):
        browser_segment(data)


def test_a_segment_that_is_cut_off(tmp_path: Path) -> None:
    segment = as_segment(flash_beep_clip(tmp_path / "a.mp4", 2), 0.0)
    try:
        made = browser_segment(segment[: len(segment) // 3])
    except CorruptMedia:
        return
    assert 0 < len(times(made.data, "video", "mp4")) < 50
