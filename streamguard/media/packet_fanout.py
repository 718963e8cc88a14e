"""One encoder for any number of viewers: its packets go to each of them as they are.

An aiortc track whose `recv` returns packets is packetised and not encoded; so a viewer costs no more than sending.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from streamguard.media.live_encoder import LiveCodec, LiveEncoder, Packet
from streamguard.types import Picture

_WAITING_PACKETS = 60
_KEYFRAME_PAUSE = 0.3
"""Seconds between key frames made on request: many viewers that lose packets ask many times."""


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
        self._executor, self._clock = executor, clock
        self._viewers: set[PacketTrack] = set()
        self._keyframe_wanted = False
        self._keyframe_at = float("-inf")
        self.cpu_seconds = 0.0
        """CPU seconds spent encoding."""
        self.pictures = self.keyframes = 0

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

    async def send(self, picture: Picture, pts: int) -> None:
        """Encode a picture and hand it to the viewers; waits for the encoder, never for a viewer.

        Args:
            picture: of any size.
            pts: its time in 1/90000 s.
        """
        now = self._clock()
        keyframe = self._keyframe_wanted and now - self._keyframe_at >= _KEYFRAME_PAUSE
        if keyframe:
            self._keyframe_wanted, self._keyframe_at = False, now
        loop = asyncio.get_running_loop()
        packets = await loop.run_in_executor(self._executor, self._encode, picture, pts, keyframe)
        self.pictures += 1
        for packet in packets:
            self.keyframes += packet.is_keyframe
            for track in tuple(self._viewers):
                track.offer(packet)

    def _encode(self, picture: Picture, pts: int, keyframe: bool) -> list[Packet]:
        began = time.thread_time()
        try:
            return self._encoder.encode(picture, pts, keyframe=keyframe)
        finally:
            self.cpu_seconds += time.thread_time() - began
