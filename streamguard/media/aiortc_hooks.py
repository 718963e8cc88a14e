"""Hooks into aiortc for which it has no public way: all uses of its private names, in one place.

Written for aiortc 1.16: a test says whether the one that is installed still has them.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from aiortc import (
    RTCCertificate,
    RTCConfiguration,
    RTCDtlsTransport,
    RTCPeerConnection,
    RTCRtpReceiver,
    RTCRtpSender,
)
from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, unpack_remb_fci

from streamguard.logs import get_logger
from streamguard.media.packet_ring import CompressedPacket, PacketKeeper
from streamguard.media.received_packets import CLOCK, codec_head, is_keyframe

log = get_logger(__name__)
KEYFRAME_SECONDS = 5.0
"""How often a keyframe is asked for: WebRTC senders make none unasked, and a clip begins at one."""
_QUEUE, _FAULT = "_RTCRtpReceiver__decoder_queue", "_RTCRtpReceiver__decoder_error"

_LIMIT = 5.0
_PAUSE = 0.005
# aiortc speaks only to peers whose certificate has an elliptic curve's key; GStreamer's has an RSA key.
_CIPHERS = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:"
    b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305:"
    b"ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA"
)


class _Certificate(RTCCertificate):
    def _create_ssl_context(self, srtp_profiles: list[Any]) -> Any:
        context = super()._create_ssl_context(srtp_profiles)
        context.set_cipher_list(_CIPHERS)
        return context


def make_connection(configuration: RTCConfiguration) -> RTCPeerConnection:
    """A new connection, which takes peers with certificates of either kind (RFC 8827, section 6.5)."""
    pc = RTCPeerConnection(configuration)
    # There is no other way to give a connection its certificate.
    pc._RTCPeerConnection__certificates = [_Certificate.generateCertificate()]  # type: ignore[attr-defined]  # private
    return pc


async def close_connection(pc: RTCPeerConnection) -> None:
    """Close the connection in whatever state it is, and wait until its own tasks have ended.

    A connection that is closed while it is being made goes on being made for a moment: aioice starts its consent
    checks (RFC 7675) when its other checks have ended, aiortc its senders and receivers when DTLS is up; started after
    the end, they would never end. So that moment is waited for, and what it brought is ended, too.
    """
    transceivers = pc.getTransceivers()
    transports = {transceiver.receiver.transport for transceiver in transceivers}
    if pc.sctp is not None:
        transports.add(pc.sctp.transport)
    connecting = _connecting(pc)
    await pc.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LIMIT):
            # It fails when a transport is closed before its turn; nobody else would ever hear of that.
            await asyncio.gather(*connecting, return_exceptions=True)
            for transport in transports:
                await _settled(transport)
    for transceiver in transceivers:
        await transceiver.stop()
    for transport in transports:
        await transport.transport._connection.close()


def _connecting(pc: RTCPeerConnection) -> list[asyncio.Task[Any]]:
    """The tasks in which aiortc is making this connection; it keeps no hold of them."""
    found = []
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        frame = getattr(coroutine, "cr_frame", None)
        named = getattr(coroutine, "__qualname__", "") == "RTCPeerConnection.__connect"
        if named and frame is not None and frame.f_locals.get("self") is pc:
            found.append(task)
    return found


async def _settled(transport: RTCDtlsTransport) -> None:
    started: asyncio.Event | None = getattr(transport.transport, "_RTCIceTransport__start", None)
    if started is None:
        return
    await started.wait()
    # One turn of the loop for the handshake to begin; on a closed socket it fails at once.
    await asyncio.sleep(_PAUSE)
    while transport.state == "connecting":  # noqa: ASYNC110 - its listeners were removed with its end
        await asyncio.sleep(_PAUSE)


def keep_received(
    receiver: RTCRtpReceiver, keeper: PacketKeeper, *, keyframe_seconds: float = KEYFRAME_SECONDS
) -> bool:
    """Have the keeper get every picture that the receiver's decoder gets, on the decoder's thread.

    To be called before the connection is up. The peer is asked for a keyframe (PLI, RFC 4585) now and then.

    Args:
        receiver: of a video track.
        keeper: gets H.264 and VP8.
        keyframe_seconds: how often, in media seconds.

    Returns:
        False where this version of aiortc has no such place: there will be no clips.
    """
    fault = getattr(receiver, _FAULT, None)
    if not isinstance(getattr(receiver, _QUEUE, None), queue.Queue) or not isinstance(fault, threading.Event):
        log.warning("published streams have no clips: this version of aiortc is not known")
        return False
    # What aiortc sets when a picture could not be decoded; it answers with a PLI at the next packet.
    setattr(receiver, _QUEUE, _Tapped(keeper, fault.set, keyframe_seconds))
    return True


class _Tapped(queue.Queue[Any]):
    """The decoder's queue of (codec, picture); bounded by what aiortc puts in, as the one that it replaces."""

    def __init__(self, keeper: PacketKeeper, ask: Callable[[], None], keyframe_seconds: float) -> None:
        super().__init__()
        self._keeper, self._ask, self._every = keeper, ask, keyframe_seconds
        self._codec = ""
        self._asked = 0.0

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """The next item, after the keeper has got it."""
        item = super().get(block, timeout)
        if item is not None:
            codec, picture = item
            self._keep(codec.name.lower(), bytes(picture.data), int(picture.timestamp))
        return item

    def _keep(self, codec: str, data: bytes, timestamp: int) -> None:
        if codec not in {"h264", "vp8"} or not data:
            return
        if codec != self._codec:
            self._codec = codec
            self._keeper.begin(partial(codec_head, codec))
        # No B-frames in WebRTC: pictures are shown in the order in which they are decoded.
        one = CompressedPacket(data, timestamp, timestamp, 0, CLOCK, is_keyframe(codec, data))
        self._keeper.add(one)
        if one.keyframe:
            self._asked = one.time
        elif one.time - self._asked >= self._every:
            self._asked = one.time
            self._ask()


def on_picture_loss(sender: RTCRtpSender, told: Callable[[], None]) -> None:
    """Call back when the sender's peer asks for a key frame (PLI and FIR, RFC 4585 and RFC 5104).

    Args:
        sender: of a track of packets, for which aiortc does nothing.
        told: called on the event loop.
    """
    sender._send_keyframe = told  # type: ignore[method-assign]  # private


def on_estimate(sender: RTCRtpSender, told: Callable[[int], None]) -> None:
    """Call back with the bits per second of each estimate that the sender's peer tells of what it can receive (REMB,
    draft-alvestrand-rmcat-remb).

    Args:
        sender: before it is started.
        told: called on the event loop.
    """
    handle: Callable[[Any], Awaitable[None]] = sender._handle_rtcp_packet

    async def handled(packet: Any) -> None:
        if isinstance(packet, RtcpPsfbPacket) and packet.fmt == RTCP_PSFB_APP:
            try:
                bitrate, sources = unpack_remb_fci(packet.fci)
            except ValueError:
                sources = []
            if sender._ssrc in sources:
                told(bitrate)
        await handle(packet)

    # aiortc gives estimates to its own encoders only, cut to their range; a track of packets never learns of them.
    sender._handle_rtcp_packet = handled  # type: ignore[method-assign]  # private
