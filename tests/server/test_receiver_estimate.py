"""A viewer tells that its way is full: the encoder that it shares with others gives way, and the counters tell."""

from __future__ import annotations

import re
from typing import Any

import aiohttp
import pytest
from aiortc.rtp import RTCP_PSFB_APP, RtcpPsfbPacket, pack_remb_fci

from streamguard.server.app import Server
from tests.server.peers import Peer, published, until


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_an_estimate_that_falls(server: Server, http: aiohttp.ClientSession, codec: str) -> None:
    async with published(http), Peer(http) as viewer:
        await viewer.play("cam", codec=codec)
        receiver: Any = viewer.pc.getTransceivers()[0].receiver
        # Only what is told here counts.
        receiver._RTCRtpReceiver__remote_bitrate_estimator = None
        await until(lambda: viewer.frames)
        source = int(re.search(r"a=ssrc:(\d+)", viewer.pc.remoteDescription.sdp)[1])  # type: ignore[index]
        feed = server.hub.find("cam").feeds["live"]
        fanout = next(iter(feed.fanouts.values()))
        full = fanout.bitrate

        async def tell(bitrate: int, *sources: int) -> None:
            estimate = RtcpPsfbPacket(RTCP_PSFB_APP, 1, 0, pack_remb_fci(bitrate, list(sources)))
            await receiver.transport._send_rtp(bytes(estimate))

        # Somebody else's source, and what is no estimate at all, are passed over.
        await tell(900_000, source + 1)
        await tell(20_000, source + 1)
        await receiver.transport._send_rtp(bytes(RtcpPsfbPacket(RTCP_PSFB_APP, 1, source, b"NOPE" + bytes(8))))
        await tell(900_000, source)
        shown = len(viewer.frames)
        await until(lambda: len(viewer.frames) > shown + 30)
        assert (feed.slowed, fanout.bitrate) == (0, full)
        await tell(20_000, source)
        await until(lambda: feed.slowed == 1)
        await until(lambda: fanout.bitrate < full)
        shown = len(viewer.frames)
        await until(lambda: len(viewer.frames) > shown + 20)
        metrics = await (await http.get("/metrics")).text()
    assert 'streamguard_encoder_slowed_total{overlay="live",stream="cam"} 1.0' in metrics
    told = re.search(rf'encoder_bits_per_second{{codec="{codec}",overlay="live",stream="cam"}} (\S+)', metrics)
    assert told
    assert 50_000 <= float(told[1]) < full
