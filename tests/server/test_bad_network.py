"""Five per cent of all packets lost and 100 ms of jitter, both ways: it plays on, and the counters tell."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import aiohttp
import aioice.ice
import pytest

from streamguard.server.app import Server
from tests.server.peers import Peer, published, until

LOSS, JITTER = 0.05, 0.1


class BadNetwork:
    """Between `aioice` and its sockets: loses datagrams, and delays each by up to `JITTER` seconds, in order."""

    def __init__(self) -> None:
        self._random = random.Random(7)
        self._due: dict[int, float] = {}
        self.lost = self.sent = 0

    async def send(self, protocol: Any, data: bytes, address: tuple[str, int]) -> None:
        """Takes the place of `StunProtocol.send_data`."""
        self.sent += 1
        if self._random.random() < LOSS:
            self.lost += 1
            return
        loop = asyncio.get_running_loop()
        due = max(self._due.get(id(protocol), 0.0), loop.time() + self._random.uniform(0, JITTER))
        self._due[id(protocol)] = due
        loop.call_at(due, self._deliver, protocol, data, address)

    @staticmethod
    def _deliver(protocol: Any, data: bytes, address: tuple[str, int]) -> None:
        transport = protocol.transport
        if transport is not None and not transport.is_closing():
            transport.sendto(data, address)


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_it_plays_on(
    server: Server, http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    async with published(http, codec=codec) as publisher, Peer(http) as viewer:
        await viewer.play("cam", codec=codec)
        await until(lambda: viewer.frames and publisher.messages)
        network = BadNetwork()

        async def send(protocol: Any, data: bytes, address: tuple[str, int]) -> None:
            await network.send(protocol, data, address)

        monkeypatch.setattr(aioice.ice.StunProtocol, "send_data", send)
        judged, seen, told = server.hub.find("cam").counts.judged, viewer.frames[-1].pts, len(publisher.messages)
        losses: list[float] = []

        def enough() -> bool:
            losses.append(server.hub.find("cam").transport.packet_loss or 0.0)
            return (
                server.hub.find("cam").counts.judged > judged + 60
                and viewer.frames[-1].pts > seen + 3 * 90_000
                and len(publisher.messages) > told + 60
                and max(losses) > 0
            )

        await until(enough, 60)
        assert network.lost > 10
        monkeypatch.undo()
        assert publisher.messages[-1]["state"] == "FAKE"
        metrics = await (await http.get("/metrics")).text()
        assert "streamguard_publisher_packet_loss_ratio" in metrics
