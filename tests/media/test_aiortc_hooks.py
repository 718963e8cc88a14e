"""The private parts of aiortc that are used: whoever updates it learns here what to look at."""

from __future__ import annotations

import asyncio
import queue
import threading
from importlib.metadata import version

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpReceiver, RTCRtpSender

from streamguard.media.aiortc_hooks import make_connection


def test_the_version_that_the_hooks_were_written_for() -> None:
    assert version("aiortc").startswith("1.16."), "read media/aiortc_hooks.py beside the new version, then change this"


async def test_what_is_used_is_there() -> None:
    pc = make_connection(RTCConfiguration(iceServers=[]))
    try:
        transceiver = pc.addTransceiver("video")
        receiver, sender = transceiver.receiver, transceiver.sender
        ice = receiver.transport.transport
        assert isinstance(receiver, RTCRtpReceiver)
        assert isinstance(receiver._RTCRtpReceiver__decoder_queue, queue.Queue)  # type: ignore[attr-defined]
        assert isinstance(receiver._RTCRtpReceiver__decoder_error, threading.Event)  # type: ignore[attr-defined]
        assert isinstance(sender, RTCRtpSender)
        assert callable(sender._send_keyframe)
        assert callable(sender._handle_rtcp_packet)
        assert isinstance(sender._ssrc, int)
        assert isinstance(ice._RTCIceTransport__start, asyncio.Event | None)  # type: ignore[attr-defined]
        assert callable(ice._connection.close)
        (certificate,) = pc._RTCPeerConnection__certificates  # type: ignore[attr-defined]
        assert callable(certificate._create_ssl_context)
        assert RTCPeerConnection._RTCPeerConnection__connect.__qualname__ == "RTCPeerConnection.__connect"  # type: ignore[attr-defined]
    finally:
        await pc.close()
