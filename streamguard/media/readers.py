"""Which reader a source needs, and what all readers have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from streamguard.media.address import SourceOptions
from streamguard.media.packet_ring import PacketKeeper
from streamguard.media.reader import FrameReader
from streamguard.media.sound import SoundListener
from streamguard.media.whep.address import is_whep
from streamguard.types import Frame


class Told(Protocol):
    """What an open source tells of itself; see `VideoSource`."""

    @property
    def live(self) -> bool: ...
    @property
    def paced(self) -> bool: ...
    @property
    def average_rate(self) -> float | None: ...
    @property
    def codec(self) -> str: ...
    @property
    def duration(self) -> float | None: ...
    @property
    def frame_count(self) -> int | None: ...


class Reader(Protocol):
    """One connection to a source; members as `FrameReader` has them."""

    @property
    def source(self) -> Told: ...
    @property
    def opened(self) -> bool: ...
    @property
    def ended(self) -> bool: ...
    @property
    def dropped(self) -> int: ...
    @property
    def decode_errors(self) -> int: ...
    @property
    def decode_seconds(self) -> float: ...
    async def aclose(self) -> None: ...
    async def __anext__(self) -> Frame: ...


def make_reader(
    stream: str,
    epoch: int,
    url: str | Path,
    options: SourceOptions | None = None,
    *,
    live: bool | None = None,
    keeper: PacketKeeper | None = None,
    sound: SoundListener | None = None,
    wanted: Callable[[float], bool] | None = None,
) -> Reader:
    """The reader of any source, not begun; arguments as for `FrameReader`.

    A WHEP stream is always live, and silent; all its frames are handed over.
    """
    if is_whep(str(url)):
        # WebRTC is loaded for who needs it.
        from streamguard.media.whep.reader import WhepReader

        return WhepReader(stream, epoch, str(url), options, keeper)
    return FrameReader(stream, epoch, url, options, live=live, keeper=keeper, sound=sound, wanted=wanted)
