"""The configuration over HTTP."""

from __future__ import annotations

from aiohttp import web

from streamguard.errors import InvalidConfig, OutboxError, StreamguardError
from streamguard.server.operations import Call, Operation, Success, json_answer
from streamguard.server.problems import Problem
from streamguard.server.reload import ReloadDocument, Reloader


class ConfigApi:
    """The handlers.

    Args:
        reloader: reads the configuration again.
    """

    def __init__(self, reloader: Reloader) -> None:
        self._reloader = reloader

    def operations(self) -> list[Operation]:
        """The operations."""
        return [
            Operation(
                "POST",
                "/api/v1/config/reload",
                "reloadConfig",
                "Read the configuration file again, and change what is different.",
                "admin",
                self.reload,
                (Success(200, "What was changed, and what needs a restart.", ReloadDocument),),
                (409, 422, 503),
            )
        ]

    async def reload(self, call: Call[None, None]) -> web.Response:
        """POST /config/reload."""
        if not self._reloader.possible:
            detail = "This server was started without a configuration file."
            raise Problem(409, "no-config", detail, "Start it with --config.")
        try:
            return json_answer(await self._reloader.reload())
        except OutboxError as error:
            headers = {"Retry-After": "5"}
            raise Problem(503, "outbox", f"{error.thing}: {error.cause}.", error.remedy, headers) from error
        except StreamguardError as error:
            problems = error.problems if isinstance(error, InvalidConfig) else (error,)
            detail = " ".join(str(each) for each in problems)
            raise Problem(422, "bad-config", detail, "Correct the file; nothing was changed.") from error
