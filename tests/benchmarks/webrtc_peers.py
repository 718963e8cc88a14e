"""The peers of `make bench-webrtc`: a camera with a running time code, a viewer that reads it, an echo."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import aiohttp
import numpy as np
from aiohttp import web
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.contrib.media import MediaRelay
from aiortc.mediastreams import MediaStreamError

from streamguard.media import frame_of, picture_of
from streamguard.types import Picture, UInt8Array

BITS = 16
_DARK, _LIGHT = 40, 215
_CLOCK = 90_000


def _squares(width: int, height: int) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of each bit, the lowest first: squares along the lower edge, far from the face."""
    side = width // (2 * BITS)
    for bit in range(BITS):
        yield slice(height - side, height), slice(bit * side, (bit + 1) * side)


def read_code(luma: UInt8Array) -> int:
    """The number painted into a picture."""
    middle = (_DARK + _LIGHT) / 2
    height, width = luma.shape
    return sum((luma[place].mean() > middle) << bit for bit, place in enumerate(_squares(width, height)))


class TimeCodeTrack(MediaStreamTrack):
    """Pictures at a steady rate, each with its number painted in; remembers when each was handed out.

    Args:
        picture: what is shown beside the number.
        rate: frames per second.
    """

    kind = "video"

    def __init__(self, picture: Picture, rate: float) -> None:
        super().__init__()
        self._picture, self._rate = picture, rate
        self._began = time.monotonic()
        self._count = 0
        self.sent: dict[int, float] = {}
        """Number -> monotonic seconds."""

    async def recv(self) -> Any:
        """The next picture, when its time has come."""
        if self.readyState != "live":
            raise MediaStreamError
        await asyncio.sleep(max(0.0, self._began + self._count / self._rate - time.monotonic()))
        picture, number = self._picture, self._count % (1 << BITS)
        luma = picture.y.copy()
        for bit, place in enumerate(_squares(picture.width, picture.height)):
            luma[place] = _LIGHT if number >> bit & 1 else _DARK
        frame = frame_of(Picture(luma, picture.u, picture.v, picture.matrix, picture.full_range))
        frame.pts, frame.time_base = round(self._count / self._rate * _CLOCK), Fraction(1, _CLOCK)
        self.sent[number] = time.monotonic()
        self._count += 1
        return frame


class Viewer:
    """Reads the numbers of what comes back, and how late each is."""

    def __init__(self, camera: TimeCodeTrack) -> None:
        self._camera = camera
        self.late: list[float] = []
        """Seconds from the camera to here, in order."""
        self._task: asyncio.Task[None] | None = None

    def watch(self, track: MediaStreamTrack) -> None:
        """Begin to read a track."""
        self._task = asyncio.create_task(self._read(track), name="viewer")

    async def aclose(self) -> None:
        """Read no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _read(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                frame: Any = await track.recv()
                now = time.monotonic()
                sent = self._camera.sent.get(read_code(picture_of(frame).y))
                if sent is not None and 0 <= now - sent < 5:
                    self.late.append(now - sent)


def connection(codec: str, send: MediaStreamTrack | None = None, *, both: bool = False) -> RTCPeerConnection:
    """A connection with one video, not yet offered: sending, receiving, or both."""
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    if send is None:
        transceiver = pc.addTransceiver("video", direction="recvonly")
    else:
        transceiver = pc.addTransceiver(send, direction="sendrecv" if both else "sendonly")
    known = RTCRtpSender.getCapabilities("video").codecs
    transceiver.setCodecPreferences([each for each in known if each.mimeType.lower() == f"video/{codec}"])
    return pc


async def connect(http: aiohttp.ClientSession, path: str, pc: RTCPeerConnection) -> None:
    """Offer the connection by one POST."""
    await pc.setLocalDescription(await pc.createOffer())
    sdp = pc.localDescription.sdp
    async with http.post(path, data=sdp.encode(), headers={"Content-Type": "application/sdp"}) as response:
        response.raise_for_status()
        await pc.setRemoteDescription(RTCSessionDescription(await response.text(), "answer"))


async def _echo() -> None:
    """aiortc alone: sends a publisher's video back to it, and to viewers by `MediaRelay`; until stdin ends."""
    connections: set[RTCPeerConnection] = set()
    published: list[MediaStreamTrack] = []
    relay = MediaRelay()

    async def post(request: web.Request) -> web.Response:
        pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connections.add(pc)
        if request.path == "/view":
            await pc.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
            pc.addTrack(relay.subscribe(published[-1], buffered=False))
        else:
            pc.on("track", published.append)
            await pc.setRemoteDescription(RTCSessionDescription(await request.text(), "offer"))
            if request.path == "/echo":
                pc.addTrack(relay.subscribe(published[-1], buffered=False))
        await pc.setLocalDescription(await pc.createAnswer())
        return web.Response(status=201, text=pc.localDescription.sdp, content_type="application/sdp")

    app = web.Application()
    for path in ("/echo", "/publish", "/view"):
        app.router.add_post(path, post)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(f"open http://127.0.0.1:{runner.addresses[0][1]}", file=sys.stderr, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for pc in connections:
        await pc.close()
    await runner.cleanup()


def still_picture(rgb: UInt8Array, width: int, height: int) -> Picture:
    """A photograph as a picture of that size."""
    import cv2

    from streamguard.media import picture_from_rgb

    return picture_from_rgb(np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8))


if __name__ == "__main__":
    asyncio.run(_echo())
