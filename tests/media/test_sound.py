"""Sound beside the pictures: what is passed on, and when it is said to be."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import av
import pytest

from streamguard.media import SoundPacket, open_source
from streamguard.media.sound import SoundTap
from tests.support.flash_beep import RATE, flash_beep_clip
from tests.support.media_files import make_video


def heard(path: Path | str, pictures: int | None = None) -> tuple[list[SoundPacket], list[float]]:
    """The sound of a source, and its pictures' times."""
    sound: list[SoundPacket] = []
    with open_source(path, sound=sound.append) as source:
        times = [frame.time for frame in itertools.islice(source, pictures)]
    return sound, times


@pytest.mark.parametrize(
    ("suffix", "codec", "name"),
    [
        ("mp4", "aac", "aac"),
        ("ts", "aac", "aac"),
        ("flv", "aac", "aac"),
        ("ts", "mp2", "mp2"),
        ("ts", "libmp3lame", "mp3"),
        ("mkv", "libopus", "opus"),
    ],
)
def test_every_packet_at_its_time(tmp_path: Path, suffix: str, codec: str, name: str) -> None:
    path = flash_beep_clip(tmp_path / f"in.{suffix}", 3, codec=codec)
    sound, _ = heard(path)
    with av.open(str(path)) as file:
        count = sum(bool(packet.size) for packet in file.demux(audio=0))
    assert len(sound) == count
    assert {packet.head.codec for packet in sound} == {name}
    assert len({packet.head.key for packet in sound}) == 1
    # The encoder's own delay comes before the first picture.
    assert -0.05 < float(sound[0].time) <= 0
    steps = [float(b.time - a.time) for a, b in itertools.pairwise(sound)]
    assert steps == pytest.approx([float(sound[0].duration)] * len(steps), abs=0.002)


def test_the_frame_of_a_transport_stream_is_taken_off(tmp_path: Path) -> None:
    path = flash_beep_clip(tmp_path / "in.ts", 1)
    with av.open(str(path)) as file:
        framed = [bytes(packet) for packet in file.demux(audio=0) if packet.size]
    sound, _ = heard(path)
    assert [packet.data for packet in sound] == [data[7:] for data in framed]
    # AudioSpecificConfig: AAC LC, 48 kHz, mono (ISO/IEC 14496-3, 1.6.2.1).
    assert sound[0].head.key[-1] == bytes([0x11, 0x88])


def test_a_looped_file_loses_no_sound_and_stays_in_step(tmp_path: Path) -> None:
    path = flash_beep_clip(tmp_path / "in.mp4", 1)
    once, _ = heard(path)
    sound, times = heard(f"loop:{path}", 3 * RATE + 5)
    again = [index for index, packet in enumerate(sound) if packet.data == once[20].data]
    assert len(again) >= 3
    begins = [float(sound[index].time) for index in again]
    assert [b - a for a, b in itertools.pairwise(begins)] == pytest.approx([1.0] * (len(begins) - 1), abs=0.002)
    assert times[RATE] == pytest.approx(1.0, abs=0.002)


@pytest.mark.parametrize("sound_first", [False, True])
def test_a_jump_of_the_clock_moves_sound_and_picture_together(tmp_path: Path, sound_first: bool) -> None:
    path = flash_beep_clip(tmp_path / "in.mp4", 1)
    told: list[SoundPacket] = []
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        tap = SoundTap(stream, told.append)
        packets = [packet for packet in file.demux(stream) if packet.size]
        base = stream.time_base or Fraction(1)
        jump, half = 5000, len(packets) // 2
        tap.shown(Fraction(0))
        for index, packet in enumerate(packets):
            # The pictures' clock leaps three packets before or behind that of the sound.
            if index == half + (3 if sound_first else -3):
                tap.shown(Fraction(jump))
            if index >= half and packet.pts is not None:
                packet.pts += round(jump / base)
            tap.push(packet)
    assert len(told) == len(packets)
    times = [float(packet.time) for packet in told]
    assert [b - a for a, b in itertools.pairwise(times)] == pytest.approx([1024 / 48_000] * (len(times) - 1), abs=1e-4)


def test_what_waits_for_a_picture_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = flash_beep_clip(tmp_path / "in.mp4", 2)
    told: list[SoundPacket] = []
    with av.open(str(path)) as file:
        stream = file.streams.audio[0]
        tap = SoundTap(stream, told.append)
        for _ in range(20):
            file.seek(0)
            for packet in file.demux(stream):
                tap.push(packet)
        assert told == []
        tap.shown(Fraction(0))
    assert 0 < len(told) <= 500


def test_a_source_without_sound_tells_none(tmp_path: Path) -> None:
    sound, times = heard(make_video(tmp_path / "a.mp4", frames=5))
    assert (len(sound), len(times)) == (0, 5)
