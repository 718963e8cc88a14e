"""Making a peer connection that every peer can reach, and ending it so that nothing of it goes on."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from aiortc import RTCCertificate, RTCConfiguration, RTCDtlsTransport, RTCPeerConnection

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
