"""Pictures that no other picture is decoded from: B-frames of broadcasts, upper temporal layers of calls."""

from __future__ import annotations

from typing import Any

_PREFIX = b"\x00\x00\x01"
_SLICE, _PARTITIONS, _IDR = 1, range(2, 5), 5


class DisposablePackets:
    """Tells which packets of an H.264 stream may be left undecoded without harm to any other picture.

    Their slices bear `nal_ref_idc` 0 (ITU-T H.264, 7.4.1). Packets of other codecs are all kept.

    Args:
        stream: the track.
    """

    def __init__(self, stream: Any) -> None:
        context = stream.codec_context
        self._able = context.name == "h264"
        head = bytes(context.extradata or b"")
        # MP4 and its kin put a length before each unit, of so many bytes (ISO/IEC 14496-15, 5.3.3.1); others a prefix.
        self._length = (head[4] & 3) + 1 if len(head) > 4 and head[0] == 1 else None

    def holds(self, packet: Any) -> bool:
        """Return whether the packet is one of them."""
        if not self._able or packet.is_keyframe or not packet.size:
            return False
        data = bytes(packet)
        found = False
        for start in self._by_length(data) if self._length else self._by_prefix(data):
            kind, referenced = data[start] & 31, data[start] >> 5 & 3
            if kind == _IDR or kind in _PARTITIONS or (kind == _SLICE and referenced):
                return False
            found = found or kind == _SLICE
        return found

    def _by_length(self, data: bytes) -> list[int]:
        """Places of the units' first bytes."""
        size, place, found = self._length or 0, 0, []
        while place + size < len(data):
            found.append(place + size)
            place += size + int.from_bytes(data[place : place + size])
        return found

    @staticmethod
    def _by_prefix(data: bytes) -> list[int]:
        found, place = [], data.find(_PREFIX)
        while 0 <= place < len(data) - len(_PREFIX):
            found.append(place + len(_PREFIX))
            place = data.find(_PREFIX, place + len(_PREFIX))
        return found
