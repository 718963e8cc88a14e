"""Keyframes that came in pieces, put together again."""

from __future__ import annotations

from typing import Any, cast

import av
from av.video.stream import VideoStream


class KeyframeJoiner:
    """Joins the pieces of each H.264 keyframe; every other packet passes as it is.

    Some RTP senders repeat the parameter sets before each slice of a keyframe. A parameter set begins a new picture
    (ITU-T H.264, 7.4.1.2.3), so libav makes a packet of every slice, all of one time, and decodes each as a picture
    with most of it missing. To know that a keyframe is whole, the packet after it must have come: keyframes are late
    by one frame where they come in pieces, and nothing is where the first one proves to be whole.

    Args:
        stream: whose packets come.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._stream = stream
        self._pieces: list[av.Packet[VideoStream]] = []
        self._in_pieces: bool | None = None

    def push(self, packet: av.Packet[VideoStream]) -> list[av.Packet[VideoStream]]:
        """The packets that can be decoded now, in order.

        Args:
            packet: the next one of the stream; an empty one at its end.
        """
        pieces = self._pieces
        if pieces and packet.size and _time(packet) == _time(pieces[0]):
            self._in_pieces = True
            pieces.append(packet)
            return []
        ready, self._pieces = [], []
        if pieces:
            self._in_pieces = self._in_pieces or False
            ready.append(self._joined(pieces))
        if packet.size and packet.is_keyframe and self._in_pieces is not False:
            self._pieces = [packet]
        else:
            ready.append(packet)
        return ready

    def _joined(self, pieces: list[av.Packet[VideoStream]]) -> av.Packet[VideoStream]:
        if len(pieces) == 1:
            return pieces[0]
        whole: Any = av.Packet(b"".join(map(bytes, pieces)))
        last = pieces[-1]
        whole.stream, whole.time_base = self._stream, last.time_base
        whole.pts, whole.dts, whole.duration = last.pts, last.dts, last.duration
        whole.is_keyframe = True
        return cast("av.Packet[VideoStream]", whole)


def _time(packet: av.Packet[VideoStream]) -> int:
    # Times count from the first packet, which libav leaves without one.
    return packet.pts or 0
