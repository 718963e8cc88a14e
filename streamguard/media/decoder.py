"""One video track's packets into whole, progressive frames."""

from __future__ import annotations

import time
from typing import Any

import av
import av.error
from av.video.stream import VideoStream

from streamguard.media.deinterlace import Deinterlacer
from streamguard.media.disposable import DisposablePackets
from streamguard.media.keyframes import KeyframeJoiner

_LOST_PACKETS, _LOST_SECONDS = 40, 2.0
"""So many packets and seconds in a row that are not of the codec: damage does not last so long."""
_MOST_HELD, _HELD_SECONDS = 32, 0.02
"""Packets that are decoded together, and seconds that it takes, at the most: a picture waits for them."""


class FrameDecoder:
    """Decodes the packets of one stream: pieces are joined, damage is skipped and counted, fields are woven.

    Args:
        stream: the track.
        joined: keyframes may come in pieces (H.264 over RTP).
    """

    def __init__(self, stream: VideoStream, *, joined: bool) -> None:
        self._stream = stream
        self._joiner = KeyframeJoiner(stream) if joined else None
        self._deinterlacer = Deinterlacer()
        self._disposable = DisposablePackets(stream)
        self._held: list[Any] = []
        self._cost = 0.0
        self._failed = 0
        self._decoded_at: float | None = None
        self.errors = 0
        """Packets and pictures skipped because they were damaged."""
        self.decoded = 0
        """Intact pictures."""

    @property
    def lost(self) -> bool:
        """Return whether the sender has changed the codec: after pictures, nothing that came of late was of it.

        No demuxer tells: libav's keeps the codec that a stream began with.
        """
        return (
            self._decoded_at is not None
            and self._failed >= _LOST_PACKETS
            and time.monotonic() - self._decoded_at >= _LOST_SECONDS
        )

    def whole(self, packet: av.Packet[VideoStream]) -> list[av.Packet[VideoStream]]:
        """The packets that can be decoded now: `packet`, or what it completes."""
        return [packet] if self._joiner is None else self._joiner.push(packet)

    def disposable(self, packet: Any) -> bool:
        """Return whether the packet may be left out: no other picture, and no field of another, is made from it."""
        return bool(self.decoded) and not self._deinterlacer.frames and self._disposable.holds(packet)

    def hold(self, packet: Any) -> bool:
        """Keep a packet whose picture nobody needs until the next `decode`; False where it has to be decoded now.

        Where many streams take turns, each packet alone finds the processor's caches filled by others: five at a time
        take a tenth less, and a fifth of the wake-ups.
        """
        count = len(self._held) + 1
        # A codec of several threads is fed as it comes, and what its pictures cost is not seen from this one.
        if not self.decoded or self._stream.codec_context.thread_count != 1:
            return False
        if count > _MOST_HELD or count * self._cost > _HELD_SECONDS:
            return False
        self._held.append(packet)
        return True

    def decode(self, packet: Any) -> list[av.VideoFrame]:
        """The frames of the held packets and of this one; an empty packet brings what the codec held back.

        Raises:
            av.FFmpegError: an interlaced picture's pixel format is none that can be deinterlaced.
        """
        shown = [frame for each in (*self._held, packet) for frame in self._frames(each)]
        self._held.clear()
        return shown if packet.size else shown + self._deinterlacer.finish()

    def finish(self) -> list[av.VideoFrame]:
        """The frames that were held back when reading failed."""
        shown = [frame for each in self._held for frame in self._frames(each)]
        self._held.clear()
        try:
            frames = self._stream.codec_context.decode(None)
        except (av.FFmpegError, EOFError):
            frames = []
        return shown + self._shown(frames) + self._deinterlacer.finish()

    def _frames(self, packet: Any) -> list[av.VideoFrame]:
        began = time.thread_time()
        try:
            frames: list[av.VideoFrame] = packet.decode()
        except EOFError:
            frames = []
        except av.FFmpegError:
            self.errors += 1
            self._failed += 1
            return []
        self._cost += (time.thread_time() - began - self._cost) / 16
        return self._shown(frames)

    def _shown(self, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        intact = [frame for frame in frames if not frame.is_corrupt]
        self.errors += len(frames) - len(intact)
        self.decoded += len(intact)
        if intact:
            self._failed, self._decoded_at = 0, time.monotonic()
        return [shown for frame in intact for shown in self._deinterlacer.push(frame)]
