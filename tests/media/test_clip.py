"""Clips cut from the ring of packets: what is in them, what they begin with, and how much is held."""

from __future__ import annotations

import hashlib
import io
from functools import partial
from pathlib import Path

import av
import pytest

from streamguard.errors import CorruptMedia
from streamguard.media import picture_of
from streamguard.media.clip import clip_bytes
from streamguard.media.packet_ring import PacketRing, stream_head
from tests.support.media_files import index_of, make_video

RATE = 25


def ring_of(path: Path, **options: float) -> PacketRing:
    """A ring through which a file's packets have run; the file is closed again."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        ring = PacketRing(partial(stream_head, stream), **options)  # type: ignore[arg-type]  # keyword arguments passed on
        for packet in source.demux(stream):
            ring.push(packet)
    return ring


def pictures(clip: bytes) -> list[tuple[float, int]]:
    """(time, which picture) of each frame of a clip."""
    found = []
    with av.open(io.BytesIO(clip)) as file:
        for frame in file.decode(video=0):
            picture = picture_of(frame)
            assert picture is not None
            assert frame.time is not None
            found.append((frame.time, index_of(picture.y)))
    return found


@pytest.fixture(scope="module")
def eight_seconds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_video(tmp_path_factory.mktemp("clip") / "long.mp4", frames=8 * RATE, rate=RATE)


def test_a_clip_begins_at_a_keyframe_before_and_holds_the_very_packets(eight_seconds: Path) -> None:
    head, packets = ring_of(eight_seconds, seconds=20.0).cut(3.0, 5.0)
    assert packets[0].keyframe
    assert packets[0].time <= 3.0
    clip = clip_bytes(head, packets)
    with av.open(io.BytesIO(clip)) as file:
        copied = [hashlib.sha256(bytes(one)).digest() for one in file.demux(video=0) if one.size]
        keyframes = file.streams.video[0].frames
    assert copied == [hashlib.sha256(one.data).digest() for one in packets], "nothing was encoded again"
    assert keyframes == len(packets)
    shown = pictures(clip)
    assert len(shown) == len(packets)
    assert shown[0][0] == pytest.approx(0.0, abs=0.1)
    first = round(packets[0].time * RATE)
    assert [index for _, index in shown] == [(first + n) % 10 for n in range(len(shown))]


def test_the_ring_is_bounded_in_time_and_bytes(eight_seconds: Path) -> None:
    ring = ring_of(eight_seconds, seconds=2.0)
    _, packets = ring.cut(0.0, 100.0)
    assert packets[0].keyframe
    assert 2.0 <= packets[-1].time - packets[0].time < 4.0
    assert ring.size == sum(len(one.data) for one in packets)
    small = ring_of(eight_seconds, seconds=20.0, most_bytes=ring.size)
    assert 0 < small.size <= ring.size


def test_a_ring_too_small_for_one_group_holds_nothing_rather_than_rubbish(eight_seconds: Path) -> None:
    with pytest.raises(CorruptMedia, match="held any more"):
        ring_of(eight_seconds, most_bytes=10).cut(0.0, 100.0)


def test_what_was_never_there(eight_seconds: Path) -> None:
    with pytest.raises(CorruptMedia):
        ring_of(eight_seconds).cut(-5.0, -1.0)
    with pytest.raises(CorruptMedia, match="no packets"):
        clip_bytes(b"", [])


def test_parameters_within_the_stream(eight_seconds: Path, tmp_path: Path) -> None:
    """MPEG-TS carries H.264 with its parameters among the pictures, as WebRTC does."""
    transport = tmp_path / "x.ts"
    with av.open(str(eight_seconds)) as source, av.open(str(transport), "w", format="mpegts") as file:
        stream = file.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                file.mux(packet)
    head, packets = ring_of(transport, seconds=20.0).cut(4.0, 6.0)
    shown = pictures(clip_bytes(head, packets))
    assert len(shown) == len(packets) > RATE
