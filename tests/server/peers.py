"""The other side of WHIP and WHEP: aiortc peers that publish a moving portrait and look at what comes back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any, Self

import aiohttp
import av
import numpy as np
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCDataChannel,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from numpy.typing import NDArray

from streamguard.media.aiortc_hooks import close_connection
from streamguard.server.app import Server
from streamguard.types import Event
from tests.support.portraits import RATE, portrait_pictures

SDP = "application/sdp"
FRAGMENT = "application/trickle-ice-sdpfrag"
LIMIT = 60.0
"""Seconds until a test that waits gives up."""


async def until(condition: Callable[[], Any], limit: float = LIMIT) -> None:
    """Wait until the condition holds."""
    async with asyncio.timeout(limit):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)


async def told(server: Server, **wanted: Any) -> list[Event]:
    """What happened, newest first, as the database has it; arguments as of `History.events`."""
    assert server.hub.desk is not None
    await server.hub.desk.alerts.settle()
    return (await server.hub.desk.alerts.history.events(limit=wanted.pop("limit", 500), **wanted))[0]


class PortraitTrack(MediaStreamTrack):
    """A portrait that moves slowly, in real time, over and over; its face is green from `fake_from` seconds on."""

    kind = "video"

    def __init__(self, *, seconds: float = 4.0, fake_from: float | None = 0.0, rate: float = RATE) -> None:
        super().__init__()
        fake = None if fake_from is None else (fake_from, seconds)
        self._rate = rate
        self._pictures: list[NDArray[np.uint8]] = list(portrait_pictures(seconds, fake, rate))
        self._began: float | None = None
        self._count = 0

    async def recv(self) -> av.VideoFrame:
        """The next picture, when its time has come."""
        if self.readyState != "live":
            raise MediaStreamError
        now = time.monotonic()
        if self._began is None:
            self._began = now
        await asyncio.sleep(max(0.0, self._began + self._count / self._rate - now))
        frame = av.VideoFrame.from_ndarray(self._pictures[self._count % len(self._pictures)], format="rgb24")
        frame = frame.reformat(format="yuv420p")
        frame.pts, frame.time_base = round(self._count / self._rate * 90_000), Fraction(1, 90_000)
        self._count += 1
        return frame


class Peer:
    """One WHIP or WHEP client."""

    def __init__(self, http: aiohttp.ClientSession, *, channel: bool = True) -> None:
        self._http = http
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.messages: list[dict[str, Any]] = []
        self.frames: list[av.VideoFrame] = []
        self.track: MediaStreamTrack | None = None
        self.response: aiohttp.ClientResponse | None = None
        self.channel: RTCDataChannel | None = None
        self._reader: asyncio.Task[None] | None = None
        if channel:
            self.channel = self.pc.createDataChannel("verdicts")
            self.channel.on("message", lambda text: self.messages.append(json.loads(text)))
        self.pc.on("track", self._received)

    async def offer(self, *, codec: str | None = None, send: MediaStreamTrack | None = None) -> str:
        """The local offer, with all candidates."""
        if send is not None:
            self.pc.addTrack(send)
            self.pc.getTransceivers()[0].direction = "sendonly"
        else:
            self.pc.addTransceiver("video", direction="recvonly")
        if codec is not None:
            known = RTCRtpSender.getCapabilities("video").codecs
            self.pc.getTransceivers()[0].setCodecPreferences([c for c in known if c.mimeType.lower().endswith(codec)])
        await self.pc.setLocalDescription(await self.pc.createOffer())
        return self.pc.localDescription.sdp

    async def post(self, path: str, sdp: str, **headers: str) -> aiohttp.ClientResponse:
        """POST the offer; a 201 is applied."""
        response = await self._http.post(path, data=sdp.encode(), headers={"Content-Type": SDP, **headers})
        text = await response.text()
        self.response = response
        if response.status == 201:
            await self.pc.setRemoteDescription(RTCSessionDescription(text, "answer"))
        return response

    async def publish(self, name: str, *, codec: str | None = None, fake_from: float | None = 0.0) -> Self:
        """Publish the portrait."""
        track = PortraitTrack(fake_from=fake_from)
        response = await self.post(f"/whip/{name}", await self.offer(codec=codec, send=track))
        assert response.status == 201, await response.text()
        return self

    async def play(self, name: str, overlay: str = "live", *, codec: str | None = None) -> Self:
        """Play a stream; its frames are collected."""
        response = await self.post(f"/whep/{name}?overlay={overlay}", await self.offer(codec=codec))
        assert response.status == 201, await response.text()
        return self

    async def close(self) -> None:
        """Leave without a word over HTTP."""
        await close_connection(self.pc)
        if self._reader is not None:
            # The track of a connection that never came up never ends.
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def _received(self, track: MediaStreamTrack) -> None:
        self.track = track
        self._reader = asyncio.create_task(self._read(track))

    async def _read(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                self.frames.append(frame)
                del self.frames[:-400]
        except MediaStreamError:
            pass


@asynccontextmanager
async def published(
    http: aiohttp.ClientSession, name: str = "cam", *, fake_from: float | None = 0.0, codec: str | None = None
) -> AsyncIterator[Peer]:
    """A peer that publishes for as long as the context lasts."""
    async with Peer(http) as peer:
        yield await peer.publish(name, fake_from=fake_from, codec=codec)


def face_colour(frame: av.VideoFrame, message: dict[str, Any]) -> tuple[float, float, float]:
    """Mean red, green and blue, 0..255, of the middle of the message's first face."""
    rgb = frame.to_ndarray(format="rgb24")
    x0, y0, x1, y1 = message["faces"][0]["box"]
    left, right = round((x0 * 0.65 + x1 * 0.35) * frame.width), round((x0 * 0.35 + x1 * 0.65) * frame.width)
    top, bottom = round((y0 * 0.65 + y1 * 0.35) * frame.height), round((y0 * 0.35 + y1 * 0.65) * frame.height)
    red, green, blue = rgb[top:bottom, left:right].reshape(-1, 3).mean(axis=0)
    return float(red), float(green), float(blue)


def masked(peer: Peer) -> bool:
    """Whether the newest picture's green face is covered with the overlay's orange."""
    if not peer.frames or not peer.messages or not peer.messages[-1]["faces"]:
        return False
    red, green, _ = face_colour(peer.frames[-1], peer.messages[-1])
    return red > green
