"""Sound that passes by undecoded: compressed packets on the clock of the pictures beside them."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

import av
import av.error
from av.audio.stream import AudioStream
from av.bitstream import BitStreamFilterContext

_WAITING = 500
"""Packets that wait for a picture to tell the time: some ten seconds."""
_LATE, _AHEAD = Fraction(1, 2), Fraction(10)
"""Seconds by which a packet may be away from the end of the one before, and still be of the same clock."""


@dataclass(frozen=True, slots=True)
class SoundHead:
    """Codec of a track's packets.

    Attributes:
        file: a tiny file that carries the codec's parameters.
        codec: libav's name of the codec.
        key: equal for tracks whose packets can follow each other.
    """

    file: bytes
    codec: str
    key: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class SoundPacket:
    """One compressed packet of a source's sound.

    Attributes:
        data: its bytes.
        time: media seconds on the clock of `Frame.time`: 0 at the epoch's first picture; may be negative.
        duration: seconds.
        base: the source's time base in seconds.
        head: what it is; the same object for all packets of a connection.
    """

    data: bytes
    time: Fraction
    duration: Fraction
    base: Fraction
    head: SoundHead


SoundListener: TypeAlias = Callable[[int, SoundPacket], None]
"""Called with the connection's number (`Frame.epoch`) and each packet, on the decode thread; must be quick."""


class SoundTap:
    """Puts a track's packets on the pictures' clock, and hands them on.

    The clocks of sound and picture leap together, but not at the same packet: a packet is placed by the newest two
    of the pictures' clocks, whichever lets it follow its predecessor, and waits for the next where neither does.

    Args:
        stream: the track.
        tell: gets every packet whose time is known.
    """

    def __init__(self, stream: AudioStream, tell: Callable[[SoundPacket], None]) -> None:
        self.index = stream.index
        self._stream, self._tell = stream, tell
        # What TS packs around each packet of AAC (ADTS) other containers refuse; they have it as parameters.
        aac = stream.codec_context.name == "aac"
        self._strip = BitStreamFilterContext("aac_adtstoasc", stream) if aac else None
        self._head: SoundHead | None = None
        self._offsets: deque[Fraction] = deque(maxlen=2)
        self._waiting: deque[tuple[Fraction, bytes, Fraction]] = deque(maxlen=_WAITING)
        self._end: Fraction | None = None

    def push(self, packet: av.Packet[AudioStream]) -> None:
        """Take a packet of the track; one that is damaged or without a time is left out."""
        base = packet.time_base
        if not packet.size or not base:
            return
        try:
            if self._head is None:
                self._head = _head(self._stream, bytes(packet), base)
            # The filter keeps what it is given.
            for each in [packet] if self._strip is None else self._strip.filter(packet):
                if each.pts is None or not each.size:
                    continue
                self._place(each.pts * base, bytes(each), (each.duration or 0) * base)
        except (av.FFmpegError, ValueError):
            return

    def shown(self, offset: Fraction | None) -> None:
        """A picture was decoded.

        Args:
            offset: its timestamp in seconds less its media time.
        """
        if offset is None or (self._offsets and offset == self._offsets[-1]):
            return
        self._offsets.append(offset)
        waiting = list(self._waiting)
        self._waiting.clear()
        for each in waiting:
            self._place(*each)

    def _place(self, stamp: Fraction, data: bytes, duration: Fraction) -> None:
        time = next((stamp - offset for offset in reversed(self._offsets) if self._follows(stamp - offset)), None)
        if time is None or self._head is None:
            self._waiting.append((stamp, data, duration))
            return
        self._end = time + duration
        self._tell(SoundPacket(data, time, duration, self._stream.time_base or Fraction(1, 90_000), self._head))

    def _follows(self, time: Fraction) -> bool:
        return self._end is None or -_LATE <= time - self._end <= _AHEAD


def _head(stream: AudioStream, data: bytes, base: Fraction) -> SoundHead:
    memory = io.BytesIO()
    # Matroska writes AAC's parameters down where the track has none, and NUT holds any codec.
    aac = stream.codec_context.name == "aac"
    with av.open(memory, "w", format="matroska" if aac else "nut") as file:
        copy = file.add_stream_from_template(stream)
        one: Any = av.Packet(data)
        one.pts, one.dts, one.time_base, one.stream = 0, 0, base, copy
        file.mux(one)
    made = memory.getvalue()
    with av.open(io.BytesIO(made), "r") as written:
        context = written.streams.audio[0].codec_context
        codec = context.codec.canonical_name
        return SoundHead(made, codec, (codec, context.sample_rate, context.layout.name, context.extradata))
