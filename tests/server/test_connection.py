"""Ending a peer connection while it is still being made."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from aioice import Connection
from aiortc import RTCConfiguration, RTCDtlsParameters, RTCDtlsTransport, RTCPeerConnection

from streamguard.media.aiortc_hooks import close_connection, make_connection


async def answered() -> tuple[RTCPeerConnection, RTCPeerConnection]:
    """Two peers that have exchanged their descriptions and begin to connect."""
    one, two = (make_connection(RTCConfiguration(iceServers=[])) for _ in range(2))
    one.createDataChannel("verdicts")
    one.addTransceiver("video", "recvonly")
    await one.setLocalDescription(await one.createOffer())
    await two.setRemoteDescription(one.localDescription)
    await two.setLocalDescription(await two.createAnswer())
    await one.setRemoteDescription(two.localDescription)
    return one, two


async def test_what_fails_on_the_way_does_not_go_unheard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is closed during its first DTLS handshake, so the second transport finds itself closed."""
    begun, closed = asyncio.Event(), asyncio.Event()
    close = Connection.close

    async def finds_a_way(connection: Connection) -> None:
        pass

    async def shakes_hands(transport: RTCDtlsTransport, parameters: RTCDtlsParameters) -> None:
        begun.set()
        await closed.wait()

    async def tells(connection: Connection) -> None:
        # Transports that are left over when streams are bundled are closed before.
        if begun.is_set():
            closed.set()
            await asyncio.sleep(0)
        await close(connection)

    monkeypatch.setattr(Connection, "connect", finds_a_way)
    monkeypatch.setattr(Connection, "close", tells)
    monkeypatch.setattr(RTCDtlsTransport, "start", shakes_hands)
    unheard: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: unheard.append(context))
    one, two = await answered()
    await begun.wait()
    await close_connection(two)
    await close_connection(one)
    gc.collect()
    await asyncio.sleep(0)
    assert not unheard, unheard
