"""Pictures and sound on one clock: which goes when, and what begins an output anew."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from streamguard.media import SoundPacket, picture_from_rgb
from streamguard.media.output import Mixer, OutPacket
from streamguard.media.sound import SoundHead
from streamguard.types import Frame, Picture
from tests.support.media_files import picture

AAC = SoundHead(b"head", "aac", ("aac", 48_000))
STEP = Fraction(1024, 48_000)


def sounds(begin: float, end: float, head: SoundHead = AAC) -> list[SoundPacket]:
    """Packets that begin in that time."""
    first, last = (round(Fraction(moment) / STEP) for moment in (begin, end))
    return [SoundPacket(b"%d" % n, n * STEP, STEP, Fraction(1, 48_000), head) for n in range(first, last)]


def shown(index: int, epoch: int = 0, *, lag: float = 0.0, size: tuple[int, int] = (64, 48)) -> tuple[Picture, Frame]:
    image = picture_from_rgb(picture(index, *size))
    return image, Frame("s", epoch, index, index / 25, index / 25 + lag, image)


def times(packets: list[OutPacket], kind: str) -> list[float]:
    return [one.packet.time for one in packets if one.kind == kind]


def test_sound_waits_for_its_picture() -> None:
    mixer = Mixer()
    for packet in sounds(0.0, 4.0):
        mixer.sound(0, packet)
    packets: list[OutPacket] = []
    for index in range(75):
        made = mixer.picture(*shown(index))
        assert all(moment <= index / 25 for moment in times(made, "sound"))
        assert made[-1].kind == "video"
        packets += made
    assert times(packets, "video") == pytest.approx([i / 25 for i in range(75)], abs=1e-4)
    sound = times(packets, "sound")
    assert sound == pytest.approx([i * float(STEP) for i in range(len(sound))], abs=1e-4)
    assert sound[-1] == pytest.approx(74 / 25, abs=float(STEP))
    keyframes = [one.packet.time for one in packets if one.kind == "video" and one.packet.keyframe]
    assert {0.0, 2.0} <= set(keyframes)
    assert len({id(one.heads) for one in packets}) == 1
    assert mixer.sound_dropped == 0


def test_a_new_epoch_leaps_by_the_time_that_has_passed() -> None:
    mixer = Mixer()
    mixer.sound(0, sounds(0.0, 0.1)[0])
    packets = [one for index in range(25) for one in mixer.picture(*shown(index, lag=100.0))]
    # Sound of the connection that broke, whose pictures will never come.
    for packet in sounds(1.5, 2.0):
        mixer.sound(0, packet)
    for packet in sounds(0.0, 1.0):
        mixer.sound(1, packet)
    again = [one for index in range(10) for one in mixer.picture(*shown(index, 1, lag=108.0))]
    assert times(again, "video") == pytest.approx([8 + i / 25 for i in range(10)], abs=1e-4)
    assert times(again, "sound")[0] == pytest.approx(8.0, abs=1e-4)
    everything = times(packets + again, "video")
    assert all(a < b for a, b in itertools.pairwise(everything))
    assert mixer.sound_dropped == len(sounds(1.5, 2.0))
    # The same codec: no output has to begin anew.
    assert len({id(one.heads) for one in packets + again}) == 1


def test_a_reconnect_that_took_no_time_still_goes_forward() -> None:
    mixer = Mixer()
    mixer.sound(0, sounds(0.0, 0.1)[0])
    first = [one for index in range(5) for one in mixer.picture(*shown(index))]
    again = [one for index in range(5) for one in mixer.picture(*shown(index, 1))]
    assert times(again, "video")[0] > times(first, "video")[-1]


def test_another_size_or_codec_begins_anew_at_a_keyframe() -> None:
    mixer = Mixer()
    mp3 = SoundHead(b"other", "mp3", ("mp3", 48_000))
    for packet in sounds(0.0, 0.6):
        mixer.sound(0, packet)
    packets = []
    for index in range(30):
        if index == 20:
            for packet in sounds(0.7, 2.0, mp3):
                mixer.sound(0, packet)
        packets += mixer.picture(*shown(index, size=(96, 64) if 10 <= index < 20 else (64, 48)))
    changed = [b for a, b in itertools.pairwise(packets) if b.heads is not a.heads]
    assert len(changed) == 2
    video = [one for one in packets if one.kind == "video"]
    begins = [b for a, b in itertools.pairwise(video) if b.heads is not a.heads]
    assert all(one.packet.keyframe for one in begins)
    assert [one.heads.sound for one in begins] == [AAC, mp3]


def test_without_sound_the_first_second_is_held_off() -> None:
    mixer = Mixer()
    made = [mixer.picture(*shown(index)) for index in range(30)]
    assert not any(made[:25])
    assert all(made[25:])
    assert made[25][0].packet.keyframe
    assert made[25][0].heads.sound is None


def test_a_keyframe_when_one_is_asked_for() -> None:
    mixer = Mixer()
    mixer.sound(0, sounds(0.0, 0.1)[0])
    image = picture_from_rgb(picture(0))
    made: list[OutPacket] = []
    for index in range(10):
        if index == 6:
            mixer.request_keyframe()
        made += mixer.picture(image, Frame("s", 0, index, index / 25, index / 25, image))
    video = [one.packet.keyframe for one in made if one.kind == "video"]
    assert video == [index in {0, 6} for index in range(10)]


def test_sound_whose_pictures_never_come_is_bounded() -> None:
    mixer = Mixer()
    for packet in sounds(0.0, 60.0):
        mixer.sound(0, packet)
    assert mixer.sound_dropped == len(sounds(0.0, 60.0)) - 2000
