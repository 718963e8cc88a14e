"""Commands over a broker: pause, add and remove streams; each only where the settings allow it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from streamguard.alerts import AuditEntry
from streamguard.config import STREAM_NAME
from streamguard.config.mqtt import Command
from streamguard.errors import StreamguardError
from streamguard.logs import get_logger
from streamguard.media import SourceOptions
from streamguard.server.added_streams import AddedStreams
from streamguard.server.mqtt.topics import OFF, ON
from streamguard.server.problems import Problem
from streamguard.server.source_policy import SourcePolicy
from streamguard.streams.hub import Hub
from streamguard.streams.request import StreamRequest

log = get_logger("streamguard.mqtt")
MOST_BYTES = 8 * 1024
Name = Annotated[str, Field(pattern=STREAM_NAME)]


class _Base(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class CommandDocument(_Base):
    """A command on the server's topic."""

    action: Literal["add", "remove"]
    stream: Name
    source: Annotated[str, Field(min_length=1, max_length=4096)] | None = None


class StreamCommands:
    """Does what is asked, and takes it down in the audit log.

    Args:
        hub: has the streams.
        added: keeps those that are added.
        policy: which sources may be named from outside.
        allowed: what may be asked.
        who: stands for the broker in the audit log.
    """

    def __init__(
        self, hub: Hub, added: AddedStreams, policy: SourcePolicy, allowed: frozenset[Command], who: str
    ) -> None:
        self._hub, self._added, self._policy, self.allowed, self._who = hub, added, policy, allowed, who

    async def take(self, payload: bytes) -> dict[str, Any]:
        """Do what a JSON document says; what became of it, as a document. Nothing is raised."""
        try:
            if len(payload) > MOST_BYTES:
                raise ValueError
            asked = CommandDocument.model_validate_json(payload)
        except (ValidationError, ValueError):
            return _answer("", "", 'this is no command: send {"action": "add", "stream": "NAME", "source": "URL"}')
        if (asked.action == "add") != (asked.source is not None):
            return _answer(asked.action, asked.stream, "`add` needs a source, and nothing else takes one")
        return await self._do(asked.action, asked.stream, asked.source or "")

    async def judge(self, stream: str, payload: bytes) -> dict[str, Any]:
        """Pause a stream (`OFF`) or judge it again (`ON`); as `take`."""
        if payload not in {ON.encode(), OFF.encode()} or not re.fullmatch(STREAM_NAME, stream):
            return _answer("pause", "", "send ON or OFF")
        return await self._do("pause", stream, payload.decode())

    async def _do(self, action: Command, stream: str, what: str) -> dict[str, Any]:
        if action not in self.allowed:
            return _answer(action, stream, f"it is not allowed: name it in server.mqtt.commands ({action})")
        try:
            if action == "add":
                await self._add(stream, what)
            elif action == "remove":
                self._hub.find(stream)
                await self._hub.close(stream)
                await self._added.forget(stream)
            elif what == OFF:
                await self._hub.pause(stream)
            else:
                await self._hub.resume(stream)
        except Problem as problem:
            return _answer(action, stream, problem.detail)
        except StreamguardError as error:
            return _answer(action, stream, f"{error.cause}. {error.remedy}")
        except Exception:
            log.exception("command failed", action=action, stream=stream)
            return _answer(action, stream, "an error inside the server")
        name = {"add": "addStream", "remove": "removeStream", "pause": "pauseStream" if what == OFF else "resumeStream"}
        log.info("audit", who=self._who, address="mqtt", action=name[action], target=stream)
        if self._hub.desk is not None:
            entry = AuditEntry(datetime.now(UTC), self._who, "mqtt", name[action], f"/api/v1/streams/{stream}")
            self._hub.desk.alerts.submit_audit(entry)
        return _answer(action, stream, "")

    async def _add(self, stream: str, source: str) -> None:
        self._hub.check_room(stream)
        checked = await self._policy.checked(source)
        options = SourceOptions(redirects=self._policy.redirects)
        await self._added.add(stream, source, StreamRequest(checked, options))


def _answer(action: str, stream: str, detail: str) -> dict[str, Any]:
    return {"action": action, "stream": stream, "done": not detail, "detail": detail}


def written(answer: dict[str, Any]) -> str:
    """The answer as JSON."""
    return json.dumps(answer)
