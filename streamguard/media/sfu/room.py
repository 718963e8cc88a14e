"""Interface of an SFU's adapter for `streams`: one room that was joined. A further SFU is one more class of this form.

In the `pyproject.toml` of a package that brings one::

    [project.entry-points."streamguard.rooms"]
    "mysfu+wss" = "my_package:MyRoom"       # joins mysfu+wss:// URLs: MyRoom(url, options)

An adapter speaks for one connection: it raises and is left, and made anew by who uses it. Who is there it tells as a
whole, so that nothing is lost where two changes come at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from functools import cache
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

from aiortc import MediaStreamTrack, RTCIceServer

from streamguard.media.address import SourceOptions
from streamguard.media.live_encoder import LiveCodec
from streamguard.media.packet_fanout import PacketTrack
from streamguard.media.packet_ring import PacketKeeper
from streamguard.plugins import collect

GROUP = "streamguard.rooms"
SCHEMES = ("janus+ws", "janus+wss")
"""URL schemes of the built-in adapters."""
_JANUS = "streamguard.media.sfu.janus_room:JanusRoom"

ViewTrack: TypeAlias = Callable[[LiveCodec], PacketTrack]
"""Makes the track that shows the guard's own picture, in the codec that the room takes."""


@dataclass(frozen=True, slots=True)
class RoomOptions:
    """How a room is joined.

    Attributes:
        display: the name the guard shows.
        pin: the room's; never shown or logged.
        api_secret: what the SFU's API asks of every client; never shown or logged.
        substream: of a video that comes in several sizes: 0 the smallest, 2 the largest.
        ice_servers: STUN and TURN servers.
        source: time limits, TLS, the largest picture; and `token`, that of the API or of the room.
    """

    display: str = "streamguard"
    pin: str | None = field(default=None, repr=False)
    api_secret: str | None = field(default=None, repr=False)
    substream: int = 2
    ice_servers: tuple[RTCIceServer, ...] = field(default=(), repr=False)
    source: SourceOptions = field(default_factory=SourceOptions)


@dataclass(frozen=True, slots=True)
class RoomCamera:
    """One video that a participant sends into a room.

    Attributes:
        id: of this video, for as long as it is there.
        participant: the SFU's id of who sends it.
        name: what he calls himself; he may change it, and others may use it, too.
        codec: as the SFU names it; empty where it does not tell.
        simulcast: it comes in several sizes.
    """

    id: str
    participant: int | str
    name: str
    codec: str = ""
    simulcast: bool = False


class SfuRoom(Protocol):
    """A room that was joined: `async with Adapter(url, options) as room`; left, the guard has left the room.

    Entering and all methods raise a SourceError, or a MediaError where there is no common codec.
    """

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def cameras(self) -> AsyncGenerator[tuple[RoomCamera, ...], None]:
        """All videos that are sent now, in the order in which they came: at once, and again after each change.

        Raises:
            SourceError: the room or the SFU is gone, or the guard was sent away.
        """
        ...

    def receive(self, camera: RoomCamera, keeper: PacketKeeper | None) -> AbstractAsyncContextManager[MediaStreamTrack]:
        """The video's track, which ends with its connection.

        Args:
            camera: one of those told last.
            keeper: gets the compressed packets.
        """
        ...

    async def publish(self, view: ViewTrack | None) -> None:
        """Open a data channel into the room; and show the guard's own picture there, if there is one."""
        ...

    def tell(self, text: str) -> bool:
        """Send a message to all in the room; never waits. False where it is lost: not open, or too much waits."""
        ...


JoinRoom: TypeAlias = Callable[[str, RoomOptions], SfuRoom]
"""Makes an adapter of a URL and options; it connects when it is entered."""


@cache
def room_adapters() -> Mapping[str, JoinRoom]:
    """The adapters by URL scheme: the built-in ones and those of installed packages.

    Raises:
        ConfigError: a plugin cannot be loaded, or two have one name.
    """
    return collect(GROUP, dict.fromkeys(SCHEMES, _JANUS), _callable)


def is_room(url: str) -> bool:
    """Return whether the URL is one of a conference room.

    Raises:
        ConfigError: as `room_adapters`.
    """
    scheme, separator, _ = url.partition("://")
    return bool(separator) and (scheme.lower() in SCHEMES or scheme.lower() in room_adapters())


def _callable(loaded: object) -> Any:
    if not callable(loaded):
        raise TypeError("it cannot be called")
    return loaded
