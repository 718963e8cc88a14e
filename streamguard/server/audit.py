"""The audit log: who looked at evidence or took it away, and who changed what."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

from aiohttp import web
from pydantic import AwareDatetime, Field, StringConstraints

from streamguard.alerts import AuditEntry
from streamguard.logs import get_logger
from streamguard.server.alert_problems import as_problems, memory_of
from streamguard.server.api import V1
from streamguard.server.caller import Caller
from streamguard.server.documents import Document
from streamguard.server.operations import Call, Operation, Success, json_answer
from streamguard.streams.hub import Hub

log = get_logger("streamguard.audit")
_TOGETHER = 60.0
"""Seconds in which a repeated view of the same file is not noted again: players ask for a clip in many parts."""
_MOST_TOGETHER = 1024
_LONGEST = 500
Short = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Who = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class AuditDocument(Document):
    """Action of a caller."""

    id: str
    at: datetime
    who: str | None = Field(
        description="Name of the token, or of the user behind `openid:` or `proxy:`; null where nobody is told apart, "
        "as for signed links."
    )
    address: str = Field(description="Where the request came from.")
    action: str = Field(description="The operation's `operationId`.")
    target: str = Field(description="Path of what it was done to.")


class AuditLogDocument(Document):
    """Actions, newest first."""

    entries: list[AuditDocument]
    next: str | None = Field(description="Cursor of the next page; null on the last one.")


class AuditQuery(Document):
    """Which entries."""

    who: Who | None = None
    action: Short | None = None
    since: AwareDatetime | None = Field(default=None, description="Not older than this.")
    until: AwareDatetime | None = Field(default=None, description="Older than this.")
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: Short | None = None


class AuditTrail:
    """Takes down what was done, in the log at once and in the database soon after.

    Args:
        hub: knows the database.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._looked: OrderedDict[tuple[str | None, str, str, str], float] = OrderedDict()

    def note(self, operation: Operation, request: web.Request, caller: Caller, answer: web.StreamResponse) -> None:
        """Take down a request that was answered, if it is of a kind that is, and was no failure."""
        if not operation.audited or answer.status >= 400:
            return
        # Of what was made the path is in the answer. Never the query: it may hold a token, or sign a link; and never
        # the path of a session, which is all that is needed to end it.
        made = answer.headers.get("Location", "")
        target = (made if made.startswith(V1) else request.path)[:_LONGEST]
        entry = AuditEntry(datetime.now(UTC), caller.name, caller.address, operation.name, target)
        if request.method == "GET" and self._seen((entry.who, entry.address, entry.action, target)):
            return
        log.info("audit", who=entry.who, address=entry.address, action=entry.action, target=target)
        if self._hub.desk is not None:
            self._hub.desk.alerts.submit_audit(entry)

    def operations(self) -> list[Operation]:
        """The operations."""
        return [
            Operation(
                "GET",
                f"{V1}/audit",
                "listAudit",
                "Who looked at or erased evidence, and who changed what.",
                "admin",
                self.list,
                (Success(200, "A page of the log.", AuditLogDocument),),
                (422, 503),
                query=AuditQuery,
            )
        ]

    async def list(self, call: Call[None, AuditQuery]) -> web.Response:
        """GET /audit."""
        alerts = memory_of(self._hub).alerts
        async with as_problems():
            await alerts.settle_audit()
            found, following = await alerts.audit.find(**dict(call.query))
        entries = [AuditDocument(**asdict(each)) for each in found]
        return json_answer(AuditLogDocument(entries=entries, next=following))

    def _seen(self, key: tuple[str | None, str, str, str]) -> bool:
        now = time.monotonic()
        if now - self._looked.get(key, -_TOGETHER) < _TOGETHER:
            return True
        self._looked[key] = now
        self._looked.move_to_end(key)
        if len(self._looked) > _MOST_TOGETHER:
            self._looked.popitem(last=False)
        return False
