"""The last seconds of a stream as it came: compressed packets, kept so that a clip can begin before its alert."""

from __future__ import annotations

import io
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any, TypeAlias

import av
from av.video.stream import VideoStream

from streamguard.errors import CorruptMedia


@dataclass(frozen=True, slots=True)
class CompressedPacket:
    """One packet, as the source sent it.

    Attributes:
        data: its bytes.
        pts, dts, duration: in units of `base` seconds.
        base: the time base.
        keyframe: decodes without those before it.
    """

    data: bytes
    pts: int
    dts: int
    duration: int
    base: Fraction
    keyframe: bool

    @property
    def time(self) -> float:
        """Seconds at which its picture is shown, by the source's own clock."""
        return float(self.pts * self.base)


Head: TypeAlias = Callable[[CompressedPacket], bytes]


class PacketRing:
    """Keeps the newest packets of one connection, from a keyframe on. Safe to push and cut from two threads.

    What is dropped is the oldest: whole groups from keyframe to keyframe, as soon as what is left still spans
    `seconds`, or does not fit `most_bytes`. A stream whose one group exceeds `most_bytes` is kept from its next
    keyframe on.

    Args:
        head: makes of the first keyframe what `clip_bytes` learns the codec's parameters from; called once.
        seconds: how much is kept at the least, once so much has come.
        most_bytes: the bound in bytes.
    """

    def __init__(self, head: Head, *, seconds: float = 10.0, most_bytes: int = 32 * 1024 * 1024) -> None:
        self._make_head: Head | None = head
        self._seconds, self._most_bytes = seconds, most_bytes
        self._packets: deque[CompressedPacket] = deque()
        self._bytes = 0
        self._head: bytes | None = None
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Bytes held."""
        return self._bytes

    def push(self, packet: av.Packet[Any]) -> None:
        """Add a packet of the stream. Those without times or bytes, and those before a keyframe, are not kept."""
        if packet.pts is None or packet.dts is None or packet.time_base is None or not packet.size:
            return
        one = CompressedPacket(
            bytes(packet),
            packet.pts,
            packet.dts,
            packet.duration or 0,
            Fraction(packet.time_base),
            bool(packet.is_keyframe),
        )
        self.add(one)

    def add(self, one: CompressedPacket) -> None:
        """Add a packet in decoding order. Those before a keyframe are not kept."""
        with self._lock:
            if self._head is None and one.keyframe and self._make_head is not None:
                self._head = self._make_head(one)
                # It may hold on to the source.
                self._make_head = None
            if self._head is None or not (self._packets or one.keyframe):
                return
            self._packets.append(one)
            self._bytes += len(one.data)
            self._trim()

    def cut(self, since: float, until: float) -> tuple[bytes, Sequence[CompressedPacket]]:
        """The packets from the last keyframe at or before `since` (or the oldest there is) through `until`.

        Args:
            since, until: seconds by the source's own clock, as `CompressedPacket.time`.

        Returns:
            The codec's parameters, for `clip_bytes`, and the packets in decoding order.

        Raises:
            CorruptMedia: nothing of that time is held.
        """
        with self._lock:
            head, packets = self._head, list(self._packets)
        starts = [n for n, one in enumerate(packets) if one.keyframe and one.time <= since]
        first = starts[-1] if starts else 0
        found = [one for one in packets[first:] if one.time <= until]
        if head is None or not found:
            raise CorruptMedia("clip", "no packets of that time are held any more", "keep more seconds of packets")
        return head, found

    def _trim(self) -> None:
        while True:
            second = next((n for n, one in enumerate(islice(self._packets, 1, None), 1) if one.keyframe), None)
            if second is None:
                if self._bytes > self._most_bytes:
                    self._drop(len(self._packets))
                return
            spans = self._packets[-1].time - self._packets[second].time
            if spans < self._seconds and self._bytes <= self._most_bytes:
                return
            self._drop(second)

    def _drop(self, count: int) -> None:
        for _ in range(count):
            self._bytes -= len(self._packets.popleft().data)


class PacketKeeper:
    """The ring of whichever connection of a source is up. The decode thread fills it, any thread copies it.

    Args:
        seconds, most_bytes: as for `PacketRing`.
    """

    def __init__(self, seconds: float, most_bytes: int) -> None:
        self._seconds, self._most_bytes = seconds, most_bytes
        self._ring: PacketRing | None = None

    def begin(self, head: Head) -> None:
        """A new connection: what came before is forgotten.

        Args:
            head: as for `PacketRing`.
        """
        self._ring = PacketRing(head, seconds=self._seconds, most_bytes=self._most_bytes)

    def push(self, packet: av.Packet[Any]) -> None:
        """Add a packet; a codec that cannot be kept is not kept, and the stream goes on."""
        self._into_ring(lambda ring: ring.push(packet))

    def add(self, one: CompressedPacket) -> None:
        """Add a packet made elsewhere; see `push`."""
        self._into_ring(lambda ring: ring.add(one))

    def _into_ring(self, put: Callable[[PacketRing], None]) -> None:
        if self._ring is not None:
            try:
                put(self._ring)
            except (av.FFmpegError, ValueError):
                self._ring = None

    def copy(self) -> tuple[bytes, Sequence[CompressedPacket]] | None:
        """All that is held, for `clip_bytes`; None where there is nothing."""
        ring = self._ring
        if ring is None:
            return None
        try:
            return ring.cut(float("-inf"), float("inf"))
        except CorruptMedia:
            return None


def packet_of(one: CompressedPacket) -> av.Packet[Any]:
    """A libav packet with these bytes and times."""
    packet = av.Packet(one.data)
    packet.pts, packet.dts, packet.duration, packet.time_base = one.pts, one.dts, one.duration, one.base
    packet.is_keyframe = one.keyframe
    return packet


def stream_head(stream: VideoStream, keyframe: CompressedPacket) -> bytes:
    """A tiny file that carries the codec's parameters: header and one keyframe.

    A source may tell its parameters beside the pictures (files, RTSP) or within them (WebRTC): whoever opens this
    file finds them in either.
    """
    memory = io.BytesIO()
    with av.open(memory, "w", format="nut") as file:
        copy = file.add_stream_from_template(stream)
        packet = packet_of(keyframe)
        packet.stream = copy
        file.mux(packet)
    return memory.getvalue()
