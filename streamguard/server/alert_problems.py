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
    UnknownIncident,
    UnknownSubscription,
)
from streamguard.server.problems import Problem, sentence
from streamguard.streams.alert_feed import AlertRuntime
from streamguard.streams.hub import Hub

_PROBLEMS: tuple[tuple[type[StreamguardError], int, str], ...] = (
    (UnknownSubscription, 404, "not-found"),
    (UnknownIncident, 404, "not-found"),
    (ForbiddenTarget, 403, "target-refused"),
    (SubscriptionError, 422, "bad-webhook"),
    (OutboxError, 503, "outbox"),
    (EvidenceGone, 410, "gone"),
    (EvidenceError, 403, "link-refused"),
    (OutputError, 503, "storage"),
)
"""Problems by error class; the first that fits is taken."""
# A cache may keep a 410 by itself (RFC 9110, 15.5.11), and its address is a key.
_HEADERS = {503: {"Retry-After": "5"}, 410: {"Cache-Control": "no-store"}}


def desk_of(hub: Hub) -> AlertRuntime:
    """The server's alerts.

    Raises:
        Problem: 503, they are switched off, or the server is starting or ending.
    """
    if hub.desk is None or not hub.desk.lasting:
        detail = "Alerts are switched off here, or the server is just starting or ending."
        raise Problem(503, "no-alerts", detail, "Set alerts.enabled in the settings, or try again.")
    return hub.desk


def memory_of(hub: Hub) -> AlertRuntime:
    """Return the store of events and incidents, also where alerts are switched off.

    Raises:
        Problem: 503, the server is starting or ending.
    """
    if hub.desk is None:
        detail = "The server is just starting or ending."
        raise Problem(503, "not-ready", detail, "Try again.", {"Retry-After": "2"})
    return hub.desk


@asynccontextmanager
async def as_problems() -> AsyncIterator[None]:
    """Scheduler what alerts and evidence raise into problems.

    Raises:
        Problem: with the error's cause and remedy.
    """
    try:
        yield
    except StreamguardError as error:
        for kind, status, name in _PROBLEMS:
            if isinstance(error, kind):
                detail = f"{error.thing}: {error.cause}."
                raise Problem(status, name, detail, sentence(error.remedy), _HEADERS.get(status)) from error
        raise
