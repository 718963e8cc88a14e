"""People in a room of Janus: aiortc peers that send a portrait, and listen to what the guard says and shows there."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

import av
from aiortc import MediaStreamTrack, RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError

from streamguard.media import SourceOptions
from streamguard.media.aiortc_hooks import close_connection, make_connection
from streamguard.media.sfu.janus import JanusSession
from tests.support.janus import Janus

_PLUGIN = "janus.plugin.videoroom"


class Guest:
    """One participant: `async with Guest(janus, "Alice", room=1234) as alice`.

    Args:
        janus: the server.
        name: he shows.
        room: he goes to.
        more: for joining: `pin`, `token`.
    """

    def __init__(self, janus: Janus, name: str, room: int | str = 1234, **more: Any) -> None:
        self._janus, self.name, self._room, self._more = janus, name, room, more
        self._stack = AsyncExitStack()
        self._pc: RTCPeerConnection | None = None
        self.feeds: dict[Any, dict[str, Any]] = {}
        self.messages: list[dict[str, Any]] = []
        self.frames: list[av.VideoFrame] = []
        self._channels: list[RTCDataChannel] = []

    async def __aenter__(self) -> Self:
        url = self._janus.url.removeprefix("janus+")
        self._session = JanusSession("guest", url, SourceOptions(), {})
        await self._stack.enter_async_context(self._session)
        self._handle = await self._session.attach(_PLUGIN, self._told)
        body = {"request": "join", "ptype": "publisher", "room": self._room, "display": self.name, **self._more}
        joined = await self._handle.ask(body)
        self.id = joined.data["id"]
        self._know(joined.data)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def send(self, *tracks: MediaStreamTrack) -> Self:
        """Send these."""
        pc = self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._stack.push_async_callback(close_connection, pc)
        for track in tracks:
            pc.addTrack(track)
        await pc.setLocalDescription(await pc.createOffer())
        answer = await self._handle.ask({"request": "publish"}, _jsep(pc))
        assert answer.jsep is not None
        await pc.setRemoteDescription(RTCSessionDescription(answer.jsep["sdp"], "answer"))
        return self

    async def switch_off(self) -> None:
        """Send nothing any more, and stay."""
        await self._handle.ask({"request": "unpublish"})
        assert self._pc is not None
        await close_connection(self._pc)

    async def rename(self, name: str) -> None:
        """Show another name."""
        await self._handle.ask({"request": "configure", "display": name})

    async def ask(self, body: dict[str, Any]) -> dict[str, Any]:
        """The plugin's answer to any message."""
        return (await self._handle.ask(body)).data

    async def destroy_room(self) -> None:
        """End the room for all."""
        await self._handle.ask({"request": "destroy", "room": self._room})

    async def make_room(self) -> None:
        """Make it again."""
        await self._handle.ask({"request": "create", "room": self._room, "publishers": 40})

    async def watch(self, name: str = "streamguard") -> Self:
        """Receive what the participant of that name sends: data and video."""
        (feed,) = [each for each in self.feeds.values() if each.get("display") == name]
        handle = await self._session.attach(_PLUGIN, lambda told: None)
        wanted = [{"feed": feed["id"]}]
        body = {"request": "join", "ptype": "subscriber", "room": self._room, "streams": wanted, **self._more}
        offered = await handle.ask(body)
        pc = make_connection(RTCConfiguration(iceServers=[]))
        self._stack.push_async_callback(close_connection, pc)
        # Janus sends nothing to whoever has not opened a channel of their own, as its janus.js does.
        pc.createDataChannel("JanusDataChannel")
        pc.on("datachannel", self._opened)
        pc.on("track", self._received)
        assert offered.jsep is not None
        await pc.setRemoteDescription(RTCSessionDescription(offered.jsep["sdp"], "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        await handle.ask({"request": "start"}, _jsep(pc))
        return self

    def heard(self, kind: str) -> list[dict[str, Any]]:
        """Messages of that kind."""
        return [each for each in self.messages if each["type"] == f"streamguard.{kind}"]

    def _told(self, told: dict[str, Any]) -> None:
        data = told.get("plugindata", {}).get("data", {})
        self._know(data)
        for gone in ("unpublished", "leaving"):
            self.feeds.pop(data.get(gone), None)

    def _know(self, data: dict[str, Any]) -> None:
        self.feeds.update({feed["id"]: feed for feed in data.get("publishers", [])})

    def _opened(self, channel: RTCDataChannel) -> None:
        self._channels.append(channel)
        channel.on("message", lambda text: self.messages.append(json.loads(text)))

    def _received(self, track: MediaStreamTrack) -> None:
        reading = asyncio.create_task(self._read(track))

        async def stop() -> None:
            reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reading

        self._stack.push_async_callback(stop)

    async def _read(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                self.frames.append(frame)
                del self.frames[:-100]


def silent_sound() -> MediaStreamTrack:
    """Sound without anything to hear."""
    return AudioStreamTrack()


def _jsep(pc: RTCPeerConnection) -> dict[str, Any]:
    return {"type": pc.localDescription.type, "sdp": pc.localDescription.sdp}
