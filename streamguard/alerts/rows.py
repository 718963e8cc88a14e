"""Rows of the outbox as they are first written."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from streamguard.alerts.formats import Payload, text
from streamguard.types import Event


def webhook_id(event: str, subscription: str) -> str:
    """Follows from the event and the subscription: always the same."""
    return f"msg_{event}_{subscription}"


def subject_of(event: Event) -> str:
    """The incident an event is about, else the face within its stream; empty for the stream itself."""
    return event.incident or ("" if event.track is None else f"{event.epoch}/{event.track}")


def delivery_row(
    subscription: str, event: Event, message: Payload, now: float, *, flapping: bool = False
) -> dict[str, Any]:
    """A delivery to be made at once."""
    return {
        "webhook_id": webhook_id(event.id, subscription),
        "subscription": subscription,
        "event": event.id,
        "at": event.at.timestamp(),
        "kind": event.kind.value,
        "order_key": f"{subject_of(event)} {text(event.stream)}",
        "status": "pending",
        "attempts": 0,
        "next_try": now,
        "touched": now,
        "owner": "",
        "lease_until": 0.0,
        "answer": "",
        "created": now,
        "content_type": message.content_type,
        "body": message.body,
        "flapping": flapping,
        "asked": now,
    }


def insert(connection: AsyncConnection, table: sa.Table) -> postgresql.Insert:
    """An INSERT that can say what a conflict means. Both dialects' have the same methods."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)  # type: ignore[return-value]  # two classes of the same shape
    return postgresql.insert(table)
