"""A real SMTP server in the test's own loop that misbehaves on demand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from typing import Any

from aiosmtpd.smtp import SMTP

Fault = Callable[["MailServer"], str]
"""What goes wrong next; empty for nothing."""


@dataclass
class MailServer:
    """Where it listens, and what it took.

    Attributes:
        next_fault: asked at each connection: `busy` (421 instead of a greeting), `gone` (closed at once), `rcpt` and
            `data` (451 there), `broken` (closed in the middle of the message), `lost answer` (the message is taken, and
            the connection closed before it is said), `password` (535).
        mails: what was taken.
    """

    port: int = 0
    next_fault: Fault = field(default=lambda _: "")
    mails: list[Message] = field(default_factory=list)
    connections: int = 0

    def ids(self) -> list[str]:
        """The notices' ids, in the order in which they came."""
        return [str(mail["X-Streamguard-Notice"]) for mail in self.mails]


class _Talk(SMTP):
    def __init__(self, house: MailServer) -> None:
        self.house, self.fault = house, house.next_fault(house)
        house.connections += 1
        super().__init__(self, hostname="mail.test", loop=asyncio.get_running_loop())

    def connection_made(self, transport: Any) -> None:
        if self.fault in {"busy", "gone"}:
            if self.fault == "busy":
                transport.write(b"421 4.3.2 too busy\r\n")
            transport.close()
            self.transport = transport
            return
        super().connection_made(transport)

    def connection_lost(self, error: Any) -> None:
        if self.fault not in {"busy", "gone"}:
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self.fault not in {"busy", "gone"}:
            super().data_received(data)

    async def handle_RCPT(  # noqa: N802  # as the library calls it
        self, server: Any, session: Any, envelope: Any, address: str, options: Any
    ) -> str:
        if self.fault == "rcpt":
            return "451 4.2.1 try later, hunter2"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self.fault == "data":
            return "451 4.3.0 try later"
        if self.fault == "broken":
            self.transport.abort()
            return "451 nobody hears this"
        self.house.mails.append(message_from_bytes(envelope.content))
        if self.fault == "lost answer":
            self.transport.abort()
        return "250 OK"


@asynccontextmanager
async def mail_server() -> AsyncIterator[MailServer]:
    """A running server on the loopback."""
    house = MailServer()
    server = await asyncio.get_running_loop().create_server(lambda: _Talk(house), "127.0.0.1", 0)
    async with server:
        house.port = server.sockets[0].getsockname()[1]
        yield house
