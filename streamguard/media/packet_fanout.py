"""One encoder for any number of viewers: its packets go to each of them as they are.

An aiortc track whose `recv` returns packets is packetised and not encoded; so a viewer costs no more than sending.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from streamguard.media.live_encoder import LiveCodec, LiveEncoder, Packet
from streamguard.types import Picture

_WAITING_PACKETS = 60
_KEYFRAME_PAUSE = 0.3
"""Seconds between key frames made on request: many viewers that lose packets ask many times."""
_LOOK = 1.0
_CALM = 5.0
"""Seconds until a rate that was changed is raised again."""
_FALL, _FALL_COUNTS = 0.97, 3.0
_LEAST_SHARE, _LEAST = 0.125, 100_000
_SHORT, _BELOW, _RISE = 0.9, 0.9, 1.25


class PacketTrack(MediaStreamTrack):
    """One viewer's video track. Made by `PacketFanout.join`; begins with a key frame.

    A viewer that falls behind by `_WAITING_PACKETS` loses what waits and goes on at the next key frame.
    """

    kind = "video"

    def __init__(self, fanout: PacketFanout) -> None:
        super().__init__()
        self._fanout = fanout
        self._packets: deque[Packet] = deque()
        self._arrived = asyncio.Event()
        self._wants_keyframe = True
        self.dropped = 0
        """Packets this viewer lost by being slow."""
        self._estimate = 0
        self._fell_at = float("-inf")

    async def recv(self) -> Packet:
        """The next packet.

        Raises:
            MediaStreamError: the track was stopped.
        """
        while self.readyState == "live":
            if self._packets:
                return self._packets.popleft()
            self._arrived.clear()
            await self._arrived.wait()
        raise MediaStreamError

    def request_keyframe(self) -> None:
        """The viewer has lost a picture (PLI or FIR, RFC 4585 and RFC 5104)."""
        self._fanout.request_keyframe()

    def told_bitrate(self, bitrate: int) -> None:
        """The viewer estimates that it can receive so many bits per second (REMB)."""
        if bitrate < _FALL * self._estimate:
            self._fell_at = self._fanout.clock()
        self._estimate = bitrate

    def limit(self, now: float) -> int | None:
        """Bits per second that the viewer can receive; None where its way is not full.

        A receiver's estimate follows slowly what it is sent, so a low one alone says nothing. It falls where packets
        come later and later.
        """
        return self._estimate if now - self._fell_at <= _FALL_COUNTS else None

    def stop(self) -> None:
        """End the track; the fan-out forgets it."""
        super().stop()
        self._fanout.leave(self)
        self._packets.clear()
        self._arrived.set()

    def offer(self, packet: Packet) -> None:
        """Take a packet from the encoder."""
        if self._wants_keyframe and not packet.is_keyframe:
            return
        if len(self._packets) >= _WAITING_PACKETS:
            self.dropped += len(self._packets)
            self._packets.clear()
            self._wants_keyframe = not packet.is_keyframe
            if self._wants_keyframe:
                self.dropped += 1
                self._fanout.request_keyframe()
                return
        self._wants_keyframe = False
        self._packets.append(packet)
        self._arrived.set()


class PacketFanout:
    """Encodes pictures once and hands the packets to all viewers. Belongs to one event loop.

    Args:
        codec: what is encoded to.
        executor: threads for encoding.
        bitrate: bits per second; default: by the picture's size.
        clock: seconds, for spacing key frames.
    """

    def __init__(
        self,
        codec: LiveCodec,
        executor: Executor,
        bitrate: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._encoder = LiveEncoder(codec, bitrate)
        self._executor, self.clock = executor, clock
        self._viewers: set[PacketTrack] = set()
        self._keyframe_wanted = False
        self._keyframe_at = float("-inf")
        self.cpu_seconds = 0.0
        """CPU seconds spent encoding."""
        self.pictures = self.keyframes = 0
        self.slowed = 0
        """How often the bit rate was lowered for the viewers' sake."""
        self._looked_at = self._changed_at = clock()
        self._sent = 0

    @property
    def bitrate(self) -> int:
        """Bits per second that the encoder aims at; 0 before its first picture."""
        return self._encoder.bitrate

    @property
    def viewers(self) -> int:
        """Tracks that are being fed."""
        return len(self._viewers)

    def join(self) -> PacketTrack:
        """A new viewer; the next picture is a key frame."""
        track = PacketTrack(self)
        self._viewers.add(track)
        self.request_keyframe()
        return track

    def leave(self, track: PacketTrack) -> None:
        """Feed the track no more. A no-op when it has left."""
        self._viewers.discard(track)

    def close(self) -> None:
        """End every viewer's track."""
        for track in tuple(self._viewers):
            track.stop()

    def request_keyframe(self) -> None:
        """Make the next picture a key frame, or one soon after the last one made so."""
        self._keyframe_wanted = True

    def begin_anew(self) -> None:
        """Begin anew: the next picture becomes a key frame in any case."""
        self._keyframe_wanted, self._keyframe_at = True, float("-inf")

    async def send(self, picture: Picture, pts: int) -> None:
        """Encode a picture and hand it to the viewers; waits for the encoder, never for a viewer.

        Args:
            picture: of any size.
            pts: its time in 1/90000 s.
        """
        now = self.clock()
        self._follow_viewers(now)
        keyframe = self._keyframe_wanted and now - self._keyframe_at >= _KEYFRAME_PAUSE
        if keyframe:
            self._keyframe_wanted, self._keyframe_at = False, now
        loop = asyncio.get_running_loop()
        packets = await loop.run_in_executor(self._executor, self._encode, picture, pts, keyframe)
        self.pictures += 1
        for packet in packets:
            self.keyframes += packet.is_keyframe
            self._sent += packet.size
            for track in tuple(self._viewers):
                track.offer(packet)

    def _follow_viewers(self, now: float) -> None:
        seconds = now - self._looked_at
        if seconds < _LOOK or not self._encoder.full:
            return
        sent, self._sent, self._looked_at = self._sent * 8 / seconds, 0, now
        before, full = self._encoder.bitrate, self._encoder.full
        rate = next_rate(before, full, sent, [track.limit(now) for track in self._viewers])
        if rate == before or (rate > before and now - self._changed_at < _CALM):
            return
        self._changed_at = now
        self.slowed += rate < before
        self._encoder.limit(rate if rate < full else None)

    def _encode(self, picture: Picture, pts: int, keyframe: bool) -> list[Packet]:
        began = time.thread_time()
        try:
            return self._encoder.encode(picture, pts, keyframe=keyframe)
        finally:
            self.cpu_seconds += time.thread_time() - began


def least_rate(full: int) -> int:
    """The lowest rate an encoder is brought down to, in bits per second: an eighth of the full one, or 100 kbit/s."""
    return min(full, max(_LEAST, round(full * _LEAST_SHARE)))


def next_rate(now: int, full: int, sent: float, limits: Sequence[int | None]) -> int:
    """The rate to go on with: what the slowest quarter of the viewers can take, within bounds.

    Args:
        now: of the encoder, bits per second.
        full: what it has where all is well.
        sent: bits per second that really went out of late.
        limits: for each viewer, the bits per second that it can receive; None where its way is not full.

    Returns:
        `least_rate(full)` to `full`: just below the limit at the slowest quarter where that is well below what is sent;
        a quarter more than now where there is no limit; else as it is.
    """
    slowest = sorted(math.inf if limit is None else limit for limit in limits)[len(limits) // 4 :][:1]
    wanted: float = now
    if not slowest or slowest[0] == math.inf:
        wanted = now * _RISE
    elif slowest[0] < _SHORT * sent:
        wanted = min(now, _BELOW * slowest[0])
    return round(max(least_rate(full), min(wanted, full)))
