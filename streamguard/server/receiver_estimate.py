"""What the receiver of a WebRTC track believes it can receive (REMB, draft-alvestrand-rmcat-remb)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from aiortc import RTCRtpSender
from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, unpack_remb_fci


def on_estimate(sender: RTCRtpSender, told: Callable[[int], None]) -> None:
    """Call back with the bits per second of each estimate that the sender's peer tells.

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
