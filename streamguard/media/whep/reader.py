"""One WHEP session as a source of frames."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Self

from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError

from streamguard.channel import ChannelClosed, Latest, cancel_and_wait
from streamguard.errors import NoVideo, SourceEnded, SourceTimeout, StreamguardError, UnsupportedMedia
from streamguard.media.address import SourceOptions
from streamguard.media.aiortc_hooks import close_connection, keep_received, make_connection
from streamguard.media.published import checked_picture
from streamguard.media.reader import Taps
from streamguard.media.timestamps import TimestampRepair
from streamguard.media.whep.endpoint import Endpoint
from streamguard.types import Frame


@dataclass(frozen=True, slots=True)
class WhepSource:
    """Facts that a WHEP stream tells of itself: it is live. Attributes as `VideoSource` has them."""

    live: bool = True
    paced: bool = True
    average_rate: float | None = None
    codec: str = "webrtc"
    duration: float | None = None
    frame_count: int | None = None


class WhepReader:
    """Plays a stream by WHEP and yields its newest frame; what nobody was ready for is dropped and counted.

    H.264 and VP8 are taken, sound is not. All candidates are in the offer; those of other networks than our own are
    found by the endpoint. It has the members of `FrameReader`.

    Args:
        stream: the stream's name, for `Frame.stream`.
        epoch: connection number, for `Frame.epoch`.
        url: as `Endpoint` takes it.
        options: how it is opened; `token` is shown to the endpoint.
        taps: what is asked for each frame, and gets the compressed packets.
    """

    def __init__(
        self, stream: str, epoch: int, url: str, options: SourceOptions | None = None, taps: Taps | None = None
    ) -> None:
        self._stream, self._epoch, self._url = stream, epoch, url
        self._options, self._taps = options or SourceOptions(), taps or Taps()
        self._stack = AsyncExitStack()
        self._frames: Latest[Frame] = Latest()
        self._reading: asyncio.Task[None] | None = None
        self._begun = self._closed = False
        self.source = WhepSource()
        self.decode_errors = 0
        """aiortc asks for another keyframe and does not count."""
        self.decode_seconds = 0.0
        """aiortc's thread is not measured."""

    @property
    def opened(self) -> bool:
        """Return whether there is a session."""
        return self._reading is not None

    @property
    def ended(self) -> bool:
        """Return whether nothing of it goes on."""
        return self._reading is None or self._reading.done()

    @property
    def dropped(self) -> int:
        """Frames that a newer one replaced before they were read."""
        return self._frames.dropped

    async def start(self) -> None:
        """Make the session; a no-op when it was begun.

        Raises:
            SourceError: the endpoint cannot be reached, or refuses.
            NoVideo, UnsupportedMedia: it has no video for us.
        """
        if self._begun:
            return
        self._begun = True
        try:
            track = await self._joined()
        except Exception:
            if self._closed:
                # What it was at fails in any way when it is closed under it.
                raise SourceEnded(self._url, "the reader was closed", "Open it again") from None
            raise
        self._reading = asyncio.create_task(self._read(track), name=f"WHEP of {self._stream}")

    async def _joined(self) -> MediaStreamTrack:
        # An explicit list: otherwise aiortc asks a public STUN server of a third party.
        pc = make_connection(RTCConfiguration(iceServers=[]))
        self._stack.push_async_callback(close_connection, pc)
        endpoint = await self._stack.enter_async_context(Endpoint(self._url, self._options))
        receiver = pc.addTransceiver("video", direction="recvonly").receiver
        if self._taps.keeper is not None:
            keep_received(receiver, self._taps.keeper)
        await pc.setLocalDescription(await pc.createOffer())
        track = await self._negotiated(pc, await endpoint.answer(pc.localDescription.sdp))
        if self._closed:
            raise MediaStreamError
        return track

    async def aclose(self) -> None:
        """End the session; a pending or later read ends. Safe to call twice."""
        self._begun = self._closed = True
        self._frames.close(discard=True)
        await cancel_and_wait(self._reading)
        await self._stack.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        await self.start()
        return await anext(self._frames)

    async def _negotiated(self, pc: RTCPeerConnection, answer: str) -> MediaStreamTrack:
        try:
            await pc.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        except Exception as error:
            # The parser raises whatever its regular expressions and indices do.
            cause = f"its answer cannot be used ({type(error).__name__})"
            raise UnsupportedMedia(self._url, cause, "Have it send H.264 or VP8") from None
        transceiver = pc.getTransceivers()[0]
        track: MediaStreamTrack | None = transceiver.receiver.track
        if track is None or transceiver.currentDirection != "recvonly":
            raise NoVideo(self._url, "the endpoint sends no video", "Check what is published")
        return track

    async def _read(self, track: MediaStreamTrack) -> None:
        try:
            await self._pump(track)
        except MediaStreamError:
            self._frames.close(SourceEnded(self._url, "the session was ended", "Check the source"))
        except StreamguardError as error:
            self._frames.close(error)
        except ChannelClosed:
            pass

    async def _pump(self, track: MediaStreamTrack) -> None:
        repair, index = TimestampRepair(None), 0
        while True:
            limit = self._options.read_timeout if index else self._options.open_timeout
            try:
                async with asyncio.timeout(limit):
                    received = await track.recv()
            except TimeoutError:
                cause = f"no picture has come for {limit:g} s"
                raise SourceTimeout(self._url, cause, "Check the source, and that UDP passes") from None
            picture = checked_picture(received, self._stream, self._options.max_pixels)  # type: ignore[arg-type]  # a video track's
            moment = repair.repair(received.pts, received.time_base)
            if self._taps.wanted is None or self._taps.wanted(moment):
                self._frames.put(Frame(self._stream, self._epoch, index, moment, time.monotonic(), picture))
            index += 1
