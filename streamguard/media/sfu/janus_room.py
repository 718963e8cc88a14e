"""A room of Janus' VideoRoom plugin (see "VideoRoom plugin" in Janus' documentation), as `SfuRoom` has it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit, urlunsplit

from aiortc import MediaStreamTrack, RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import SessionDescription

from streamguard.channel import ChannelClosed, Latest
from streamguard.errors import (
    SourceEnded,
    SourceError,
    SourceNotFound,
    SourceRefused,
    SourceTimeout,
    SourceUnauthorized,
    UnsupportedMedia,
)
from streamguard.logs import get_logger
from streamguard.media.aiortc_hooks import (
    close_connection,
    keep_received,
    make_connection,
    on_estimate,
    on_picture_loss,
)
from streamguard.media.live_encoder import LiveCodec
from streamguard.media.packet_ring import PacketKeeper
from streamguard.media.sfu.janus import Document, JanusAnswer, JanusHandle, JanusSession, PluginFailed, no_codec
from streamguard.media.sfu.room import RoomCamera, RoomOptions, ViewTrack

log = get_logger(__name__)
CHANNEL = "streamguard"
"""Label of the data channel."""
_PLUGIN = "janus.plugin.videoroom"
_CODECS: dict[str, LiveCodec] = {"vp8": "vp8", "h264": "h264"}
_AT_ONCE = 4
"""Connections that are being made at a time: a handshake costs processor time, and thirty may join at once."""
_MOST_BUFFERED = 64 * 1024
"""Bytes that wait to be sent on the data channel; then messages are lost."""
_NO_ROOM, _NO_FEED, _MISSING, _INVALID, _FULL, _UNAUTHORIZED = 426, 428, 429, 430, 432, 433


class JanusRoom:
    """One room, joined as somebody who watches; each video comes over a connection of its own.

    Args:
        url: `janus+ws://host[:port]/ROOM`, or `janus+wss`; what lies between host and room is the path of Janus'
            WebSocket.
        options: how it is joined.

    Raises:
        SourceNotFound: the URL names no host or no room.
    """

    def __init__(self, url: str, options: RoomOptions) -> None:
        self._shown, self._options = url, options
        self._socket_url, self._room = _parsed(url)
        self._stack = AsyncExitStack()
        self._feeds: dict[int | str, Document] = {}
        self._rosters: Latest[tuple[RoomCamera, ...]] = Latest()
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._private: int | None = None
        self._channel: RTCDataChannel | None = None

    async def __aenter__(self) -> Self:
        options = self._options
        shown = {"token": options.source.token, "apisecret": options.api_secret}
        secrets = {name: value for name, value in shown.items() if value is not None}
        async with self._stack:
            self._session = JanusSession(self._shown, self._socket_url, options.source, secrets)
            await self._stack.enter_async_context(self._session)
            self._handle = await self._session.attach(_PLUGIN, self._told)
            joined = await self._join()
            self._private = joined.get("private_id")
            self._published(joined)
            self._session.over.add_done_callback(lambda over: self._rosters.close(over.result()))
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._rosters.close(discard=True)
        await self._stack.aclose()

    async def cameras(self) -> AsyncGenerator[tuple[RoomCamera, ...], None]:
        """As `SfuRoom.cameras`."""
        async for roster in self._rosters:
            yield roster

    @asynccontextmanager
    async def receive(self, camera: RoomCamera, keeper: PacketKeeper | None) -> AsyncGenerator[MediaStreamTrack, None]:
        """As `SfuRoom.receive`."""
        if camera.codec.lower() not in {*_CODECS, ""}:
            raise no_codec(self._shown, camera.codec)
        async with AsyncExitStack() as stack:
            async with self._turns:
                track = await self._subscribe(stack, camera, keeper)
            yield track

    async def publish(self, view: ViewTrack | None) -> None:
        """As `SfuRoom.publish`."""
        pc = make_connection(self._ice)
        self._stack.push_async_callback(close_connection, pc)
        self._channel = pc.createDataChannel(CHANNEL)
        sender = pc.addTransceiver("video", direction="sendonly").sender if view is not None else None
        await pc.setLocalDescription(await pc.createOffer())
        try:
            answer = await self._handle.ask({"request": "publish"}, _jsep(pc))
        except PluginFailed as failed:
            raise self._refused(failed) from None
        await self._negotiated(pc, answer.jsep)
        if sender is None or view is None:
            return
        codec = _sent_codec(pc.remoteDescription.sdp)
        if codec is None:
            log.warning("the room takes no picture of the guard: it wants neither VP8 nor H.264", room=self._room)
            return
        track = view(codec)
        self._stack.callback(track.stop)
        on_picture_loss(sender, track.request_keyframe)
        on_estimate(sender, track.told_bitrate)
        sender.replaceTrack(track)

    def tell(self, text: str) -> bool:
        """As `SfuRoom.tell`."""
        channel = self._channel
        if channel is None or channel.readyState != "open" or channel.bufferedAmount > _MOST_BUFFERED:
            return False
        channel.send(text)
        return True

    @property
    def _ice(self) -> RTCConfiguration:
        # Without an explicit list aiortc asks a public STUN server of a third party.
        return RTCConfiguration(iceServers=list(self._options.ice_servers))

    def _about(self) -> Document:
        """Return the keys that every request to join needs."""
        options = self._options
        about = {"request": "join", "room": self._room, "pin": options.pin, "token": options.source.token}
        return {key: value for key, value in about.items() if value is not None}

    async def _join(self) -> Document:
        as_guard = {"ptype": "publisher", "display": self._options.display}
        try:
            return (await self._handle.ask({**self._about(), **as_guard})).data
        except PluginFailed as failed:
            if failed.code != _INVALID or not isinstance(self._room, int):
                raise self._refused(failed) from None
        # This Janus has texts for ids (string_ids).
        self._room = str(self._room)
        try:
            return (await self._handle.ask({**self._about(), **as_guard})).data
        except PluginFailed as failed:
            raise self._refused(failed) from None

    async def _subscribe(
        self, stack: AsyncExitStack, camera: RoomCamera, keeper: PacketKeeper | None
    ) -> MediaStreamTrack:
        pc = make_connection(self._ice)
        stack.push_async_callback(close_connection, pc)
        lost = asyncio.Event()
        pc.on("connectionstatechange", lambda: lost.set() if pc.connectionState in {"failed", "closed"} else None)
        # Which ends the track, and with it the stream's connection.
        closing = asyncio.create_task(_close_when(lost, pc), name=f"end of {camera.id}")
        stack.push_async_callback(_stopped, closing, lost)
        handle = await self._session.attach(_PLUGIN, lambda told: lost.set() if told.get("janus") == "hangup" else None)
        stack.push_async_callback(handle.detach)
        wanted = [{"feed": camera.participant, "mid": camera.id.rpartition(":")[2]}]
        private = {} if self._private is None else {"private_id": self._private}
        try:
            offered = await handle.ask({**self._about(), "ptype": "subscriber", "streams": wanted, **private})
            track = await self._answered(pc, handle, offered, keeper)
            if camera.simulcast:
                await self._choose(handle, offered)
        except PluginFailed as failed:
            raise self._refused(failed) from None
        await self._connected(pc, lost)
        return track

    async def _answered(
        self, pc: RTCPeerConnection, handle: JanusHandle, offered: JanusAnswer, keeper: PacketKeeper | None
    ) -> MediaStreamTrack:
        await self._negotiated(pc, offered.jsep)
        transceiver = next((each for each in pc.getTransceivers() if each.kind == "video"), None)
        if transceiver is None or transceiver.receiver.track is None:
            raise SourceEnded(self._shown, "the video is gone", "It is looked for again")
        if keeper is not None:
            keep_received(transceiver.receiver, keeper)
        await pc.setLocalDescription(await pc.createAnswer())
        if transceiver.currentDirection != "recvonly":
            raise no_codec(self._shown, "")
        await handle.ask({"request": "start"}, _jsep(pc))
        track: MediaStreamTrack = transceiver.receiver.track
        return track

    async def _choose(self, handle: JanusHandle, offered: JanusAnswer) -> None:
        """Ask for the size that is wanted; Janus sends the next smaller one where that does not come."""
        mids = [each["mid"] for each in offered.data.get("streams", []) if each.get("type") == "video"]
        sizes = [{"mid": mid, "substream": self._options.substream, "temporal": 2} for mid in mids]
        await handle.ask({"request": "configure", "streams": sizes})

    async def _connected(self, pc: RTCPeerConnection, lost: asyncio.Event) -> None:
        limit, changed = self._options.source.open_timeout, asyncio.Event()
        pc.on("connectionstatechange", changed.set)
        try:
            async with asyncio.timeout(limit):
                while pc.connectionState != "connected" and not lost.is_set():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            cause = f"no media connection came up within {limit:g} s"
            raise SourceTimeout(self._shown, cause, "Check that UDP passes, and the ICE servers") from None
        if lost.is_set():
            raise SourceEnded(self._shown, "the media connection was refused", "It is tried again")

    async def _negotiated(self, pc: RTCPeerConnection, jsep: Document | None) -> None:
        try:
            await pc.setRemoteDescription(RTCSessionDescription(**_description(jsep)))
        except Exception as error:
            # The parser raises whatever its regular expressions and indices do.
            cause = f"its SDP cannot be used ({type(error).__name__})"
            raise UnsupportedMedia(self._shown, cause, "Have the room use VP8 or H.264 (videocodec)") from None

    def _told(self, told: Document) -> None:
        if told.get("janus") == "hangup":
            self._end(SourceEnded(self._shown, "the guard's connection into the room broke", "It is joined again"))
            return
        data = told.get("plugindata", {}).get("data", {})
        if data.get("videoroom") == "destroyed":
            self._end(SourceNotFound(self._shown, "the room was destroyed", "Make it again: it is joined then"))
        elif data.get("leaving") == "ok":
            cause = f"the guard was sent away ({data.get('reason', 'left')})"
            self._end(SourceUnauthorized(self._shown, cause, "Have its moderator let the guard in"))
        elif "publishers" in data:
            self._published(data)
        elif "unpublished" in data or "leaving" in data:
            self._feeds.pop(data.get("unpublished", data.get("leaving")), None)
            self._call_roll()
        elif "display" in data and data.get("id") in self._feeds:
            self._feeds[data["id"]]["display"] = data["display"]
            self._call_roll()

    def _published(self, data: Document) -> None:
        for feed in data.get("publishers", []):
            if not feed.get("dummy"):
                self._feeds[feed["id"]] = dict(feed)
        self._call_roll()

    def _call_roll(self) -> None:
        cameras = tuple(camera for feed in self._feeds.values() for camera in _cameras(feed))
        with suppress(ChannelClosed):
            self._rosters.put(cameras)

    def _end(self, why: SourceError) -> None:
        self._rosters.close(why, discard=True)

    def _refused(self, failed: PluginFailed) -> SourceError:
        if failed.code == _NO_ROOM:
            return SourceNotFound(self._shown, "Janus has no such room", "Check the room's number, or make it")
        if failed.code == _NO_FEED:
            return SourceEnded(self._shown, "the participant has left", "It is looked for again")
        if failed.code == _UNAUTHORIZED or (failed.code == _MISSING and "pin" in failed.reason):
            cause = "the room asks for a PIN or a token, or refuses the one given"
            return SourceUnauthorized(self._shown, cause, "Set room.pin, or token")
        if failed.code == _FULL:
            cause = "the room has no place for one more who publishes"
            remedy = "Raise its `publishers`, or set room.messages and room.view to false"
            return SourceRefused(self._shown, cause, remedy)
        return SourceRefused(self._shown, f"the VideoRoom refuses (code {failed.code})", "See Janus' log")


def _parsed(url: str) -> tuple[str, int | str]:
    """URL of the WebSocket, and the room."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise SourceNotFound(url, "the URL names no host", "Write it as janus+ws://host:8188/ROOM")
    path, _, name = parts.path.rpartition("/")
    if not name:
        raise SourceNotFound(url, "the URL names no room", "Write it as janus+ws://host:8188/ROOM")
    scheme = parts.scheme.lower().removeprefix("janus+")
    room = unquote(name)
    return urlunsplit((scheme, parts.netloc, path or "/", parts.query, "")), int(room) if room.isdecimal() else room


def _cameras(feed: Document) -> list[RoomCamera]:
    number, name = feed["id"], str(feed.get("display") or "")
    return [
        RoomCamera(f"{number}:{video['mid']}", number, name, video.get("codec", ""), bool(video.get("simulcast")))
        for video in feed.get("streams", [])
        if video.get("type") == "video" and not video.get("disabled")
    ]


def _sent_codec(answer: str) -> LiveCodec | None:
    """The codec that an answer has its video sent in: the first one."""
    for media in SessionDescription.parse(answer).media:
        if media.kind == "video" and media.rtp.codecs:
            return _CODECS.get(media.rtp.codecs[0].mimeType.lower().removeprefix("video/"))
    return None


def _description(jsep: Document | None) -> dict[str, Any]:
    if jsep is None:
        raise ValueError("there is no SDP")
    return {"sdp": jsep["sdp"], "type": jsep["type"]}


def _jsep(pc: RTCPeerConnection) -> Document:
    return {"type": pc.localDescription.type, "sdp": pc.localDescription.sdp}


async def _close_when(lost: asyncio.Event, pc: RTCPeerConnection) -> None:
    await lost.wait()
    await close_connection(pc)


async def _stopped(closing: asyncio.Task[None], lost: asyncio.Event) -> None:
    if not lost.is_set():
        closing.cancel()
    await asyncio.wait([closing])
