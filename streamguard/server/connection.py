"""Ending a peer connection so that nothing of it goes on."""

from __future__ import annotations

import asyncio
import contextlib

from aiortc import RTCDtlsTransport, RTCPeerConnection

_LIMIT = 5.0
_PAUSE = 0.005


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
    await pc.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LIMIT):
            for transport in transports:
                await _settled(transport)
    for transceiver in transceivers:
        await transceiver.stop()
    for transport in transports:
        await transport.transport._connection.close()


async def _settled(transport: RTCDtlsTransport) -> None:
    started: asyncio.Event | None = getattr(transport.transport, "_RTCIceTransport__start", None)
    if started is None:
        return
    await started.wait()
    # One turn of the loop for the handshake to begin; on a closed socket it fails at once.
    await asyncio.sleep(_PAUSE)
    while transport.state == "connecting":  # noqa: ASYNC110 - its listeners were removed with its end
        await asyncio.sleep(_PAUSE)
