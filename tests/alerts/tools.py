"""What the tests of alerts share: a clock turned by hand, events, an outbox with everything around it."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ulid import ULID

from streamguard.alerts import (
    Created,
    Database,
    Deliverer,
    Deliveries,
    Limits,
    Outbox,
    Sealer,
    Subscriptions,
    TargetPolicy,
    WebhookSender,
)
from streamguard.clock import utc
from streamguard.types import Event, EventKind
from tests.support.receiver import Receiver

LOOPBACK = TargetPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128")))


class Clock:
    """UTC epoch seconds that pass only when told to."""

    def __init__(self, start: float) -> None:
        self.now = start

    def __call__(self) -> float:
        return self.now

    def pass_(self, seconds: float) -> None:
        """Let time pass; less than nothing sets the clock back."""
        self.now += seconds


def event(kind: str, at: float, *, track: int | None = 1, stream: str = "door", epoch: int = 0, **more: Any) -> Event:
    """An event of a face, or of the stream when the kind says so."""
    face = kind.startswith("fake.")
    figures: dict[str, Any] = {"score": 0.9, "share": 0.8, "time": 1.0} if face else {}
    return Event(
        id=more.pop("id", None) or str(ULID()),
        kind=EventKind(kind),
        stream=stream,
        epoch=epoch,
        at=utc(at),
        track=track if face else None,
        model="unet_v1@abc",
        engine="openvino",
        **{**figures, **more},
    )


@dataclass
class House:
    """An outbox with everything around it."""

    database: Database
    clock: Any
    subscriptions: Subscriptions
    deliveries: Deliveries
    outbox: Outbox
    deliverer: Deliverer
    receiver: Receiver

    async def subscribe(self, path: str = "/", host: str = "localhost", **more: Any) -> Created:
        """Subscribe the receiver's path; it knows the secret from then on."""
        created = await self.subscriptions.create(self.receiver.url(path, host), **more)
        self.receiver.secrets[path] = created.secret
        return created

    async def tell(self, *events: Event) -> None:
        """Record events and send all that is due."""
        await self.outbox.record(events)
        await self.deliverer.pump()


@asynccontextmanager
async def house(
    database: Database,
    receiver: Receiver,
    clock: Any,
    sealer: Sealer,
    *,
    policy: TargetPolicy = LOOPBACK,
    limit: float = 20.0,
    limits: Limits | None = None,
) -> AsyncIterator[House]:
    """Everything around a database; deliveries are made by `tell` and `pump` only."""
    async with contextlib.AsyncExitStack() as stack:
        sender = await stack.enter_async_context(
            WebhookSender(policy, timeout=limit, tls=receiver.trust(), clock=clock)
        )
        outbox = Outbox(database, clock=clock)
        deliverer = Deliverer(database, sealer, sender, outbox=outbox, clock=clock, limits=limits, chance=lambda: 0.5)
        stack.push_async_callback(deliverer.close)
        yield House(
            database,
            clock,
            Subscriptions(database, sealer, policy, clock=clock),
            Deliveries(database, clock=clock),
            outbox,
            deliverer,
            receiver,
        )
