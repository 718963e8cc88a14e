"""The errors of alerts and evidence as problems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamguard.errors import (
    EvidenceError,
    EvidenceGone,
    ForbiddenTarget,
    OutboxError,
    OutputError,
    StreamguardError,
    SubscriptionError,
    UnknownSubscription,
)
from streamguard.server.alert_desk import AlertDesk
from streamguard.server.hub import Hub
from streamguard.server.problems import Problem

_PROBLEMS: tuple[tuple[type[StreamguardError], int, str], ...] = (
    (UnknownSubscription, 404, "not-found"),
    (ForbiddenTarget, 403, "target-refused"),
    (SubscriptionError, 422, "bad-webhook"),
    (OutboxError, 503, "outbox"),
    (EvidenceGone, 410, "gone"),
    (EvidenceError, 403, "link-refused"),
    (OutputError, 503, "storage"),
)
"""Which error is told how; the first that fits."""
# A cache may keep a 410 by itself (RFC 9110, 15.5.11), and its address is a key.
_HEADERS = {503: {"Retry-After": "5"}, 410: {"Cache-Control": "no-store"}}


def desk_of(hub: Hub) -> AlertDesk:
    """The server's alerts.

    Raises:
        Problem: 503, they are switched off, or the server is starting or ending.
    """
    if hub.desk is None:
        detail = "Alerts are switched off here, or the server is just starting or ending."
        raise Problem(503, "no-alerts", detail, "Set alerts.enabled in the settings, or try again.")
    return hub.desk


@asynccontextmanager
async def told() -> AsyncIterator[None]:
    """Turns what alerts and evidence raise into problems.

    Raises:
        Problem: with the error's cause and remedy.
    """
    try:
        yield
    except StreamguardError as error:
        for kind, status, name in _PROBLEMS:
            if isinstance(error, kind):
                detail = f"{error.thing}: {error.cause}."
                raise Problem(status, name, detail, _sentence(error.remedy), _HEADERS.get(status)) from error
        raise


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""
