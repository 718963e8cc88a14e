"""Sound beside annotated pictures: copied where MP4 takes it, else AAC, and in step either way."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from streamguard.errors import OutputError
from streamguard.media import Mp4Writer, SoundPacket, open_source
from streamguard.media.soundtrack import SoundTrack
from tests.support.flash_beep import flash_beep_clip, offsets


def rewritten(clip: Path, out: Path, *, without: tuple[float, float] = (0.0, 0.0)) -> Path:
    """The clip decoded and encoded again with its sound, as an annotated video is; some seconds of sound are lost."""
    track = SoundTrack(out.with_name("sound"))

    def take(packet: SoundPacket) -> None:
        if not without[0] <= packet.time < without[1]:
            track.take(0, packet)

    writer: Mp4Writer | None = None
    with open_source(clip, sound=take) as source:
        for frame in source:
            writer = writer or Mp4Writer(out, frame.picture.width, frame.picture.height, 25)
            writer.write(frame.picture, frame.time)
    assert writer is not None
    try:
        writer.close(track)
    finally:
        track.close()
    assert [path.name for path in out.parent.iterdir() if path not in {clip, out}] == []
    return out


@pytest.mark.parametrize(
    ("suffix", "codec", "kept"),
    [
        ("mp4", "aac", "aac"),
        ("mkv", "libopus", "opus"),
        ("mkv", "ac3", "ac3"),
        ("mkv", "mp2", "aac"),
        ("mov", "pcm_s16le", "aac"),
    ],
)
def test_flash_and_beep_stay_together(tmp_path: Path, suffix: str, codec: str, kept: str) -> None:
    clip = flash_beep_clip(tmp_path / f"in.{suffix}", 3, codec=codec)
    out = rewritten(clip, tmp_path / "out.mp4")
    with av.open(str(out)) as file:
        assert file.streams.audio[0].codec_context.codec.canonical_name == kept
    before, after = offsets(clip), offsets(out)
    assert len(after) == 3
    assert max(abs(one - other) for one, other in zip(before, after, strict=True)) < 0.025


def test_a_gap_becomes_silence(tmp_path: Path) -> None:
    clip = flash_beep_clip(tmp_path / "in.mov", 4, codec="pcm_s16le")
    out = rewritten(clip, tmp_path / "out.mp4", without=(1.2, 2.9))
    # The second beep is lost by half, the third whole; the fourth is where it was.
    assert abs(offsets(out)[-1]) < 0.025


def test_a_clip_without_sound_has_none(tmp_path: Path) -> None:
    silent = Mp4Writer(tmp_path / "in.mp4", 64, 48, 25)
    from tests.media.test_encoder import pictures

    for index, picture in enumerate(pictures(5)):
        silent.write(picture, index / 25)
    silent.close(SoundTrack(tmp_path / "sound"))
    with av.open(str(tmp_path / "in.mp4")) as file:
        assert not file.streams.audio


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    clip = flash_beep_clip(tmp_path / "in.mp4", 1)
    (tmp_path / "sound").symlink_to("/dev/full")
    with pytest.raises(OutputError, match="no space left"):
        rewritten(clip, tmp_path / "out.mp4")
    assert not (tmp_path / "out.mp4").exists()


def test_sound_before_the_first_picture_is_left_out(tmp_path: Path) -> None:
    heard: list[SoundPacket] = []
    with open_source(flash_beep_clip(tmp_path / "in.mp4", 1), sound=heard.append) as source:
        list(source)
    track = SoundTrack(tmp_path / "sound")
    early = SoundPacket(b"x", Fraction(-1), Fraction(1, 50), heard[0].base, heard[0].head)
    track.take(0, early)
    assert not track.heard
    track.take(1, heard[0])
    assert not track.heard
    track.close()
    assert np.allclose(float(heard[0].time), 0, atol=0.05)
