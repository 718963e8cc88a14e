"""One stream's annotated pictures, encoded once, and its sound beside them, on one clock that never goes back."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from streamguard.media.live_encoder import CLOCK, LiveEncoder
from streamguard.media.output.target import SEGMENT_SECONDS
from streamguard.media.packet_ring import CompressedPacket
from streamguard.media.received_packets import codec_head
from streamguard.media.sound import SoundHead, SoundPacket
from streamguard.types import Frame, Picture

_WAITING = 2000
"""Sound packets that wait for their pictures: more than half a minute of any codec."""
_GAP = Fraction(1, 25)
_SETTLE = 1.0
"""Seconds of pictures that are held off until it is known whether there is sound: outputs then need not begin twice."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Codecs of the packets; another object where an output has to begin anew.

    Attributes:
        video: a tiny file that carries the video codec's parameters.
        sound: the same of the sound; None where there is none.
    """

    video: bytes
    sound: SoundHead | None


@dataclass(frozen=True, slots=True)
class OutPacket:
    """One packet for every output.

    Attributes:
        kind: whose it is.
        packet: bytes and times; times of both kinds count from the same moment and rise.
        heads: what kind of stream it belongs to.
    """

    kind: Literal["video", "sound"]
    packet: CompressedPacket
    heads: Heads


class Mixer:
    """Encodes pictures as H.264 with a keyframe every two seconds, and puts the sound of the same moments beside them.

    Sound is passed on as it came, and waits until the picture of its time is there. The output's clock is the
    source's; at a reconnect it leaps by the time that has passed. `sound` may be called from any thread, `picture`
    from one at a time. A stream that has no sound begins a second late.

    Args:
        bitrate: bits per second; default: by the picture's size.
    """

    def __init__(self, bitrate: int | None = None) -> None:
        self._encoder = LiveEncoder("h264", bitrate)
        self._lock = threading.Lock()
        self._waiting: deque[tuple[int, SoundPacket]] = deque()
        self._sound: SoundHead | None = None
        self._heads: Heads | None = None
        self._size = (0, 0)
        self._epoch: int | None = None
        self._shift = Fraction(0)
        self._zero, self._first = 0.0, Fraction(0)
        self._last = self._sound_last = Fraction(-1)
        self._keyframe_at = Fraction(-SEGMENT_SECONDS)
        self._keyframe_wanted = False
        self.sound_dropped = 0
        """Sound packets that waited in vain for a picture."""

    def sound(self, epoch: int, packet: SoundPacket) -> None:
        """Take a packet of the source's sound; a `SoundListener`."""
        with self._lock:
            if len(self._waiting) >= _WAITING:
                self._waiting.popleft()
                self.sound_dropped += 1
            self._waiting.append((epoch, packet))

    def request_keyframe(self) -> None:
        """Make the next picture a keyframe. From any thread."""
        self._keyframe_wanted = True

    def picture(self, picture: Picture, frame: Frame) -> list[OutPacket]:
        """Encode a picture; its packet, behind the sound up to its moment. Blocks for as long as encoding takes.

        Args:
            picture: what is shown.
            frame: whose time it is; frames come in order.

        Raises:
            av.FFmpegError: the encoder refuses it.
        """
        moment = self._moment(frame)
        sound = self._sound_until(frame.epoch, moment)
        if self._heads is None and self._sound is None and moment - self._first < _SETTLE:
            return []
        size = (picture.width, picture.height)
        keyframe = moment - self._keyframe_at >= SEGMENT_SECONDS or size != self._size or self._heads is None
        if keyframe or self._keyframe_wanted:
            keyframe, self._keyframe_at, self._keyframe_wanted = True, moment, False
        packets: list[OutPacket] = []
        for encoded in self._encoder.encode(picture, round(moment * CLOCK), keyframe=keyframe):
            # No B-frames: packets are decoded in the order in which they are shown.
            pts = encoded.pts or 0
            base = Fraction(1, CLOCK)
            one = CompressedPacket(bytes(encoded), pts, pts, encoded.duration or 0, base, bool(encoded.is_keyframe))
            if one.keyframe:
                self._begin(one, size)
            if self._heads is not None:
                packets.append(OutPacket("video", one, self._heads))
        if self._heads is None:
            return []
        return [OutPacket("sound", one, self._heads) for one in sound] + packets

    def _moment(self, frame: Frame) -> Fraction:
        """The frame's time on the output's clock, in seconds."""
        time = Fraction(frame.time)
        if self._epoch is None:
            self._zero, self._first = frame.arrived - frame.time, time
        if self._epoch != frame.epoch or time + self._shift <= self._last:
            passed = Fraction(frame.arrived - frame.time - self._zero)
            self._epoch, self._shift = frame.epoch, max(passed, self._last + _GAP - time)
        self._last = time + self._shift
        return self._last

    def _sound_until(self, epoch: int, moment: Fraction) -> list[CompressedPacket]:
        found: list[CompressedPacket] = []
        with self._lock:
            while self._waiting:
                number, packet = self._waiting[0]
                if number > epoch or (number == epoch and packet.time + self._shift > moment):
                    break
                self._waiting.popleft()
                time = packet.time + self._shift
                if number < epoch or time < 0 or time <= self._sound_last:
                    self.sound_dropped += 1
                    continue
                self._sound_last = time
                if self._sound is None or self._sound.key != packet.head.key:
                    self._sound, self._heads = packet.head, None
                    found.clear()
                pts, duration = round(time / packet.base), round(packet.duration / packet.base)
                found.append(CompressedPacket(packet.data, pts, pts, duration, packet.base, True))
        return found

    def _begin(self, keyframe: CompressedPacket, size: tuple[int, int]) -> None:
        if self._heads is None or size != self._size:
            self._size = size
            self._heads = Heads(codec_head("h264", keyframe), self._sound)
